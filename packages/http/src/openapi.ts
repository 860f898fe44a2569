/** The OpenAPI 3.1 document of an app, from the schemas of its routes. */

import { AssayError, ErrorBody } from '@assay/contracts';
import Fastify, { type FastifyContextConfig, type FastifySchema, type RouteOptions } from 'fastify';
import type { RouteAccess } from './access.ts';
import type { App } from './app.ts';
import { ERROR_REF } from './error-responses.ts';
import { schemaCompilers } from './schema-compilers.ts';

export interface OpenApiDescription {
  readonly title: string;
  readonly description: string;
}

/** An OpenAPI 3.1 document, as JSON. */
export type OpenApiDocument = Readonly<Record<string, unknown>>;

type JsonObject = Record<string, unknown>;

declare module 'fastify' {
  interface FastifyInstance {
    /** The app's document, made when it is asked for the first time. */
    openApi(): Promise<OpenApiDocument>;
  }
}

/**
 * Collects the routes from now on. Every schema with an `$id` becomes a component of that name, wherever it is used.
 *
 * What a document is made with is loaded when one is asked for, which few processes ever are.
 */
export function collectOpenApi(app: App, description: OpenApiDescription, version: string): void {
  const routes: DescribedRoute[] = [];
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    routes.push({
      method,
      url,
      ...(schema === undefined ? {} : { schema }),
      ...(config === undefined ? {} : { config }),
    });
  });
  let document: Promise<OpenApiDocument> | undefined;
  app.decorate('openApi', () => {
    document ??= writeOpenApi(routes, { ...description, version });
    return document;
  });
}

interface DescribedRoute {
  readonly method: RouteOptions['method'];
  readonly url: string;
  readonly schema?: FastifySchema;
  readonly config?: FastifyContextConfig;
}

/**
 * The plugin describes the app that it was added to before the routes were declared: here one that has these routes and
 * does nothing else.
 */
async function writeOpenApi(routes: readonly DescribedRoute[], info: JsonObject): Promise<OpenApiDocument> {
  const { default: swagger } = await import('@fastify/swagger');
  const app = Fastify({ exposeHeadRoutes: false, schemaController: schemaCompilers({ checksResponses: false }) });
  const components: Components = new Map();
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info, components: { securitySchemes: SECURITY_SCHEMES } },
    convertConstToEnum: false,
    transform: ({ schema, url, route }: { schema: unknown; url: string; route: DescribedRoute }) => ({
      // undefined schemas are possible although the plugin's type does not say so: a route need not have one
      schema: {
        ...describeRoute((schema ?? {}) as JsonObject, url, [route.method].flat()[0] ?? 'GET', components),
        ...describeAccess(route.config?.access),
      },
      url: url.replace(/\*$/, `:${REST_OF_PATH}`),
    }),
    transformObject: (documents: object) => {
      const document = ('openapiObject' in documents ? documents.openapiObject : {}) as JsonObject; // never the Swagger 2 form
      describeResponses(document.paths);
      const tags = tagsOf(document.paths);
      const schemas = Object.fromEntries([...components].sort(byName).map(([name, { schema }]) => [name, schema]));
      return {
        ...document,
        tags: tags.map((name) => ({ name })),
        components: { schemas, securitySchemes: SECURITY_SCHEMES },
      };
    },
  } as never); // the plugin's option types describe its whole configuration space; these values are checked by the tests
  for (const route of routes) {
    if (route.method !== 'HEAD') app.route({ ...route, handler: () => undefined });
  }
  await app.ready();
  const { swagger: document } = app as typeof app & { swagger: () => OpenApiDocument }; // decorated by the plugin
  return document.call(app);
}
const SECURITY_SCHEMES = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key, `assay_ID_SECRET`, where the service needs keys. `assay keys create` makes one.',
  },
};

/** One requirement for each scope that is enough; in OpenAPI 3.1 an HTTP scheme may name the roles that it needs. */
function describeAccess(access: RouteAccess | undefined): JsonObject {
  if (access === undefined || access === 'public' || access === 'own') return {};
  return { security: [access].flat().map((scope) => ({ apiKey: [scope] })) };
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** In the order of the routes, but what operators ask comes last: it is the same everywhere. */
function tagsOf(paths: unknown): string[] {
  const tags = new Set<string>();
  for (const methods of Object.values(isObject(paths) ? paths : {})) {
    for (const operation of Object.values(isObject(methods) ? methods : {})) {
      const own = isObject(operation) && Array.isArray(operation.tags) ? operation.tags : [];
      for (const tag of own) tags.add(String(tag));
    }
  }
  return [...tags].sort((a, b) => Number(a === OPERATIONS_TAG) - Number(b === OPERATIONS_TAG));
}

/** The tag of the routes in operations.ts. */
export const OPERATIONS_TAG = 'operations';

type Components = Map<string, { source: unknown; schema: JsonObject }>;

function describeRoute(schema: JsonObject, url: string, method: string, components: Components): JsonObject {
  const described: JsonObject = { operationId: operationId(method, url), ...schema };
  for (const part of ['querystring', 'params', 'headers']) {
    // parameters are listed one by one, so the object that holds them stays in place
    if (schema[part] !== undefined) described[part] = hoist(schema[part], components, true);
  }
  if (isObject(described.params)) described.params = withRestNamed(described.params);
  if (schema.body !== undefined) described.body = hoist(schema.body, components);
  const responses = (schema.response ?? {}) as JsonObject; // Fastify's own shape: schemas by status
  const told = Object.entries(responses).map(([status, one]) => [status, isError(one) ? asJson(one) : one]);
  const other = asJson({ description: MEANINGS.default });
  described.response = hoistMembers({ default: other, ...Object.fromEntries(told) }, components);
  return described;
}

/** What routes take with a `*`, as `{path}`: a client generated from the document has no parameter called `*`. */
const REST_OF_PATH = 'path';

function withRestNamed(params: JsonObject): JsonObject {
  const { properties, required } = params;
  const named = (name: unknown): unknown => (name === '*' ? REST_OF_PATH : name);
  return {
    ...params,
    ...(isObject(properties) && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, one]) => [named(name), one])),
    }),
    ...(Array.isArray(required) && { required: required.map(named) }),
  };
}

function isError(response: unknown): response is JsonObject {
  return isObject(response) && response.$ref === ERROR_REF;
}

/** Whatever a route produces, its errors are JSON. */
function asJson({ description }: JsonObject): JsonObject {
  return { description, content: { 'application/json': { schema: ErrorBody } } };
}

const MEANINGS: Readonly<Record<string, string>> = {
  '200': 'Done.',
  '201': 'Created.',
  '202': 'Accepted; it goes on after the answer.',
  '204': 'Done; there is nothing to say.',
  default: 'Any error, in the one form of Assay.',
};

/** The plugin calls every response of a named schema "Default Response"; OpenAPI wants a meaning. */
function describeResponses(paths: unknown): void {
  for (const methods of Object.values(isObject(paths) ? paths : {})) {
    for (const operation of Object.values(isObject(methods) ? methods : {})) {
      const responses = isObject(operation) && isObject(operation.responses) ? operation.responses : {};
      for (const [status, response] of Object.entries(responses)) {
        if (!isObject(response) || response.description !== 'Default Response') continue;
        response.description = MEANINGS[status] ?? `With status ${status}.`;
      }
    }
  }
}

/** `postV1ModelsByModelVersions`: stable while the route is, for generated clients. */
function operationId(method: string, url: string): string {
  const words = url
    .split(/[/.-]+/)
    .filter((word) => word !== '')
    .map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : word === '*' ? 'Path' : capital(word)));
  return method.toLowerCase() + words.join('');
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** The schema with every named schema inside it replaced by a reference to its component. */
function hoist(schema: unknown, components: Components, keepRoot = false): unknown {
  if (Array.isArray(schema)) return schema.map((item) => hoist(item, components));
  if (!isObject(schema)) return schema;
  const name = schema.$id;
  if (typeof name === 'string' && !keepRoot) {
    const known = components.get(name);
    if (known === undefined) {
      const entry = { source: schema, schema: {} };
      components.set(name, entry); // before its members, which may refer back to it
      entry.schema = hoistMembers(schema, components);
    } else if (known.source !== schema && JSON.stringify(known.source) !== JSON.stringify(schema)) {
      throw new AssayError(
        'INTERNAL',
        `two different schemas are called ${name}; an $id is a name in the OpenAPI document`,
      );
    }
    return { $ref: `#/components/schemas/${name}` };
  }
  return hoistMembers(schema, components);
}

function hoistMembers(schema: JsonObject, components: Components): JsonObject {
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => key !== '$id')
      .map(([key, value]) => [key, hoist(value, components)]),
  );
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The OpenAPI document of an app that need not listen. */
export async function describeOpenApi(app: App): Promise<OpenApiDocument> {
  await app.ready();
  return JSON.parse(JSON.stringify(await app.openApi()));
}
