/** Runs: one execution that somebody watches, with its parameters, metrics and tags. */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import { type Actor, change, type Store } from '../../store/change.ts';
import type { Queryable } from '../../store/tables.ts';
import { invalid, missing } from '../errors.ts';
import { filterCondition, orderTerms, type Searchable } from '../filter/conditions.ts';
import { offsetOf, pageOf } from '../page-token.ts';
import { lifecyclesOf, requireActiveExperiment, type ViewType } from './experiments.ts';
import type { RunsTable, Tagged } from './mlflow-tables.ts';
import type { SearchPage } from './registered-models.ts';
import { type RunView, runViews } from './run-views.ts';

export const RUN_STATUSES = ['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Where MLflow keeps a run's name for those that know tags only. */
const NAME_TAG = 'mlflow.runName';
const HISTORY_TAG = 'mlflow.log-model.history';
/** Longer values are cut, as MLflow's own server does. */
const MAX_PARAM_LENGTH = 6000;
const MAX_TAG_LENGTH = 8000;
const MAX_HISTORY_LENGTH = 1_000_000;
const MAX_EXPERIMENTS_SEARCHED = 1000;

const SEARCHABLE: Searchable = {
  attributes: {
    run_id: { column: 'r.id', kind: 'text' },
    run_name: { column: 'r.name', kind: 'text' },
    'run name': { column: 'r.name', kind: 'text' },
    'Run name': { column: 'r.name', kind: 'text' },
    'Run Name': { column: 'r.name', kind: 'text' },
    experiment_id: { column: 'r.experiment_id', kind: 'text' },
    status: { column: 'r.status', kind: 'text' },
    user_id: { column: 'r.user_id', kind: 'text' },
    artifact_uri: { column: 'r.artifact_uri', kind: 'text' },
    start_time: { column: 'r.start_time', kind: 'number' },
    created: { column: 'r.start_time', kind: 'number' },
    Created: { column: 'r.start_time', kind: 'number' },
    end_time: { column: 'r.end_time', kind: 'number', nullable: true },
  },
  keyed: {
    metric: { table: 'mlflow_latest_metrics', owner: 'run_id', id: 'r.id', kind: 'metric' },
    param: { table: 'mlflow_params', owner: 'run_id', id: 'r.id', kind: 'text' },
    tag: { table: 'mlflow_run_tags', owner: 'run_id', id: 'r.id', kind: 'text' },
  },
  datasets: { id: 'r.id' },
};

export interface NewRun {
  readonly experimentId: string;
  readonly name: string | undefined;
  readonly userId: string;
  readonly startTime: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdBy: string;
}

/** @throws AssayError NOT_FOUND, INVALID_ARGUMENT (the experiment is deleted) */
export function createRun(store: Store, made: NewRun): Promise<RunView> {
  return store.database.transaction(async (trx) => {
    const experiment = await requireActiveExperiment(trx, made.experimentId);
    const id = randomUUID().replaceAll('-', '');
    const name = made.name ?? made.tags[NAME_TAG] ?? `run-${id.slice(0, 8)}`;
    const row: RunsTable = {
      id,
      experiment_id: experiment.id,
      name,
      user_id: made.userId,
      status: 'RUNNING',
      lifecycle: 'active',
      start_time: made.startTime,
      end_time: null,
      artifact_uri: `${experiment.artifact_location}/${id}/artifacts`,
      created_by: made.createdBy,
      deleted_at: null,
    };
    await trx.insertInto('mlflow_runs').values(row).execute();
    for (const [key, value] of Object.entries({ ...made.tags, [NAME_TAG]: name })) await putTag(trx, id, key, value);
    return viewOf(trx, row);
  });
}

/** @throws AssayError NOT_FOUND */
export async function requireRun(db: Queryable, id: string): Promise<RunsTable> {
  const row = await db.selectFrom('mlflow_runs').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw missing(`there is no run "${id}"`);
  return row;
}

/** @throws AssayError NOT_FOUND; INVALID_ARGUMENT for a deleted one */
export async function requireActiveRun(db: Queryable, id: string): Promise<RunsTable> {
  const row = await requireRun(db, id);
  if (row.lifecycle !== 'active') throw invalid('run_id', `the run "${id}" is deleted`, 'an active one; restore it');
  return row;
}

export async function getRun(db: Queryable, id: string): Promise<RunView> {
  return viewOf(db, await requireRun(db, id));
}

export function updateRun(
  store: Store,
  id: string,
  update: { readonly status?: RunStatus; readonly endTime?: number; readonly name?: string },
): Promise<RunView> {
  return store.database.transaction(async (trx) => {
    await requireActiveRun(trx, id);
    const { status, endTime, name } = update;
    const row = await trx
      .updateTable('mlflow_runs')
      .set({
        id,
        ...(status === undefined ? {} : { status }),
        ...(endTime === undefined ? {} : { end_time: endTime }),
        ...(name === undefined ? {} : { name }),
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    if (name !== undefined) await putTag(trx, id, NAME_TAG, name);
    return viewOf(trx, row);
  });
}

/** Deletes the run, or takes that back. */
export function setRunLifecycle(
  store: Store,
  actor: Actor,
  id: string,
  lifecycle: 'active' | 'deleted',
): Promise<void> {
  return change(store, actor, async ({ trx, at, record }) => {
    const run = await requireRun(trx, id);
    if (run.lifecycle === lifecycle) return;
    const deleted_at = lifecycle === 'deleted' ? at : null;
    await trx.updateTable('mlflow_runs').set({ lifecycle, deleted_at }).where('id', '=', id).execute();
    const action = lifecycle === 'deleted' ? 'delete' : 'restore';
    record(`run.${action}`, `run/${id}`, { name: run.name, experimentId: run.experiment_id });
  });
}

export async function searchRuns(
  db: Queryable,
  page: SearchPage & { readonly experimentIds: readonly string[]; readonly view: ViewType },
): Promise<{ runs: RunView[]; next_page_token?: string }> {
  const { experimentIds } = page;
  if (experimentIds.length > MAX_EXPERIMENTS_SEARCHED) {
    throw invalid('experiment_ids', `has ${experimentIds.length} ids`, `at most ${MAX_EXPERIMENTS_SEARCHED}`);
  }
  const condition = filterCondition(SEARCHABLE, page.filter);
  const offset = offsetOf(page.pageToken);
  if (experimentIds.length === 0) return { runs: [] };
  let query = db
    .selectFrom('mlflow_runs as r')
    .selectAll('r')
    .where('r.experiment_id', 'in', [...experimentIds])
    .where('r.lifecycle', 'in', lifecyclesOf(page.view))
    .where(condition);
  for (const term of orderTerms(SEARCHABLE, page.orderBy, [sql`r.start_time desc`, sql`r.id asc`])) {
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
  return { runs: await runViews(db, found.rows), ...found.next };
}

/** @throws AssayError INVALID_ARGUMENT for a parameter that has another value already */
export async function putParams(trx: Queryable, runId: string, params: readonly Tagged[]): Promise<void> {
  for (const { key, value: whole } of params) {
    const value = whole.slice(0, MAX_PARAM_LENGTH);
    const before = await trx
      .selectFrom('mlflow_params')
      .select('value')
      .where('run_id', '=', runId)
      .where('key', '=', key)
      .executeTakeFirst();
    if (before === undefined) await trx.insertInto('mlflow_params').values({ run_id: runId, key, value }).execute();
    else if (before.value !== value) {
      throw invalid(
        'params',
        `"${key}" of run ${runId} was logged as ${JSON.stringify(before.value)} already, and is ${JSON.stringify(value)} now; a parameter does not change`,
      );
    }
  }
}

export async function putTags(trx: Queryable, runId: string, tags: readonly Tagged[]): Promise<void> {
  for (const { key, value } of tags) {
    await putTag(trx, runId, key, value.slice(0, MAX_TAG_LENGTH));
    if (key === NAME_TAG)
      await trx
        .updateTable('mlflow_runs')
        .set({ name: value.slice(0, 256) })
        .where('id', '=', runId)
        .execute();
  }
}

async function putTag(trx: Queryable, runId: string, key: string, value: string): Promise<void> {
  await trx
    .insertInto('mlflow_run_tags')
    .values({ run_id: runId, key, value })
    .onConflict((conflict) => conflict.columns(['run_id', 'key']).doUpdateSet({ value }))
    .execute();
}

export function deleteRunTag(store: Store, runId: string, key: string): Promise<void> {
  return store.database.transaction(async (trx) => {
    await requireActiveRun(trx, runId);
    const { numDeletedRows } = await trx
      .deleteFrom('mlflow_run_tags')
      .where('run_id', '=', runId)
      .where('key', '=', key)
      .executeTakeFirstOrThrow();
    if (numDeletedRows === 0n) throw missing(`the run "${runId}" has no tag "${key}"`);
  });
}

/** MLflow 2 tells which models a run has logged; its clients look for that in a tag. */
export function logModelHistory(store: Store, runId: string, model: unknown): Promise<void> {
  return store.database.transaction(async (trx) => {
    await requireActiveRun(trx, runId);
    const before = await trx
      .selectFrom('mlflow_run_tags')
      .select('value')
      .where('run_id', '=', runId)
      .where('key', '=', HISTORY_TAG)
      .executeTakeFirst();
    const models: unknown = before === undefined ? [] : JSON.parse(before.value);
    const value = JSON.stringify([...(Array.isArray(models) ? models : []), model]);
    if (value.length > MAX_HISTORY_LENGTH) throw invalid('model_json', 'the run has logged more models than are kept');
    await putTag(trx, runId, HISTORY_TAG, value);
  });
}

async function viewOf(db: Queryable, row: RunsTable): Promise<RunView> {
  const [view] = await runViews(db, [row]);
  if (view === undefined) throw new AssayError('INTERNAL', 'a run has one view');
  return view;
}
