/** The signature as JSON Schema, for callers, forms and generated clients. */
import type { Dtype, Feature, Output, Signature } from '@assay/contracts';

export type JsonSchema = Readonly<Record<string, unknown>>;

const TYPES: Record<Dtype, JsonSchema> = {
  float32: { type: 'number', minimum: -3.4028234663852886e38, maximum: 3.4028234663852886e38 },
  float64: { type: 'number' },
  int64: { type: 'integer', format: 'int64' },
  string: { type: 'string' },
  bool: { type: 'boolean' },
  timestamp: { type: 'string', format: 'date-time' },
};

/**
 * JSON Schema (2020-12) of one record that a signature takes, of the request that carries records, and of the outputs of
 * one record. What it allows the encoder allows; the encoder also refuses what JSON Schema cannot say: integers that lost
 * their exact value, strings with U+0000.
 */
export function describeSignatureAsJsonSchema(signature: Signature): {
  readonly record: JsonSchema;
  readonly request: JsonSchema;
  readonly outputs: JsonSchema;
} {
  const record = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Record',
    type: 'object',
    additionalProperties: false,
    properties: entries(signature.features, featureSchema),
    required: signature.features.filter(({ nullable }) => !nullable).map(({ name }) => name),
  };
  const { $schema, ...nested } = record;
  return {
    record,
    request: {
      $schema,
      title: 'ScoreRequest',
      type: 'object',
      additionalProperties: false,
      properties: { records: { type: 'array', minItems: 1, items: nested }, explain: { type: 'boolean' } },
      required: ['records'],
    },
    outputs: {
      $schema,
      title: 'Outputs',
      type: 'object',
      properties: entries(signature.outputs, outputSchema),
      required: signature.outputs.map(({ name }) => name),
    },
  };
}

/** `Object.fromEntries` keeps a feature called `__proto__` as a property of its own. */
function entries<T extends { readonly name: string }>(
  items: readonly T[],
  schema: (item: T) => JsonSchema,
): JsonSchema {
  return Object.fromEntries(items.map((item) => [item.name, schema(item)]));
}

function featureSchema(feature: Feature): JsonSchema {
  const { dtype, values, range, nullable, unit, description } = feature;
  let element: JsonSchema = { ...TYPES[dtype] };
  if (values?.set === 'closed') element = { enum: values.values };
  else if (values !== undefined) element = { ...element, examples: values.values.slice(0, 100) };
  if (range?.min !== undefined && dtype !== 'timestamp') element = { ...element, minimum: range.min };
  if (range?.max !== undefined && dtype !== 'timestamp') element = { ...element, maximum: range.max };
  if (nullable) element = orNull(element);
  const schema = nest(element, feature.shape);
  return {
    ...(nullable && feature.shape.length > 0 ? orNull(schema) : schema),
    ...(description === undefined ? {} : { description }),
    ...(unit === undefined ? {} : { 'x-unit': unit }),
    'x-dtype': dtype,
  };
}

function outputSchema({ dtype, shape, classes, description }: Output): JsonSchema {
  // A float output that is not finite, and a time beyond the year 9999, is null.
  const element =
    dtype === 'float32' || dtype === 'float64' || dtype === 'timestamp' ? orNull({ ...TYPES[dtype] }) : TYPES[dtype];
  return {
    ...nest(element, shape),
    ...(description === undefined ? {} : { description }),
    ...(classes === undefined ? {} : { 'x-classes': classes }),
    'x-dtype': dtype,
  };
}

function orNull(schema: JsonSchema): JsonSchema {
  const { type } = schema;
  if (Array.isArray(schema.enum)) return { ...schema, enum: [...schema.enum, null] };
  return { ...schema, type: [type, 'null'] };
}

function nest(element: JsonSchema, shape: readonly number[]): JsonSchema {
  return shape.reduceRight<JsonSchema>(
    (items, size) => ({ type: 'array', items, minItems: size, maxItems: size }),
    element,
  );
}
