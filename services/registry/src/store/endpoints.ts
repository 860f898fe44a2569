/** Endpoints: where traffic goes. Each write names the revision that it saw, and is an entry of the audit chain. */
import {
  AssayError,
  DEFAULT_ENDPOINT_TIMEOUT_MS,
  type Endpoint,
  type EndpointCache,
  type EndpointLimits,
  type Page,
  type PutEndpoint,
  type Shadow,
  type Signature,
  type Variant,
} from '@assay/contracts';
import {
  checkContract,
  checkReservedName,
  checkShadows,
  checkVariants,
  contractProblems,
  refuseBrokenContract,
  TOTAL_WEIGHT,
} from '../domain/endpoint-rules.ts';
import { CHAMPION } from '../domain/names.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import {
  cacheOf,
  describeTarget,
  endpointOf,
  findEndpoint,
  followOf,
  insertEndpoint,
  limitsOf,
  requireEndpoint,
  shadowsOf,
  type Target,
  updateEndpoint,
} from './endpoint-rows.ts';
import { passEndpointGates } from './gate-passages.ts';
import { type ModelRow, requireModel } from './models.ts';
import { refuseWhilePiped } from './pipelines.ts';
import { checkRevision } from './stale.ts';
import { type EndpointsTable, fromJson, type Queryable, type VersionsTable } from './tables.ts';
import { endpointUsed } from './version-uses.ts';
import { requireCandidates } from './versions.ts';

/** @throws AssayError NOT_FOUND with the nearest name */
export async function getEndpoint(db: Queryable, name: string): Promise<Endpoint> {
  return endpointOf(await requireEndpoint(db, name));
}

/** By name, ascending. */
export async function listEndpoints(db: Queryable, page: { after?: string; limit: number }): Promise<Page<Endpoint>> {
  let query = db.selectFrom('endpoints').selectAll().where('deleted_at', 'is', null);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  const rows = await query
    .orderBy('name')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map(endpointOf);
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.name } : { items };
}

/**
 * Makes an endpoint, or changes one. What the body leaves out stays as it is; a new endpoint without a contract gets
 * the signature of its first version.
 * @throws AssayError STALE_REVISION; FAILED_PRECONDITION with the reasons when a version does not satisfy the contract,
 *   or the name is reserved for another model; GatesNotMet, unless the body forces it; INVALID_ARGUMENT with the places
 */
export function putEndpoint(store: Store, actor: Actor, name: string, body: PutEndpoint): Promise<Endpoint> {
  if (body.variants !== undefined) checkVariants(body.variants);
  if (body.contract !== undefined) checkContract(body.contract);
  if (body.variants !== undefined && body.follow !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', 'variants: an endpoint has variants or follows an alias, not both', {
      details: [{ place: 'variants', message: 'stands beside `follow`', expected: '`variants` or `follow`' }],
    });
  }
  return change(store, actor, async (change) => {
    const current = await findEndpoint(change.trx, name);
    checkRevision({
      what: `endpoint ${name}`,
      expectedRevision: body.expectedRevision,
      currentRevision: current?.revision ?? 0,
      ...(current === undefined
        ? {}
        : { last: { by: current.updated_by, at: current.updated_at, state: describeTarget(current) } }),
    });
    const target = await resolveTarget(change.trx, body, current);
    const shadows = shadowsAfter(body.shadows, target, current);
    const candidates = await requireCandidates(
      change.trx,
      [...target.variants, ...shadows].map(({ versionId }) => versionId),
    );
    const [first] = candidates;
    if (first === undefined) throw new AssayError('INVALID_ARGUMENT', 'variants: an endpoint needs one at least');
    const contract = body.contract ?? (current === undefined ? first.signature : fromJson<Signature>(current.contract));
    const owner = await change.trx
      .selectFrom('models')
      .select(['id', 'name'])
      .where('name', '=', name)
      .executeTakeFirst();
    checkReservedName(name, owner, candidates);
    refuseBrokenContract(`endpoint ${name}: this`, contractProblems(name, contract, candidates));
    const from = current === undefined ? [] : fromJson<Variant[]>(current.variants);
    const passage = await passEndpointGates(change, { endpoint: name, from, to: target.variants }, body.force);
    const next = {
      contract,
      variants: target.variants,
      follow: target.follow,
      defaultTimeoutMs: body.defaultTimeoutMs ?? current?.default_timeout_ms ?? DEFAULT_ENDPOINT_TIMEOUT_MS,
      limits: limitsAfter(body.limits, current),
      cache: cacheAfter(body.cache, current),
      shadows,
    };
    return current === undefined
      ? insertEndpoint(change, name, next, passage)
      : updateEndpoint(change, current, next, 'endpoint.update', 'assay.endpoint.updated.v1', passage);
  });
}

/** @throws AssayError STALE_REVISION, NOT_FOUND; FAILED_PRECONDITION while a pipeline scores at it */
export function deleteEndpoint(store: Store, actor: Actor, name: string, expectedRevision: number): Promise<void> {
  return change(store, actor, async (change) => {
    const current = await requireEndpoint(change.trx, name);
    checkRevision({
      what: `endpoint ${name}`,
      expectedRevision,
      currentRevision: current.revision,
      last: { by: current.updated_by, at: current.updated_at, state: describeTarget(current) },
    });
    await refuseWhilePiped(change.trx, name);
    const row: EndpointsTable = {
      ...current,
      revision: current.revision + 1,
      updated_at: change.at,
      updated_by: change.actor.principal,
      deleted_at: change.at,
    };
    await change.trx.updateTable('endpoints').set(row).where('id', '=', row.id).execute();
    await endpointUsed(change, row, []);
    await change.trx.deleteFrom('shadow_reports').where('endpoint_id', '=', row.id).execute();
    change.record('endpoint.delete', `endpoint/${row.id}`, { name, revision: row.revision });
    change.announce('assay.endpoint.deleted.v1', row.id, row.revision, endpointOf(row));
    change.rerouted();
  });
}

/** A model's first `champion` that can be served: its default endpoint, unless someone made one of that name before. */
export async function createDefaultEndpoint(change: Change, model: ModelRow, version: VersionsTable): Promise<void> {
  if (version.not_servable !== null || (await findEndpoint(change.trx, model.name)) !== undefined) return;
  await insertEndpoint(change, model.name, {
    contract: fromJson<Signature>(version.signature),
    variants: [{ versionId: version.id, weight: TOTAL_WEIGHT }],
    follow: { modelId: model.id, alias: CHAMPION },
    defaultTimeoutMs: DEFAULT_ENDPOINT_TIMEOUT_MS,
    limits: null,
    cache: null,
    shadows: [],
  });
}

/**
 * The endpoints that follow the alias go to its new version, each with its own revision and entry.
 * @throws AssayError FAILED_PRECONDITION when the version breaks the contract of one; then none moves
 */
export async function moveFollowers(
  change: Change,
  move: { readonly model: ModelRow; readonly alias: string; readonly version: VersionsTable },
): Promise<void> {
  const { model, alias, version } = move;
  const followers = await followersOf(change.trx, model.id, alias);
  const candidates = await requireCandidates(change.trx, [version.id]);
  refuseBrokenContract(
    `moving ${alias} of ${model.name} to version ${version.version}`,
    followers.flatMap((row) => contractProblems(row.name, fromJson<Signature>(row.contract), candidates)),
  );
  for (const row of followers) {
    const next = {
      contract: fromJson<Signature>(row.contract),
      variants: [{ versionId: version.id, weight: TOTAL_WEIGHT }],
      follow: { modelId: model.id, alias },
      defaultTimeoutMs: row.default_timeout_ms,
      limits: limitsOf(row),
      cache: cacheOf(row),
      shadows: shadowsOf(row).filter(({ versionId }) => versionId !== version.id),
    };
    await updateEndpoint(change, row, next, 'endpoint.move', 'assay.endpoint.moved.v1');
  }
}

export function followersOf(db: Queryable, modelId: string, alias: string): Promise<EndpointsTable[]> {
  return db
    .selectFrom('endpoints')
    .selectAll()
    .where('follow_model_id', '=', modelId)
    .where('follow_alias', '=', alias)
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute();
}

/** What the body says, or what is there; null removes it. */
function cacheAfter(
  named: EndpointCache | null | undefined,
  current: EndpointsTable | undefined,
): EndpointCache | null {
  if (named !== undefined) return named;
  return current === undefined ? null : cacheOf(current);
}

/** All limits at once: those that the body names, none for `{}`, or those that are there. */
function limitsAfter(named: EndpointLimits | undefined, current: EndpointsTable | undefined): EndpointLimits | null {
  if (named !== undefined) return Object.keys(named).length === 0 ? null : named;
  return current === undefined ? null : limitsOf(current);
}

/**
 * The shadows that the body names, or those that are there but for what serves from now on: a version is not compared
 * with itself.
 * @throws AssayError INVALID_ARGUMENT with each wrong place
 */
function shadowsAfter(
  named: readonly Shadow[] | undefined,
  { variants }: Target,
  current: EndpointsTable | undefined,
): readonly Shadow[] {
  const serving = new Set(variants.map(({ versionId }) => versionId));
  if (named !== undefined) {
    checkShadows(named, serving);
    return named;
  }
  return current === undefined ? [] : shadowsOf(current).filter(({ versionId }) => !serving.has(versionId));
}

/** Where the endpoint is to send its traffic: what the body says, or what it does now. */
async function resolveTarget(db: Queryable, body: PutEndpoint, current: EndpointsTable | undefined): Promise<Target> {
  if (body.variants !== undefined) return { variants: body.variants, follow: null };
  if (body.follow !== undefined) {
    const model = await requireModel(db, body.follow.model);
    const alias = await db
      .selectFrom('aliases')
      .select('version_id')
      .where('model_id', '=', model.id)
      .where('alias', '=', body.follow.alias)
      .executeTakeFirst();
    if (alias === undefined || alias.version_id === null) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `follow.alias: model ${model.name} has no alias "${body.follow.alias}"; make it first`,
        {
          details: [
            {
              place: 'follow.alias',
              message: `there is no alias "${body.follow.alias}"`,
              expected: `an alias of ${model.name}`,
            },
          ],
        },
      );
    }
    return {
      variants: [{ versionId: alias.version_id, weight: TOTAL_WEIGHT }],
      follow: { modelId: model.id, alias: body.follow.alias },
    };
  }
  if (current !== undefined) return { variants: fromJson<Variant[]>(current.variants), follow: followOf(current) };
  throw new AssayError('INVALID_ARGUMENT', 'variants: a new endpoint needs `variants` or `follow`', {
    details: [{ place: 'variants', message: 'is required, or `follow`', expected: '`variants` or `follow`' }],
  });
}
