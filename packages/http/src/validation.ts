/**
 * How requests are checked. Bodies arrive as they were sent: nothing is coerced, dropped or defaulted, since a `null`
 * that became 0 would be scored. Query and path are text by nature: each value is read as the type that its schema
 * names, strictly, and a query's declared defaults are filled in.
 */
import { AssayError, type ErrorDetail, explain, matches } from '@assay/contracts';
import type { TSchema } from 'typebox';

export type HttpPart = 'body' | 'querystring' | 'params' | 'headers';

const CALLED: Record<HttpPart, string> = { body: 'body', querystring: 'query', params: 'path', headers: 'header' };

type Outcome = { readonly value: unknown } | { readonly error: AssayError };

/** The validator of one part of a route's requests. */
export function compileValidator(schema: TSchema, part: HttpPart): (data: unknown) => Outcome {
  if (part === 'body') return (data) => check(schema, data, part);
  return (data) => check(schema, readText(schema, data, part), part);
}

function check(schema: TSchema, value: unknown, part: HttpPart): Outcome {
  if (matches(schema, value)) return { value };
  const what = CALLED[part];
  if (part === 'body' && value === null) {
    // Fastify gives null for no body at all, too.
    return {
      error: refusal([
        { place: 'body', message: 'must be a JSON value, got nothing; send one with Content-Type: application/json' },
      ]),
    };
  }
  const details = explain(schema, value, what).map((detail) =>
    part === 'body' || detail.place === what ? detail : { ...detail, place: `${what}.${detail.place}` },
  );
  return { error: refusal(details) };
}

function refusal(details: readonly ErrorDetail[]): AssayError {
  const first = details[0];
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return new AssayError('INVALID_ARGUMENT', `${first?.place}: ${first?.message}${more}`, { details });
}

/** The keywords that decide how a piece of text is read. */
interface TextSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly default?: unknown;
  readonly anyOf?: readonly TextSchema[];
  readonly enum?: readonly unknown[];
  readonly items?: TextSchema;
  readonly properties?: Readonly<Record<string, TextSchema>>;
}

function readText(schema: TSchema, data: unknown, part: HttpPart): unknown {
  const { properties = {} } = schema as TextSchema; // an object schema; anything else has no properties to read
  if (typeof data !== 'object' || data === null) return data;
  const read: Record<string, unknown> = Object.create(null); // a key `__proto__` is then a key like others: unknown
  for (const [key, value] of Object.entries(data)) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
    read[key] = property === undefined ? value : readValue(property, value);
  }
  if (part === 'querystring') {
    for (const [key, property] of Object.entries(properties)) {
      if (!Object.hasOwn(read, key) && property.default !== undefined) read[key] = property.default;
    }
  }
  return read;
}

function readValue(schema: TextSchema, value: unknown): unknown {
  if (schema.type === 'array') {
    const items = schema.items ?? {};
    return (Array.isArray(value) ? value : [value]).map((item) => readValue(items, item));
  }
  if (typeof value !== 'string') return value;
  for (const type of typesOf(schema)) {
    if ((type === 'integer' || type === 'number') && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(value)) {
      return Number(value);
    }
    if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  }
  return value;
}

/** `version` may be a number or an id: a text that is a number is one wherever the schema allows numbers. */
function typesOf(schema: TextSchema): (string | undefined)[] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(typesOf);
  if (schema.enum !== undefined) return schema.enum.map((one) => typeof one);
  return [schema.type ?? typeof schema.const];
}
