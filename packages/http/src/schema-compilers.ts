/** How Fastify compiles the schemas of routes: with the validator of every other door, and without a serializer of its own. */
import { AssayError, explain, matches } from '@assay/contracts';
import type { FastifyServerOptions } from 'fastify';
import type { TSchema } from 'typebox';
import { compileValidator, type HttpPart } from './validation.ts';

type SchemaController = NonNullable<FastifyServerOptions['schemaController']>;
type Factories = NonNullable<SchemaController['compilersFactory']>;

/** What Fastify tells of the schema that is to be compiled. */
interface SchemaPlace {
  readonly schema?: unknown;
  readonly method?: string;
  readonly url?: string;
  readonly httpPart?: string;
}

/**
 * Given to Fastify when the app is made. Set on the app later, they would come after Ajv and fast-json-stringify, which
 * Fastify then has loaded in vain.
 */
export function schemaCompilers(options: { readonly checksResponses: boolean }): SchemaController {
  const serializer = options.checksResponses ? checkingSerializer : plainSerializer;
  const factory = () => validator;
  return {
    compilersFactory: {
      buildValidator: factory as unknown as NonNullable<Factories['buildValidator']>, // typed for Ajv, called like any other
      buildSerializer: () => serializer,
    },
  };
}

// All routes have TypeBox schemas, and Fastify has four parts of a request.
function validator({ schema, httpPart }: SchemaPlace) {
  return compileValidator(schema as TSchema, httpPart as HttpPart);
}

// Not Fastify's serializer: it would leave out in silence what a schema does not declare.
function plainSerializer() {
  return (value: unknown): string => JSON.stringify(value);
}

function checkingSerializer({ schema, method, url }: SchemaPlace) {
  const declared = schema as TSchema; // as above
  return (value: unknown): string => {
    const text = JSON.stringify(value);
    const answer: unknown = JSON.parse(text);
    const [mistake] = matches(declared, answer) ? [] : explain(declared, answer, 'answer');
    if (mistake === undefined) return text;
    const message = `${method} ${url} answers what its schema does not say: ${mistake.place}: ${mistake.message}`;
    throw new AssayError('INTERNAL', message);
  };
}
