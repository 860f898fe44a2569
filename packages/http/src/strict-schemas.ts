/** A route whose schema forgets to say what becomes of unknown keys would take typos in silence. */
import { AssayError } from '@assay/contracts';
import Type, { type TSchema } from 'typebox';

const NO_QUERY = Type.Object({}, { additionalProperties: false });

/**
 * Refuses a route whose body or query is open without saying so; one without a query schema takes no query.
 * @throws AssayError INTERNAL: a mistake of whoever declares the route
 */
export function requireStrictSchemas(route: {
  method: string | string[];
  url: string;
  schema?: unknown;
  config?: unknown;
}): void {
  const schema = (route.schema ?? {}) as { body?: TSchema; querystring?: TSchema; hide?: boolean }; // Fastify's route schema
  if (schema.hide === true) return;
  for (const part of ['body', 'querystring'] as const) {
    const declared = schema[part];
    if (declared !== undefined && !isClosed(declared)) {
      throw new AssayError(
        'INTERNAL',
        `${route.method} ${route.url}: the schema of its ${part} must say additionalProperties: false (or true, on purpose)`,
      );
    }
  }
  const config = (route.config ?? {}) as { takesUnknownQuery?: boolean }; // Fastify's route config
  if (schema.querystring === undefined && config.takesUnknownQuery !== true) {
    route.schema = { ...schema, querystring: NO_QUERY };
  }
}

/** Whether a schema says what becomes of keys that it does not name. */
function isClosed(schema: TSchema): boolean {
  const { type, additionalProperties } = schema as { type?: unknown; additionalProperties?: unknown }; // JSON Schema keywords
  return type !== 'object' || additionalProperties !== undefined || 'patternProperties' in schema;
}
