/** Endpoints as rows: read, and written with their entry and their event. */
import { randomBytes } from 'node:crypto';
import {
  AssayError,
  type Endpoint,
  type EndpointCache,
  type EndpointLimits,
  nearest,
  type Shadow,
  type Signature,
  type Variant,
} from '@assay/contracts';
import { newId } from '@assay/runtime';
import type { Change } from './change.ts';
import type { Passage } from './gate-passages.ts';
import { type EndpointsTable, fromJson, type Queryable } from './tables.ts';
import { endpointUsed } from './version-uses.ts';

/** Names looked at for a "did you mean". */
const NAMES_TO_SUGGEST = 1000;

/** Where an endpoint sends its traffic. */
export interface Target {
  readonly variants: readonly Variant[];
  readonly follow: { readonly modelId: string; readonly alias: string } | null;
}

export interface EndpointState extends Target {
  readonly contract: Signature;
  readonly defaultTimeoutMs: number;
  readonly limits: EndpointLimits | null;
  readonly cache: EndpointCache | null;
  readonly shadows: readonly Shadow[];
}

/** @param passage how it passed gates, for the audit entry; as of `updateEndpoint` */
export async function insertEndpoint(
  change: Change,
  name: string,
  state: EndpointState,
  passage: Passage = {},
): Promise<Endpoint> {
  // A name that was used before goes on counting: see tables.ts.
  const before = await change.trx
    .selectFrom('endpoints')
    .select((eb) => eb.fn.max('revision').as('revision'))
    .where('name', '=', name)
    .executeTakeFirst();
  const row: EndpointsTable = {
    id: newId('ept'),
    name,
    ...columnsOf(state),
    salt: randomBytes(12).toString('base64url'),
    revision: Number(before?.revision ?? 0) + 1,
    created_at: change.at,
    updated_at: change.at,
    updated_by: change.actor.principal,
    deleted_at: null,
  };
  await change.trx.insertInto('endpoints').values(row).execute();
  await endpointUsed(change, row, usedBy(state));
  change.record('endpoint.create', `endpoint/${row.id}`, {
    name,
    revision: row.revision,
    variants: state.variants,
    follow: state.follow,
    defaultTimeoutMs: state.defaultTimeoutMs,
    ...(state.limits === null ? {} : { limits: state.limits }),
    ...(state.cache === null ? {} : { cache: state.cache }),
    ...(state.shadows.length === 0 ? {} : { shadows: state.shadows }),
    contract: state.contract,
    ...passage,
  });
  change.rerouted();
  const endpoint = endpointOf(row);
  change.announce('assay.endpoint.created.v1', row.id, row.revision, endpoint);
  return endpoint;
}

export async function updateEndpoint(
  change: Change,
  current: EndpointsTable,
  state: EndpointState,
  action: 'endpoint.update' | 'endpoint.move',
  event: 'assay.endpoint.updated.v1' | 'assay.endpoint.moved.v1',
  passage: Passage = {},
): Promise<Endpoint> {
  const columns = columnsOf(state);
  const changed = Object.entries(columns).filter(([key, value]) => current[key as keyof typeof columns] !== value); // keys of `columns`
  if (changed.length === 0) return endpointOf(current);
  const row: EndpointsTable = {
    ...current,
    ...columns,
    revision: current.revision + 1,
    updated_at: change.at,
    updated_by: change.actor.principal,
  };
  await change.trx.updateTable('endpoints').set(row).where('id', '=', row.id).execute();
  await endpointUsed(change, row, usedBy(state));
  change.record(action, `endpoint/${row.id}`, {
    name: row.name,
    revision: row.revision,
    from: { variants: fromJson<Variant[]>(current.variants), follow: followOf(current) },
    to: { variants: state.variants, follow: state.follow },
    ...(current.default_timeout_ms === row.default_timeout_ms ? {} : { defaultTimeoutMs: row.default_timeout_ms }),
    ...(current.limits === row.limits ? {} : { limits: state.limits }),
    ...(current.cache === row.cache ? {} : { cache: state.cache }),
    ...(current.shadows === row.shadows ? {} : { shadows: state.shadows }),
    ...(current.contract === row.contract ? {} : { contract: state.contract }),
    ...passage,
  });
  change.rerouted();
  const endpoint = endpointOf(row);
  change.announce(event, row.id, row.revision, endpoint);
  return endpoint;
}

function columnsOf(state: EndpointState) {
  return {
    contract: JSON.stringify(state.contract),
    variants: JSON.stringify(state.variants),
    follow_model_id: state.follow?.modelId ?? null,
    follow_alias: state.follow?.alias ?? null,
    default_timeout_ms: state.defaultTimeoutMs,
    limits: state.limits === null ? null : JSON.stringify(state.limits),
    cache: state.cache === null ? null : JSON.stringify(state.cache),
    shadows: state.shadows.length === 0 ? null : JSON.stringify(state.shadows),
  };
}

export async function requireEndpoint(db: Queryable, name: string): Promise<EndpointsTable> {
  const row = await findEndpoint(db, name);
  if (row !== undefined) return row;
  const rows = await db
    .selectFrom('endpoints')
    .select('name')
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .limit(NAMES_TO_SUGGEST)
    .execute();
  const suggestion = nearest(
    name,
    rows.map((endpoint) => endpoint.name),
  );
  throw new AssayError(
    'NOT_FOUND',
    `there is no endpoint "${name}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
  );
}

export function findEndpoint(db: Queryable, name: string): Promise<EndpointsTable | undefined> {
  return db
    .selectFrom('endpoints')
    .selectAll()
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

export function followOf(row: EndpointsTable): Target['follow'] {
  return row.follow_model_id === null || row.follow_alias === null
    ? null
    : { modelId: row.follow_model_id, alias: row.follow_alias };
}

export function limitsOf(row: Pick<EndpointsTable, 'limits'>): EndpointLimits | null {
  return row.limits === null ? null : fromJson<EndpointLimits>(row.limits);
}

export function cacheOf(row: Pick<EndpointsTable, 'cache'>): EndpointCache | null {
  return row.cache === null ? null : fromJson<EndpointCache>(row.cache);
}

export function shadowsOf(row: Pick<EndpointsTable, 'shadows'>): readonly Shadow[] {
  return row.shadows === null ? [] : fromJson<Shadow[]>(row.shadows);
}

/** Every version that an endpoint keeps in memory; shadows answer nobody. */
function usedBy({ variants, shadows }: EndpointState): Variant[] {
  return [...variants, ...shadows.map(({ versionId }) => ({ versionId, weight: 0 }))];
}

export function describeTarget(row: EndpointsTable): string {
  const follow = followOf(row);
  if (follow !== null) return `following alias ${follow.alias}`;
  const variants = fromJson<Variant[]>(row.variants).map((variant) => `${variant.versionId} ${variant.weight / 100} %`);
  return `serving ${variants.join(', ')}`;
}

export function endpointOf(row: EndpointsTable): Endpoint {
  const follow = followOf(row);
  const limits = limitsOf(row);
  const cache = cacheOf(row);
  const shadows = shadowsOf(row);
  return {
    id: row.id,
    name: row.name,
    contract: fromJson<Signature>(row.contract),
    variants: fromJson<Variant[]>(row.variants),
    ...(follow === null ? {} : { follow: { ...follow, strategy: 'immediate' as const } }),
    salt: row.salt,
    defaultTimeoutMs: row.default_timeout_ms,
    ...(limits === null ? {} : { limits }),
    ...(cache === null ? {} : { cache }),
    ...(shadows.length === 0 ? {} : { shadows: [...shadows] }),
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    updatedBy: row.updated_by,
  };
}
