/** Model versions of MLflow: the registry's own versions, as its clients see them, and those that wait for their package. */
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import { type Actor, type Change, change, type Store } from '../../store/change.ts';
import { passProductionGates } from '../../store/gate-passages.ts';
import { type ModelRow, modelChanged, requireModel } from '../../store/models.ts';
import { fromJson, type Queryable, type VersionsTable } from '../../store/tables.ts';
import { aliasNamesOf, requireVersion, toVersion } from '../../store/versions.ts';
import { invalid } from '../errors.ts';
import { equalTag, filterCondition, orderTerms, type Searchable } from '../filter/conditions.ts';
import { offsetOf, pageOf } from '../page-token.ts';
import { tagList } from '../wire.ts';
import type { MlflowVersionsTable, Tagged } from './mlflow-tables.ts';
import type { SearchPage } from './registered-models.ts';
import { versionRoot } from './version-files.ts';

export interface VersionView {
  readonly name: string;
  readonly version: string;
  readonly creation_timestamp: number;
  readonly last_updated_timestamp: number;
  readonly user_id: string;
  readonly current_stage: string;
  readonly description: string;
  readonly source: string;
  readonly run_id: string;
  readonly run_link: string;
  readonly status: 'READY' | 'PENDING_REGISTRATION';
  readonly status_message: string;
  readonly tags: readonly Tagged[];
  readonly aliases: readonly string[];
  readonly model_id?: string;
}

export const STAGES = ['None', 'Staging', 'Production', 'Archived'] as const;

/** Not what a package holds, which is large, and which MLflow does not ask for. */
const SHOWN = [
  ...(['v.id', 'v.model_id', 'v.version', 'v.description', 'v.tags', 'v.stage'] as const),
  ...(['v.created_at', 'v.created_by', 'v.updated_at', 'v.not_servable'] as const),
] as const;

type Row = Awaited<ReturnType<ReturnType<typeof selectVersions>['execute']>>[number];

const SEARCHABLE: Searchable = {
  attributes: {
    name: { column: 'm.name', kind: 'text' },
    version_number: { column: 'v.version', kind: 'number' },
    version: { column: 'v.version', kind: 'number' },
    run_id: { column: 'o.run_id', kind: 'text', nullable: true },
    source_path: { column: 'o.source', kind: 'text', nullable: true },
    source: { column: 'o.source', kind: 'text', nullable: true },
    user_id: { column: 'v.created_by', kind: 'text' },
    creation_timestamp: { column: 'v.created_at', kind: 'number' },
    last_updated_timestamp: { column: 'v.updated_at', kind: 'number', nullable: true },
  },
  keyed: { tag: { table: 'version_tags', owner: 'version_id', id: 'v.id', kind: 'text' } },
  absentTagsDiffer: ['mlflow.prompt.is_prompt'],
};

/** Where the files of a version are, for who downloads them: fixed at its registration, whatever becomes of its source. */
export function downloadUri(versionId: string): string {
  return `mlflow-artifacts:/${versionRoot(versionId)}`;
}

export function parseVersionNumber(version: string): number {
  if (!/^[1-9]\d{0,14}$/.test(version)) throw invalid('version', `"${version}" is no version`, 'a number from 1');
  return Number(version);
}

/** Those that wait for their package included. */
export async function getModelVersion(db: Queryable, name: string, version: string): Promise<VersionView> {
  const model = await requireModel(db, name);
  const number = parseVersionNumber(version);
  const pending = await findPending(db, model.id, number);
  if (pending !== undefined) return pendingView(pending, model.name);
  const row = await requireVersion(db, model, number);
  return viewById(db, row.id);
}

export async function viewById(db: Queryable, versionId: string): Promise<VersionView> {
  const row = await selectVersions(db).where('v.id', '=', versionId).executeTakeFirst();
  if (row !== undefined) {
    const aliases = await aliasNamesOf(db, [versionId]);
    return viewOf(row, aliases.get(versionId) ?? []);
  }
  const pending = await db
    .selectFrom('mlflow_versions as o')
    .innerJoin('models as m', 'm.id', 'o.model_id')
    .selectAll('o')
    .select('m.name as model_name')
    .where('o.version_id', '=', versionId)
    .executeTakeFirst();
  if (pending === undefined) throw new AssayError('NOT_FOUND', `there is no version with the id "${versionId}"`);
  return pendingView(pending, pending.model_name);
}

export async function searchModelVersions(
  db: Queryable,
  page: SearchPage,
): Promise<{ model_versions: VersionView[]; next_page_token?: string }> {
  const offset = offsetOf(page.pageToken);
  let query = selectVersions(db).where(filterCondition(SEARCHABLE, page.filter));
  let newest = sql`v.created_at desc`;
  const tag = page.orderBy?.length ? undefined : equalTag(page.filter);
  if (tag !== undefined) {
    // Those with the tag are read newest first until the page is full, however many there are.
    query = query
      .innerJoin('version_tags as t', 't.version_id', 'v.id')
      .where('t.key', '=', tag.key)
      .where('t.value', '=', tag.value)
      .where(sql`substr(t.value, 1, 200)`, '=', sql`substr(${tag.value}, 1, 200)`); // as it is indexed
    newest = sql`t.created_at desc`;
  }
  const last = [newest, sql`m.name asc`, sql`v.version desc`];
  for (const term of orderTerms(SEARCHABLE, page.orderBy, last)) query = query.orderBy(term);
  const found = pageOf(
    await query
      .limit(page.limit + 1)
      .offset(offset)
      .execute(),
    page.limit,
    offset,
  );
  const aliases = await aliasNamesOf(
    db,
    found.rows.map(({ id }) => id),
  );
  return { model_versions: found.rows.map((row) => viewOf(row, aliases.get(row.id) ?? [])), ...found.next };
}

/** The newest version of each stage, by model. */
export async function latestOfStages(db: Queryable, models: readonly ModelRow[]): Promise<Map<string, VersionView[]>> {
  const ids = models.map(({ id }) => id);
  const rows = await selectVersions(db)
    .innerJoin(
      (eb) =>
        eb
          .selectFrom('versions')
          .select((e) => ['model_id', e.fn.max('version').as('version')])
          .where('model_id', 'in', ids)
          .where('deleted_at', 'is', null)
          .groupBy(['model_id', 'stage'])
          .as('newest'),
      (join) => join.onRef('newest.model_id', '=', 'v.model_id').onRef('newest.version', '=', 'v.version'),
    )
    .orderBy('v.version')
    .execute();
  const aliases = await aliasNamesOf(
    db,
    rows.map(({ id }) => id),
  );
  const byModel = new Map<string, VersionView[]>();
  for (const row of rows) {
    const views = byModel.get(row.model_id) ?? [];
    views.push(viewOf(row, aliases.get(row.id) ?? []));
    byModel.set(row.model_id, views);
  }
  return byModel;
}

/** What is said of a version changes; what it is does not. */
async function changeVersion(
  store: Store,
  actor: Actor,
  at: { readonly name: string; readonly version: string },
  write: (change: Change, row: VersionsTable, model: ModelRow) => Promise<Record<string, unknown> | undefined>,
): Promise<VersionView> {
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, at.name);
    const number = parseVersionNumber(at.version);
    if ((await findPending(change.trx, model.id, number)) !== undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `version ${number} of ${model.name} is still being registered; try again`,
      );
    }
    const row = await requireVersion(change.trx, model, number);
    const details = await write(change, row, model);
    if (details === undefined) return viewById(change.trx, row.id);
    const changed = await change.trx
      .updateTable('versions')
      .set({ revision: row.revision + 1, updated_at: change.at })
      .where('id', '=', row.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    change.record('version.update', `version/${row.id}`, { modelName: model.name, version: row.version, ...details });
    change.announce(
      'assay.version.updated.v1',
      row.id,
      changed.revision,
      await toVersion(change.trx, changed, model.name),
    );
    await modelChanged(change, model.id, 'assay.model.version-updated.v1');
    return viewById(change.trx, row.id);
  });
}

export function describeVersion(
  store: Store,
  actor: Actor,
  name: string,
  version: string,
  description: string,
): Promise<VersionView> {
  return changeVersion(store, actor, { name, version }, async (change, row) => {
    if (row.description === description) return undefined;
    await change.trx.updateTable('versions').set({ description }).where('id', '=', row.id).execute();
    return { from: { description: row.description }, to: { description } };
  });
}

/** Sets the tag, or removes it without a value. */
export function tagVersion(
  store: Store,
  actor: Actor,
  at: { readonly name: string; readonly version: string },
  key: string,
  value: string | undefined,
): Promise<VersionView> {
  return changeVersion(store, actor, at, async (change, row) => {
    const { [key]: before, ...others } = fromJson<Record<string, string>>(row.tags);
    if (before === value) return undefined;
    const tags = JSON.stringify(value === undefined ? others : { ...others, [key]: value });
    await change.trx.updateTable('versions').set({ tags }).where('id', '=', row.id).execute();
    await change.trx.deleteFrom('version_tags').where('version_id', '=', row.id).where('key', '=', key).execute();
    if (value === undefined) return { removedTag: key };
    await change.trx
      .insertInto('version_tags')
      .values({ version_id: row.id, key, value, created_at: row.created_at })
      .execute();
    return { tag: { [key]: value } };
  });
}

/**
 * Stages are kept for clients that still use them. No endpoint looks at them.
 * @throws GatesNotMet on the way to Production
 */
export function moveToStage(
  store: Store,
  actor: Actor,
  at: { readonly name: string; readonly version: string },
  stage: string,
  archivesOthers: boolean,
): Promise<VersionView> {
  const known = STAGES.find((one) => one.toLowerCase() === stage.toLowerCase());
  if (known === undefined) throw invalid('stage', `there is no stage "${stage}"`, STAGES.join(', '));
  return changeVersion(store, actor, at, async (change, row, model) => {
    if (known === 'Production' && row.stage !== known) await passProductionGates(change, model, row);
    if (archivesOthers && (known === 'Staging' || known === 'Production')) {
      await change.trx
        .updateTable('versions')
        .set({ stage: 'Archived' })
        .where('model_id', '=', model.id)
        .where('stage', '=', known)
        .where('id', '<>', row.id)
        .where('deleted_at', 'is', null)
        .execute();
    }
    await change.trx.updateTable('versions').set({ stage: known }).where('id', '=', row.id).execute();
    return { stage: { from: row.stage, to: known }, archivesOthers };
  });
}

export function findPending(db: Queryable, modelId: string, version: number): Promise<MlflowVersionsTable | undefined> {
  return db
    .selectFrom('mlflow_versions')
    .selectAll()
    .where('model_id', '=', modelId)
    .where('version', '=', version)
    .where('is_pending', '=', 1)
    .executeTakeFirst();
}

function selectVersions(db: Queryable) {
  return db
    .selectFrom('versions as v')
    .innerJoin('models as m', 'm.id', 'v.model_id')
    .leftJoin('mlflow_versions as o', 'o.version_id', 'v.id')
    .select([...SHOWN, 'm.name as model_name', 'o.source', 'o.run_id', 'o.run_link', 'o.logged_model_id'])
    .where('v.deleted_at', 'is', null);
}

function viewOf(row: Row, aliases: readonly string[]): VersionView {
  return {
    name: row.model_name,
    version: String(row.version),
    creation_timestamp: row.created_at,
    last_updated_timestamp: row.updated_at ?? row.created_at,
    user_id: row.created_by,
    current_stage: row.stage,
    description: row.description,
    source: row.source ?? downloadUri(row.id),
    run_id: row.run_id ?? '',
    run_link: row.run_link ?? '',
    status: 'READY',
    status_message: row.not_servable === null ? '' : `not servable: ${row.not_servable}`,
    tags: tagList(fromJson<Record<string, string>>(row.tags)),
    aliases,
    ...(row.logged_model_id === null ? {} : { model_id: row.logged_model_id }),
  };
}

function pendingView(row: MlflowVersionsTable, modelName: string): VersionView {
  return {
    name: modelName,
    version: String(row.version),
    creation_timestamp: row.created_at,
    last_updated_timestamp: row.created_at,
    user_id: row.principal,
    current_stage: 'None',
    description: row.description,
    source: row.source,
    run_id: row.run_id ?? '',
    run_link: row.run_link,
    status: 'PENDING_REGISTRATION',
    status_message: 'its package is being made',
    tags: tagList(fromJson<Record<string, string>>(row.tags)),
    aliases: [],
    ...(row.logged_model_id === null ? {} : { model_id: row.logged_model_id }),
  };
}
