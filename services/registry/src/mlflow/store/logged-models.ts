/** Logged models of MLflow 3: what a run has saved, before anybody registers it. */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import type { Store } from '../../store/change.ts';
import type { Queryable } from '../../store/tables.ts';
import { invalid, missing } from '../errors.ts';
import { filterCondition, orderTerms, type Searchable } from '../filter/conditions.ts';
import { offsetOf, pageOf } from '../page-token.ts';
import { fromPoint } from '../wire.ts';
import { requireActiveExperiment } from './experiments.ts';
import type { LoggedModelsTable, Tagged } from './mlflow-tables.ts';
import type { SearchPage } from './registered-models.ts';

export interface LoggedModelView {
  readonly info: Readonly<Record<string, unknown>>;
  readonly data: { readonly params: unknown[]; readonly metrics: unknown[] };
}

export const LOGGED_MODEL_STATUSES = ['PENDING', 'READY', 'UPLOAD_FAILED'] as const;
const STATUS_PREFIX = 'LOGGED_MODEL_';

const SEARCHABLE: Searchable = {
  attributes: {
    name: { column: 'l.name', kind: 'text' },
    model_id: { column: 'l.id', kind: 'text' },
    experiment_id: { column: 'l.experiment_id', kind: 'text' },
    model_type: { column: 'l.model_type', kind: 'text' },
    status: { column: 'l.status', kind: 'text' },
    source_run_id: { column: 'l.source_run_id', kind: 'text', nullable: true },
    creation_timestamp: { column: 'l.created_at', kind: 'number' },
    creation_time: { column: 'l.created_at', kind: 'number' },
    last_updated_timestamp: { column: 'l.updated_at', kind: 'number' },
    last_updated_time: { column: 'l.updated_at', kind: 'number' },
  },
  keyed: {
    metric: { table: 'mlflow_logged_model_metrics', owner: 'model_id', id: 'l.id', kind: 'metric' },
    param: { table: 'mlflow_logged_model_params', owner: 'model_id', id: 'l.id', kind: 'text' },
    tag: { table: 'mlflow_logged_model_tags', owner: 'model_id', id: 'l.id', kind: 'text' },
  },
};

export interface NewLoggedModel {
  readonly experimentId: string;
  readonly name: string | undefined;
  readonly modelType: string;
  readonly sourceRunId: string | undefined;
  readonly params: readonly Tagged[];
  readonly tags: readonly Tagged[];
}

export function createLoggedModel(store: Store, made: NewLoggedModel): Promise<LoggedModelView> {
  return store.database.transaction(async (trx) => {
    const experiment = await requireActiveExperiment(trx, made.experimentId);
    const id = `m-${randomUUID().replaceAll('-', '')}`;
    const now = Date.now();
    const row: LoggedModelsTable = {
      id,
      experiment_id: experiment.id,
      name: made.name ?? `model-${id.slice(2, 10)}`,
      artifact_uri: `${experiment.artifact_location}/models/${id}/artifacts`,
      status: 'PENDING',
      model_type: made.modelType,
      source_run_id: made.sourceRunId ?? null,
      created_at: now,
      updated_at: now,
      deleted_at: null,
    };
    await trx.insertInto('mlflow_logged_models').values(row).execute();
    await putLoggedModelParams(trx, id, made.params);
    await putLoggedModelTags(trx, id, made.tags);
    return viewOf(trx, row);
  });
}

export async function requireLoggedModel(db: Queryable, id: string): Promise<LoggedModelsTable> {
  const row = await db
    .selectFrom('mlflow_logged_models')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw missing(`there is no logged model "${id}"`);
  return row;
}

export async function getLoggedModel(db: Queryable, id: string): Promise<LoggedModelView> {
  return viewOf(db, await requireLoggedModel(db, id));
}

/** @param status as MLflow writes it: `LOGGED_MODEL_READY` */
export function finalizeLoggedModel(store: Store, id: string, status: string): Promise<LoggedModelView> {
  const known = LOGGED_MODEL_STATUSES.find((one) => `${STATUS_PREFIX}${one}` === status);
  if (known === undefined)
    throw invalid(
      'status',
      `there is no status "${status}"`,
      LOGGED_MODEL_STATUSES.map((one) => STATUS_PREFIX + one).join(', '),
    );
  return changeLoggedModel(store, id, async (trx) => {
    await trx.updateTable('mlflow_logged_models').set({ status: known }).where('id', '=', id).execute();
  });
}

export function deleteLoggedModel(store: Store, id: string): Promise<LoggedModelView> {
  return changeLoggedModel(store, id, async (trx) => {
    await trx.updateTable('mlflow_logged_models').set({ deleted_at: Date.now() }).where('id', '=', id).execute();
  });
}

export function setLoggedModelTags(store: Store, id: string, tags: readonly Tagged[]): Promise<LoggedModelView> {
  return changeLoggedModel(store, id, (trx) => putLoggedModelTags(trx, id, tags));
}

export function deleteLoggedModelTag(store: Store, id: string, key: string): Promise<LoggedModelView> {
  return changeLoggedModel(store, id, async (trx) => {
    const { numDeletedRows } = await trx
      .deleteFrom('mlflow_logged_model_tags')
      .where('model_id', '=', id)
      .where('key', '=', key)
      .executeTakeFirstOrThrow();
    if (numDeletedRows === 0n) throw missing(`the logged model "${id}" has no tag "${key}"`);
  });
}

export function logLoggedModelParams(store: Store, id: string, params: readonly Tagged[]): Promise<LoggedModelView> {
  return changeLoggedModel(store, id, (trx) => putLoggedModelParams(trx, id, params));
}

export async function searchLoggedModels(
  db: Queryable,
  page: SearchPage & { readonly experimentIds: readonly string[] },
): Promise<{ models: LoggedModelView[]; next_page_token?: string }> {
  const condition = filterCondition(SEARCHABLE, page.filter);
  const offset = offsetOf(page.pageToken);
  if (page.experimentIds.length === 0) return { models: [] };
  let query = db
    .selectFrom('mlflow_logged_models as l')
    .selectAll('l')
    .where('l.experiment_id', 'in', [...page.experimentIds])
    .where('l.deleted_at', 'is', null)
    .where(condition);
  for (const term of orderTerms(SEARCHABLE, page.orderBy, [sql`l.created_at desc`, sql`l.id asc`])) {
    query = query.orderBy(term);
  }
  const found = pageOf(
    await query
      .limit(page.limit + 1)
      .offset(offset)
      .execute(),
    page.limit,
    offset,
  );
  return { models: await viewsOf(db, found.rows), ...found.next };
}

async function changeLoggedModel(
  store: Store,
  id: string,
  write: (trx: Queryable) => Promise<void>,
): Promise<LoggedModelView> {
  return store.database.transaction(async (trx) => {
    const row = await requireLoggedModel(trx, id);
    await write(trx);
    const changed = await trx
      .updateTable('mlflow_logged_models')
      .set({ updated_at: Date.now() })
      .where('id', '=', row.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return viewOf(trx, changed);
  });
}

async function putLoggedModelTags(trx: Queryable, id: string, tags: readonly Tagged[]): Promise<void> {
  for (const { key, value } of tags) {
    await trx
      .insertInto('mlflow_logged_model_tags')
      .values({ model_id: id, key, value })
      .onConflict((conflict) => conflict.columns(['model_id', 'key']).doUpdateSet({ value }))
      .execute();
  }
}

async function putLoggedModelParams(trx: Queryable, id: string, params: readonly Tagged[]): Promise<void> {
  for (const { key, value } of params) {
    const before = await trx
      .selectFrom('mlflow_logged_model_params')
      .select('value')
      .where('model_id', '=', id)
      .where('key', '=', key)
      .executeTakeFirst();
    if (before === undefined)
      await trx.insertInto('mlflow_logged_model_params').values({ model_id: id, key, value }).execute();
    else if (before.value !== value)
      throw invalid(
        'params',
        `"${key}" of ${id} is ${JSON.stringify(before.value)} already; a parameter does not change`,
      );
  }
}

async function viewOf(db: Queryable, row: LoggedModelsTable): Promise<LoggedModelView> {
  const [view] = await viewsOf(db, [row]);
  if (view === undefined) throw new AssayError('INTERNAL', 'a logged model has one view');
  return view;
}

async function viewsOf(db: Queryable, rows: readonly LoggedModelsTable[]): Promise<LoggedModelView[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const tags = await db
    .selectFrom('mlflow_logged_model_tags')
    .selectAll()
    .where('model_id', 'in', ids)
    .orderBy('key')
    .execute();
  const params = await db
    .selectFrom('mlflow_logged_model_params')
    .selectAll()
    .where('model_id', 'in', ids)
    .orderBy('key')
    .execute();
  const metrics = await db
    .selectFrom('mlflow_logged_model_metrics')
    .selectAll()
    .where('model_id', 'in', ids)
    .orderBy('key')
    .execute();
  const registrations = await db
    .selectFrom('mlflow_versions as o')
    .innerJoin('models as m', 'm.id', 'o.model_id')
    .select(['o.logged_model_id', 'm.name', 'o.version'])
    .where('o.logged_model_id', 'in', ids)
    .where('m.deleted_at', 'is', null)
    .execute();
  return rows.map((row) => ({
    info: {
      model_id: row.id,
      experiment_id: row.experiment_id,
      name: row.name,
      creation_timestamp_ms: row.created_at,
      last_updated_timestamp_ms: row.updated_at,
      artifact_uri: row.artifact_uri,
      status: `${STATUS_PREFIX}${row.status}`,
      model_type: row.model_type,
      ...(row.source_run_id === null ? {} : { source_run_id: row.source_run_id }),
      tags: tags.flatMap(({ model_id, key, value }) => (model_id === row.id ? [{ key, value }] : [])),
      registrations: registrations.flatMap(({ logged_model_id, name, version }) =>
        logged_model_id === row.id ? [{ name, version: String(version) }] : [],
      ),
    },
    data: {
      params: params.flatMap(({ model_id, key, value }) => (model_id === row.id ? [{ key, value }] : [])),
      metrics: metrics.flatMap((point) =>
        point.model_id === row.id
          ? [
              {
                ...fromPoint(point),
                run_id: point.run_id,
                model_id: row.id,
                ...(point.dataset_name === ''
                  ? {}
                  : { dataset_name: point.dataset_name, dataset_digest: point.dataset_digest }),
              },
            ]
          : [],
      ),
    },
  }));
}
