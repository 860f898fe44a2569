/**
 * How values travel in MLflow's JSON, and how a route of MLflow's is declared. Bodies are read as its own server reads
 * them: what a newer client sends beside is passed over.
 */
import type { App, RouteAccess } from '@assay/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static, type TObject, type TProperties } from 'typebox';
import { invalid } from './errors.ts';
import type { MetricPoint, Special } from './store/mlflow-tables.ts';

export const PREFIX = '/api/2.0/mlflow';

/** Protobuf's JSON writes 64-bit integers as text; MLflow's Python client as numbers. */
export const Int64 = Type.Union([Type.Integer(), Type.String({ pattern: '^-?\\d{1,19}$' })]);
/** Numbers, and the words that JSON has no numbers for. */
export const Double = Type.Union([Type.Number(), Type.String({ maxLength: 64 })]);
/** Names, keys, ids: longer ones fill indexes and screens. */
export const Key = Type.String({ minLength: 1, maxLength: 250 });
export const Name = Type.String({ minLength: 1, maxLength: 256 });
export const Text = Type.String({ maxLength: 100_000 });
/** Of experiments, runs and logged models. */
export const Id = Type.String({ minLength: 1, maxLength: 100 });
export const View = Type.Enum(['ACTIVE_ONLY', 'DELETED_ONLY', 'ALL']);
export const Tag = Type.Object({ key: Key, value: Type.Optional(Text) });
export const Tags = Type.Optional(Type.Array(Tag, { maxItems: 1000 }));
export const SearchFields = {
  filter: Type.Optional(Type.String()),
  max_results: Type.Optional(Int64),
  order_by: Type.Optional(Type.Array(Type.String({ maxLength: 1000 }), { maxItems: 20 })),
  page_token: Type.Optional(Type.String({ maxLength: 200 })),
};

/** @throws AssayError INVALID_ARGUMENT beyond 2^53, which no step or time is */
export function toInteger(value: number | string, place: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalid(place, `${value} is beyond 2^53`);
  return number;
}

/** @throws AssayError INVALID_ARGUMENT for a page larger than `max` */
export function pageSize(value: number | string | undefined, standard: number, max: number): number {
  if (value === undefined) return standard;
  const size = toInteger(value, 'max_results');
  if (size < 1 || size > max) throw invalid('max_results', `is ${size}`, `1 to ${max}`);
  return size;
}

const SPECIALS: Readonly<Record<string, Special>> = {
  nan: 'NaN',
  infinity: 'Infinity',
  inf: 'Infinity',
  '-infinity': '-Infinity',
  '-inf': '-Infinity',
};

/** A number as columns hold it. @throws AssayError INVALID_ARGUMENT */
export function toPointValue(value: number | string, place: string): Pick<MetricPoint, 'value' | 'special'> {
  const special = typeof value === 'string' ? SPECIALS[value.toLowerCase()] : undefined;
  if (special === 'NaN') return { value: 0, special };
  if (special !== undefined) return { value: special === 'Infinity' ? Number.MAX_VALUE : -Number.MAX_VALUE, special };
  const number = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value);
  if (!Number.isFinite(number))
    throw invalid(place, `${JSON.stringify(value)} is no number`, 'a number, NaN or Infinity');
  return { value: number, special: '' };
}

export function fromPoint({ key, value, special, timestamp, step }: MetricPoint): Record<string, unknown> {
  return { key, value: special === '' ? value : special, timestamp, step };
}

export function tagList(tags: Readonly<Record<string, string>>): { key: string; value: string }[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

/** A tag that is sent without a value has the empty one. */
export function tagRecord(
  tags: readonly { readonly key: string; readonly value?: string | undefined }[] | undefined,
): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ key, value = '' }) => [key, value]));
}

export interface MlflowCall<B> {
  readonly body: B;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** A parameter of the path; '' where the path has none of that name. */
  param(name: string): string;
}

export interface MlflowRoute<P extends TProperties> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below `PREFIX`. */
  readonly path: string;
  readonly access: RouteAccess;
  /** The fields of the body; of the query for GET. */
  readonly fields: P;
  handle(call: MlflowCall<Static<TObject<P>>>): Promise<unknown>;
}

export function addMlflowRoute<P extends TProperties>(app: App, route: MlflowRoute<P>): void {
  const schema = Type.Object(route.fields, { additionalProperties: true });
  const isQuery = route.method === 'GET';
  app.route({
    method: route.method,
    url: PREFIX + route.path,
    config: { access: route.access },
    // Described by MLflow's own reference, and not in ours.
    schema: { hide: true, ...(isQuery ? { querystring: schema } : { body: schema }) },
    handler: async (request, reply) => {
      const body = (isQuery ? request.query : request.body) as Static<TObject<P>>; // checked against `schema` before
      const params = request.params as Readonly<Record<string, string>>; // by the router: text by name
      return (await route.handle({ body, request, reply, param: (name) => params[name] ?? '' })) ?? {};
    },
  });
}
