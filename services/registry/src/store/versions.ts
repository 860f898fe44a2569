/** Versions: one immutable package under a model. A version is in the table whole, or not at all. */
import { AssayError, type PackageFile, type Page, type Signature, type Version } from '@assay/contracts';
import { newId } from '@assay/runtime';
import type { CandidateVersion } from '../domain/endpoint-rules.ts';
import { looksLikeId, shownName } from '../domain/names.ts';
import { sameFiles } from '../domain/package-files.ts';
import type { VersionChecks } from '../domain/version-checks.ts';
import type { VersionOrigin } from '../domain/version-origin.ts';
import { type BlobClaim, settleClaim } from './blob-claims.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { type ModelRow, modelChanged, requireDeletedModel, requireModel } from './models.ts';
import { fromJson, type Queryable, type VersionsTable } from './tables.ts';
import { keepOrigin } from './version-origin.ts';

/** What a checked package says; all of it is known before the version gets its number. */
export interface NewVersion {
  /** On the blobs of `files`. */
  readonly claim: BlobClaim;
  readonly digest: string;
  readonly files: readonly PackageFile[];
  readonly signature: Signature;
  readonly metrics: Readonly<Record<string, number>>;
  readonly origin: VersionOrigin;
  /** Absent for one that cannot be served. */
  readonly checks?: VersionChecks;
  readonly description: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  /** Given away before, by `reserveVersion`. */
  readonly reserved?: { readonly id: string; readonly version: number };
  /** Why no endpoint can serve it. */
  readonly notServable?: string;
}

/**
 * Gives the package its id and number: consecutive within the model, distinct under any concurrency, since the model's
 * row is read and written in one transaction. `created` is false when the idempotency key had made a version before.
 */
export function insertVersion(
  store: Store,
  actor: Actor,
  modelId: string,
  made: NewVersion,
): Promise<{ version: Version; created: boolean }> {
  return change(store, actor, async (change) => addVersion(change, await requireModel(change.trx, modelId), made));
}

/** As part of a larger change, which has read the model. */
export async function addVersion(
  change: Change,
  model: ModelRow,
  made: NewVersion,
): Promise<{ version: Version; created: boolean }> {
  if (made.idempotencyKey !== undefined) {
    const before = await findByIdempotencyKey(change.trx, model, made.idempotencyKey, made.files);
    if (before !== undefined) return { version: before, created: false };
  }
  const row: VersionsTable = {
    id: made.reserved?.id ?? newId('ver'),
    model_id: model.id,
    version: made.reserved?.version ?? model.last_version + 1,
    digest: made.digest,
    files: JSON.stringify(made.files),
    signature: JSON.stringify(made.signature),
    metrics: JSON.stringify(made.metrics),
    description: made.description,
    tags: JSON.stringify(made.tags),
    idempotency_key: made.idempotencyKey ?? null,
    created_at: change.at,
    created_by: change.actor.principal,
    deleted_at: null,
    not_servable: made.notServable ?? null,
    stage: 'None',
    revision: 1,
    updated_at: null,
  };
  await settleClaim(change.trx, made.claim);
  await change.trx.insertInto('versions').values(row).execute();
  for (const [key, value] of Object.entries(made.tags)) {
    await change.trx
      .insertInto('version_tags')
      .values({ version_id: row.id, key, value, created_at: row.created_at })
      .execute();
  }
  await keepOrigin(change.trx, row, made.origin);
  if (made.checks !== undefined) {
    const checks = { version_id: row.id, checks: JSON.stringify(made.checks) };
    await change.trx.insertInto('version_checks').values(checks).execute();
  }
  if (made.reserved === undefined) {
    await change.trx.updateTable('models').set({ last_version: row.version }).where('id', '=', model.id).execute();
  } else {
    const { numUpdatedRows } = await change.trx
      .updateTable('mlflow_versions')
      .set({ is_pending: 0 })
      .where('version_id', '=', row.id)
      .where('is_pending', '=', 1)
      .executeTakeFirstOrThrow();
    if (numUpdatedRows === 0n)
      throw new AssayError('NOT_FOUND', `version ${row.version} of ${model.name} waits no more`);
  }
  const version = versionOf(row, model.name, []);
  change.record('version.register', `version/${row.id}`, {
    model: model.id,
    modelName: model.name,
    version: row.version,
    digest: row.digest,
    description: row.description,
    tags: made.tags,
    ...(made.notServable === undefined ? {} : { notServable: made.notServable }),
  });
  change.announce('assay.version.registered.v1', row.id, 1, version);
  await modelChanged(change, model.id, 'assay.model.version-registered.v1');
  return { version, created: true };
}

/**
 * The version that this key made before, if any.
 * @throws AssayError ALREADY_EXISTS when it made one of other files
 */
export async function findByIdempotencyKey(
  db: Queryable,
  model: ModelRow,
  key: string,
  files: readonly PackageFile[],
): Promise<Version | undefined> {
  const row = await db
    .selectFrom('versions')
    .selectAll()
    .where('model_id', '=', model.id)
    .where('idempotency_key', '=', key)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  if (row.deleted_at !== null) {
    throw new AssayError(
      'ALREADY_EXISTS',
      `idempotencyKey: "${key}" made version ${row.version} of ${model.name}, which was deleted since; restore it, or use another key`,
    );
  }
  const version = await toVersion(db, row, model.name);
  if (!sameFiles(version.files, files)) {
    throw new AssayError(
      'ALREADY_EXISTS',
      `idempotencyKey: "${key}" made version ${row.version} of ${model.name} of other files; use a key of its own for each package`,
    );
  }
  return version;
}

/**
 * @param numberOrId of a version of `model`
 * @throws AssayError NOT_FOUND
 */
export async function requireVersion(
  db: Queryable,
  model: ModelRow,
  numberOrId: number | string,
): Promise<VersionsTable> {
  const number = typeof numberOrId === 'number' ? numberOrId : parseNumber(numberOrId);
  const query = db.selectFrom('versions').selectAll().where('model_id', '=', model.id).where('deleted_at', 'is', null);
  const row = await (number === undefined
    ? query.where('id', '=', String(numberOrId))
    : query.where('version', '=', number)
  ).executeTakeFirst();
  if (row !== undefined) return row;
  const has = model.last_version === 0 ? 'it has none yet' : `it has 1 to ${model.last_version}`;
  throw new AssayError('NOT_FOUND', `model ${model.name} has no version ${numberOrId}; ${has}`);
}

function parseNumber(text: string): number | undefined {
  return !looksLikeId(text, 'ver') && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

export async function getVersion(db: Queryable, modelNameOrId: string, numberOrId: string): Promise<Version> {
  const model = await requireModel(db, modelNameOrId);
  return toVersion(db, await requireVersion(db, model, numberOrId), model.name);
}

/** @throws AssayError NOT_FOUND */
export async function getVersionById(db: Queryable, id: string): Promise<Version> {
  const row = await db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .selectAll('versions')
    .select('models.name as model_name')
    .where('versions.id', '=', id)
    .where('versions.deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new AssayError('NOT_FOUND', `there is no version with the id "${id}"`);
  return toVersion(db, row, row.model_name);
}

/** Newest first; the deleted ones where they are asked for, of a deleted model, too. */
export async function listVersions(
  db: Queryable,
  modelNameOrId: string,
  page: { before?: number; limit: number; deleted?: boolean },
): Promise<Page<Version>> {
  const model = await (page.deleted
    ? requireModel(db, modelNameOrId).catch(() => requireDeletedModel(db, modelNameOrId))
    : requireModel(db, modelNameOrId));
  let query = db
    .selectFrom('versions')
    .selectAll()
    .where('model_id', '=', model.id)
    .where('deleted_at', page.deleted ? 'is not' : 'is', null);
  if (page.before !== undefined) query = query.where('version', '<', page.before);
  const rows = await query
    .orderBy('version', 'desc')
    .limit(page.limit + 1)
    .execute();
  const shown = rows.slice(0, page.limit);
  const aliases = await aliasNamesOf(
    db,
    shown.map((row) => row.id),
  );
  const items = shown.map((row) => versionOf(row, model.name, aliases.get(row.id) ?? []));
  const last = shown.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: String(last.version) } : { items };
}

/**
 * The versions with these ids, in their order, as the rules of endpoints want them.
 * @throws AssayError INVALID_ARGUMENT with the place of each unknown one
 */
export async function requireCandidates(db: Queryable, ids: readonly string[]): Promise<CandidateVersion[]> {
  const rows = await db
    .selectFrom('versions')
    .innerJoin('models', 'models.id', 'versions.model_id')
    .select([
      'versions.id',
      'versions.model_id',
      'models.name',
      'versions.version',
      'versions.signature',
      'versions.not_servable',
    ])
    .where('versions.id', 'in', [...ids])
    .where('versions.deleted_at', 'is', null)
    .execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  const details = ids.flatMap((id, i) =>
    byId.has(id)
      ? []
      : [
          {
            place: `variants[${i}].versionId`,
            message: `there is no version "${id}"`,
            expected: 'the id of a version',
          },
        ],
  );
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row === undefined
      ? []
      : [
          {
            id: row.id,
            modelId: row.model_id,
            modelName: row.name,
            version: row.version,
            signature: fromJson<Signature>(row.signature),
            notServable: row.not_servable,
          },
        ];
  });
}

export async function toVersion(db: Queryable, row: VersionsTable, modelName: string): Promise<Version> {
  const aliases = await aliasNamesOf(db, [row.id]);
  return versionOf(row, modelName, aliases.get(row.id) ?? []);
}

function versionOf(row: VersionsTable, modelName: string, aliases: string[]): Version {
  return {
    id: row.id,
    modelId: row.model_id,
    modelName: shownName(modelName),
    version: row.version,
    digest: row.digest,
    files: fromJson<PackageFile[]>(row.files),
    signature: fromJson<Signature>(row.signature),
    metrics: fromJson<Record<string, number>>(row.metrics),
    aliases,
    description: row.description,
    tags: fromJson<Record<string, string>>(row.tags),
    createdAt: row.created_at,
    createdBy: row.created_by,
    ...(row.not_servable === null ? {} : { notServable: row.not_servable }),
    ...(row.deleted_at === null ? {} : { deletedAt: row.deleted_at }),
  };
}

export async function aliasNamesOf(db: Queryable, versionIds: readonly string[]): Promise<Map<string, string[]>> {
  const byVersion = new Map<string, string[]>();
  if (versionIds.length === 0) return byVersion;
  const rows = await db
    .selectFrom('aliases')
    .select(['version_id', 'alias'])
    .where('version_id', 'in', [...versionIds])
    .orderBy('alias')
    .execute();
  for (const row of rows) {
    if (row.version_id === null) continue;
    const names = byVersion.get(row.version_id) ?? [];
    names.push(row.alias);
    byVersion.set(row.version_id, names);
  }
  return byVersion;
}
