/** Runs with all that hangs on them, as MLflow's clients read them. */
import { fromJson, type Queryable } from '../../store/tables.ts';
import { fromPoint } from '../wire.ts';
import type { RunsTable, Tagged } from './mlflow-tables.ts';

export interface RunView {
  readonly info: Readonly<Record<string, unknown>>;
  readonly data: { readonly metrics: unknown[]; readonly params: unknown[]; readonly tags: unknown[] };
  readonly inputs: { readonly dataset_inputs: unknown[]; readonly model_inputs: unknown[] };
  readonly outputs: { readonly model_outputs: unknown[] };
}

/** Ids bound in one statement. */
const AT_ONCE = 1000;

export async function runViews(db: Queryable, rows: readonly RunsTable[]): Promise<RunView[]> {
  const views: RunView[] = [];
  for (let from = 0; from < rows.length; from += AT_ONCE)
    views.push(...(await viewsOf(db, rows.slice(from, from + AT_ONCE))));
  return views;
}

export function runInfo(row: RunsTable): Readonly<Record<string, unknown>> {
  return {
    run_id: row.id,
    run_uuid: row.id,
    run_name: row.name,
    experiment_id: row.experiment_id,
    user_id: row.user_id,
    status: row.status,
    start_time: row.start_time,
    ...(row.end_time === null ? {} : { end_time: row.end_time }),
    artifact_uri: row.artifact_uri,
    lifecycle_stage: row.lifecycle,
  };
}

async function viewsOf(db: Queryable, rows: readonly RunsTable[]): Promise<RunView[]> {
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const metrics = await db
    .selectFrom('mlflow_latest_metrics')
    .selectAll()
    .where('run_id', 'in', ids)
    .orderBy('key')
    .execute();
  const params = await db.selectFrom('mlflow_params').selectAll().where('run_id', 'in', ids).orderBy('key').execute();
  const tags = await db.selectFrom('mlflow_run_tags').selectAll().where('run_id', 'in', ids).orderBy('key').execute();
  const datasets = await db
    .selectFrom('mlflow_run_datasets')
    .selectAll()
    .where('run_id', 'in', ids)
    .orderBy('name')
    .execute();
  const models = await db
    .selectFrom('mlflow_run_models')
    .selectAll()
    .where('run_id', 'in', ids)
    .orderBy('model_id')
    .execute();
  const views = new Map<string, RunView>(
    rows.map((row) => [
      row.id,
      {
        info: runInfo(row),
        data: { metrics: [], params: [], tags: [] },
        inputs: { dataset_inputs: [], model_inputs: [] },
        outputs: { model_outputs: [] },
      },
    ]),
  );
  for (const point of metrics) views.get(point.run_id)?.data.metrics.push(fromPoint(point));
  for (const { run_id: id, key, value } of params) views.get(id)?.data.params.push({ key, value });
  for (const { run_id: id, key, value } of tags) views.get(id)?.data.tags.push({ key, value });
  for (const row of datasets) {
    views.get(row.run_id)?.inputs.dataset_inputs.push({
      tags: fromJson<Tagged[]>(row.tags),
      dataset: {
        name: row.name,
        digest: row.digest,
        source_type: row.source_type,
        source: row.source,
        ...(row.schema === null ? {} : { schema: row.schema }),
        ...(row.profile === null ? {} : { profile: row.profile }),
      },
    });
  }
  for (const { run_id: id, direction, model_id, step } of models) {
    if (direction === 'input') views.get(id)?.inputs.model_inputs.push({ model_id });
    else views.get(id)?.outputs.model_outputs.push({ model_id, step });
  }
  return [...views.values()];
}
