/** JSON Schema, as far as the chart's values need it, in few words. */

/** The part of JSON Schema that is used here. */
export interface Schema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly minLength?: number;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly if?: Schema;
  readonly then?: Schema;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly $schema?: string;
}

export const strict = (description: string, properties: Record<string, Schema>, required: string[] = []): Schema => ({
  description,
  type: 'object',
  additionalProperties: false,
  properties,
  ...(required.length > 0 ? { required } : {}),
});
export const text = (description: string, more: Schema = {}): Schema => ({ description, type: 'string', ...more });
export const flag = (description: string): Schema => ({ description, type: 'boolean' });
export const whole = (description: string, minimum: number, maximum: number): Schema => ({
  description,
  type: 'integer',
  minimum,
  maximum,
});
export const oneOf = (description: string, values: string[]): Schema => ({ description, type: 'string', enum: values });
export const list = (description: string, items: Schema, more: Schema = {}): Schema => ({
  description,
  type: 'array',
  items,
  ...more,
});
export const strings = (description: string): Schema => ({ description, $ref: '#/$defs/strings' });
export const ref = (description: string, name: string): Schema => ({ description, $ref: `#/$defs/${name}` });
