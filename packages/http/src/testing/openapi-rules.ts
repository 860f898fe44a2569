/** What an OpenAPI document must be: by OpenAPI's own schema, by JSON Schema, and by the rules of this project. */
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { ERROR_REF } from '../error-responses.ts';
import type { OpenApiDocument } from '../openapi.ts';

export interface OpenApiRules {
  /** The component that errors have the form of, by prefix of the path, where a protocol prescribes its own. */
  readonly errorForms?: Readonly<Record<string, string>>;
}

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses?: Readonly<Record<string, Answer>>;
}

interface Answer {
  readonly content?: Readonly<Record<string, { readonly schema?: unknown }>>;
}

interface ValidDocument {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly tags?: readonly { readonly name: string }[];
}

/** All that is wrong with a document, one line each; none: it passes. */
export async function openApiViolations(document: OpenApiDocument, rules: OpenApiRules = {}): Promise<string[]> {
  const { valid, errors } = await new Validator({ allErrors: true }).validate({ ...document });
  if (!valid) return typeof errors === 'string' ? [errors] : linesOf('', errors ?? []);
  const { paths = {}, tags = [] } = document as ValidDocument; // by the schema of OpenAPI
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
  const declaredTags = new Set(tags.map(({ name }) => name));
  return [
    ...schemaViolations(document),
    ...repeated(operations.map(({ operation }) => operation.operationId ?? '')).map(
      (id) => `operationId "${id}": repeated`,
    ),
    ...repeated(Object.keys(paths).map((path) => path.replaceAll(/\{[^}]*\}/g, '{}'))).map(
      (path) => `${path}: two paths differ in nothing but the names of their parameters`,
    ),
    ...operations.flatMap(({ name, path, operation }) =>
      [
        ...operationViolations(operation, declaredTags),
        ...parameterViolations(path, operation),
        ...errorViolations(operation, errorRefOf(path, rules)),
      ].map((violation) => `${name}: ${violation}`),
    ),
  ];
}

/** OpenAPI's own schema leaves those within open: they are of JSON Schema 2020-12. */
function schemaViolations(document: OpenApiDocument): string[] {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  return schemasOf(document, '').flatMap(({ place, schema }) => {
    ajv.validateSchema(schema);
    return linesOf(place, ajv.errors ?? []);
  });
}

interface Placed {
  readonly place: string;
  readonly schema: object;
}

function schemasOf(part: unknown, place: string): Placed[] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([key, value]: [string, unknown]) => {
    const within = `${place}/${key}`;
    const isSchema = (key === 'schema' && !Array.isArray(part)) || place === '/components/schemas';
    return isSchema ? [{ place: within, schema: value as object }] : schemasOf(value, within); // an object in a valid document
  });
}

function operationViolations({ operationId, summary, description, tags = [] }: Operation, declared: Set<string>) {
  return [
    ...(/^[a-z]\w+$/.test(operationId ?? '') ? [] : ['has no operationId that could name a function']),
    ...((summary ?? description ?? '').trim() === '' ? ['has neither summary nor description'] : []),
    ...(tags.length === 0 ? ['has no tag'] : []),
    ...tags.filter((tag) => !declared.has(tag)).map((tag) => `its tag "${tag}" is not among the document's`),
  ];
}

function parameterViolations(path: string, { parameters = [] }: Operation): string[] {
  const used = Array.from(path.matchAll(/\{([^}]*)\}/g), ([, name = '']) => name);
  const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  return [
    ...declared.filter((name) => !used.includes(name)).map((name) => `its parameter "${name}" is not in the path`),
    ...used.filter((name) => !/^\w+$/.test(name)).map((name) => `"${name}" of the path is no name for a variable`),
    ...used.filter((name) => !declared.includes(name)).map((name) => `"${name}" of the path is not declared`),
    ...repeated(parameters.map((parameter) => `${parameter.in} "${parameter.name}"`)).map((one) => `${one}: repeated`),
  ];
}

/** Each error has the form that its path's errors have; but what tells of readiness says the same whatever the status. */
function errorViolations({ responses = {} }: Operation, errorRef: string): string[] {
  const errors = Object.entries(responses).filter(([status]) => /^([45]..|default)$/.test(status));
  const report = refOf(responses['200']);
  const isReport = (status: string, answer: Answer) =>
    status === '503' && report !== undefined && refOf(answer) === report;
  return [
    ...(responses.default === undefined ? ['does not say what any other error looks like (default)'] : []),
    ...errors
      .filter(([status, answer]) => refOf(answer) !== errorRef && !isReport(status, answer))
      .map(
        ([status, answer]) => `its answer ${status} is ${refOf(answer) ?? 'no named form of JSON'}, not ${errorRef}`,
      ),
  ];
}

function errorRefOf(path: string, { errorForms = {} }: OpenApiRules): string {
  const form = Object.entries(errorForms).find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`));
  return form === undefined ? ERROR_REF : `#/components/schemas/${form[1]}`;
}

/** Of an answer that is JSON of a named schema, and nothing else. */
function refOf(answer: Answer | undefined): string | undefined {
  const [[type, { schema }] = ['', {}], ...others] = Object.entries(answer?.content ?? {});
  const { $ref } = (schema ?? {}) as { $ref?: string }; // a schema is an object
  return type === 'application/json' && others.length === 0 ? $ref : undefined;
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];
}

function linesOf(place: string, errors: readonly ErrorObject[]): string[] {
  return errors.map(({ instancePath, message }) => `${place}${instancePath}: ${message}`);
}
