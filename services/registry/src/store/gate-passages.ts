/** How versions pass the gates of their models: asked in the change that moves an alias, an endpoint or a stage. */
import type { Force, GateReport, GateResult, Gates, Variant } from '@assay/contracts';
import { type Destination, GatesNotMet, isGuarded } from '../domain/gate-rules.ts';
import { fromAnotherModel, judge } from '../domain/gate-verdicts.ts';
import { CHAMPION } from '../domain/names.ts';
import type { Change } from './change.ts';
import { readGates } from './gate-rows.ts';
import { readGatedVersion, readMeasured, readShadowCounts } from './measured-versions.ts';
import { type ModelRow, requireModel } from './models.ts';
import { fromJson, type Queryable, type VersionsTable } from './tables.ts';
import { requireVersion } from './versions.ts';

/** How a version stands before the gates of an alias; nothing moves. */
export async function readGateReport(
  db: Queryable,
  modelNameOrId: string,
  numberOrId: string,
  alias: string,
): Promise<GateReport> {
  const model = await requireModel(db, modelNameOrId);
  const version = await requireVersion(db, model, numberOrId);
  const { gates, revision } = await readGates(db, model);
  const guarded = isGuarded(gates, await destinationOf(db, model, alias));
  const results = await judgeVersion(db, model, version, gates);
  return {
    modelId: model.id,
    modelName: model.name,
    versionId: version.id,
    version: version.version,
    alias,
    guarded,
    passed: !guarded || results.every(({ passed }) => passed),
    revision,
    gates: results,
  };
}

/** Says in the audit entry of a move that gates did not hold it back. */
export interface Passage {
  readonly forced?: { readonly reason: string; readonly missing: readonly GateResult[] };
}

/**
 * Before `version` goes behind the alias, and with it behind the endpoints that follow.
 * @throws GatesNotMet without `force`
 */
export async function passAliasGates(
  { trx }: Change,
  move: { readonly model: ModelRow; readonly alias: string; readonly version: VersionsTable },
  force: Force | undefined,
): Promise<Passage> {
  const { model, alias, version } = move;
  const missing = await missingFor(trx, model, version, await destinationOf(trx, model, alias));
  return pass(`${alias} of ${model.name} does not move to version ${version.version}`, missing, force);
}

/**
 * Before `version` gets MLflow's stage Production.
 * @throws GatesNotMet
 */
export async function passProductionGates({ trx }: Change, model: ModelRow, version: VersionsTable): Promise<void> {
  const missing = await missingFor(trx, model, version, { kind: 'production' });
  pass(`version ${version.version} of ${model.name} does not go to Production`, missing, undefined);
}

/**
 * Before an endpoint gives a version more traffic than it has there now. What a guarded champion names may have all of it.
 * Where the gates of a model guard an endpoint, versions of models whose gates do not are no way around them.
 * @throws GatesNotMet without `force`
 */
export async function passEndpointGates(
  { trx }: Change,
  move: { readonly endpoint: string; readonly from: readonly Variant[]; readonly to: readonly Variant[] },
  force: Force | undefined,
): Promise<Passage> {
  const weights = new Map(move.from.map(({ versionId, weight }) => [versionId, weight]));
  const grown = move.to.filter(({ versionId, weight }) => weight > (weights.get(versionId) ?? 0));
  const missing: GateResult[] = [];
  const held: string[] = [];
  for (const { versionId } of grown) {
    const version = await trx.selectFrom('versions').selectAll().where('id', '=', versionId).executeTakeFirstOrThrow();
    const model = await requireModel(trx, version.model_id);
    const ofVersion = await missingAt(trx, move.endpoint, model, version);
    if (ofVersion.length > 0) held.push(`version ${version.version} of ${model.name}`);
    missing.push(...ofVersion);
  }
  return pass(`endpoint ${move.endpoint} does not serve ${held.join(' and ')}`, missing, force);
}

function pass(what: string, missing: readonly GateResult[], force: Force | undefined): Passage {
  if (force !== undefined) return { forced: { reason: force.reason, missing } };
  if (missing.length > 0) throw new GatesNotMet(what, missing);
  return {};
}

async function missingFor(
  db: Queryable,
  model: ModelRow,
  version: VersionsTable,
  to: Destination,
): Promise<GateResult[]> {
  const { gates } = await readGates(db, model);
  return isGuarded(gates, to) ? unmet(db, model, version, gates) : [];
}

async function unmet(db: Queryable, model: ModelRow, version: VersionsTable, gates: Gates): Promise<GateResult[]> {
  return (await judgeVersion(db, model, version, gates)).filter(({ passed }) => !passed);
}

async function missingAt(
  db: Queryable,
  endpoint: string,
  model: ModelRow,
  version: VersionsTable,
): Promise<GateResult[]> {
  const to: Destination = { kind: 'endpoint', endpoint };
  const { gates } = await readGates(db, model);
  if (!isGuarded(gates, to)) {
    const guarding = await modelGuarding(db, endpoint);
    return guarding === undefined ? [] : [fromAnotherModel(guarding, model.name)];
  }
  return (await isGuardedChampion(db, model, version, gates)) ? [] : unmet(db, model, version, gates);
}

/** The name of a model that guards the endpoint: one whose versions it serves, or served last where it was deleted. */
async function modelGuarding(db: Queryable, endpoint: string): Promise<string | undefined> {
  const last = await db
    .selectFrom('endpoints')
    .select('variants')
    .where('name', '=', endpoint)
    .orderBy('revision', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last === undefined) return undefined;
  const served = fromJson<Variant[]>(last.variants).map(({ versionId }) => versionId);
  const rows = await db
    .selectFrom('model_gates')
    .innerJoin('models', 'models.id', 'model_gates.model_id')
    .select(['models.name', 'model_gates.gates'])
    .where('model_gates.model_id', 'in', (eb) =>
      eb.selectFrom('versions').select('versions.model_id').where('versions.id', 'in', served),
    )
    .orderBy('models.name')
    .execute();
  return rows.find(({ gates }) => isGuarded(fromJson<Gates>(gates), { kind: 'endpoint', endpoint }))?.name;
}

async function judgeVersion(
  db: Queryable,
  model: ModelRow,
  version: VersionsTable,
  gates: Gates,
): Promise<GateResult[]> {
  const champion = await lastChampion(db, model);
  const measured = champion === undefined ? undefined : await readMeasured(db, champion);
  const shadow =
    champion === undefined || gates.shadow === undefined
      ? undefined
      : await readShadowCounts(db, { versionId: version.id, besideId: champion.id }, (endpoint) =>
          isGuarded(gates, { kind: 'endpoint', endpoint }),
        );
  return judge(gates, { ...(await readGatedVersion(db, model, version)), shadow }, measured);
}

/** The alias, with the endpoints that go where it goes: a first champion makes the endpoint of the model's name. */
async function destinationOf(db: Queryable, model: ModelRow, alias: string): Promise<Destination> {
  const followers = await db
    .selectFrom('endpoints')
    .select('name')
    .where('follow_model_id', '=', model.id)
    .where('follow_alias', '=', alias)
    .where('deleted_at', 'is', null)
    .execute();
  const endpoints = followers.map(({ name }) => name);
  return { kind: 'alias', alias, endpoints: alias === CHAMPION ? [...endpoints, model.name] : endpoints };
}

async function isGuardedChampion(
  db: Queryable,
  model: ModelRow,
  version: VersionsTable,
  gates: Gates,
): Promise<boolean> {
  if (!isGuarded(gates, await destinationOf(db, model, CHAMPION))) return false;
  return (await findChampion(db, model))?.id === version.id;
}

function findChampion(db: Queryable, model: ModelRow): Promise<VersionsTable | undefined> {
  return db
    .selectFrom('aliases')
    .innerJoin('versions', 'versions.id', 'aliases.version_id')
    .selectAll('versions')
    .where('aliases.model_id', '=', model.id)
    .where('aliases.alias', '=', CHAMPION)
    .executeTakeFirst();
}

/** Who deletes the alias, or its version, and makes it anew has the last champion to beat all the same. */
async function lastChampion(db: Queryable, model: ModelRow): Promise<VersionsTable | undefined> {
  const now = await findChampion(db, model);
  if (now !== undefined) return now;
  return db
    .selectFrom('version_uses')
    .innerJoin('versions', 'versions.id', 'version_uses.version_id')
    .selectAll('versions')
    .where('version_uses.kind', '=', 'alias')
    .where('version_uses.subject', '=', `${model.id}/${CHAMPION}`)
    .orderBy('version_uses.revision', 'desc')
    .limit(1)
    .executeTakeFirst();
}
