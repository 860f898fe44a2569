/** Removing the rows of what was deleted longer ago than it is kept, for good; its audit entries stay. */
import { forgetFolder } from '../mlflow/store/artifacts.ts';
import { inChunks } from './blob-claims.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { type ExpiredRow, isExpired } from './expired.ts';
import type { Queryable } from './tables.ts';

/** In one transaction, which holds up every writer. */
const ROWS_AT_ONCE = 20;

/** @returns those that are gone now: one that was restored meanwhile stays */
export async function purge(
  store: Store,
  actor: Actor,
  rows: readonly ExpiredRow[],
  before: number,
  signal: AbortSignal,
): Promise<ExpiredRow[]> {
  const gone: ExpiredRow[] = [];
  for (const some of inChunks(rows, ROWS_AT_ONCE)) {
    signal.throwIfAborted();
    const purged = await change(store, actor, async (change) => {
      const done: ExpiredRow[] = [];
      for (const row of some) {
        if (!(await isExpired(change.trx, row, before))) continue;
        await REMOVERS[row.kind](change, row.id);
        if (row.folder !== undefined) await forgetFolder(change.trx, row.folder);
        change.record(`${row.kind}.purge`, `${row.kind}/${row.id}`, { name: row.name, deletedAt: row.deletedAt });
        done.push(row);
      }
      return done;
    });
    gone.push(...purged);
  }
  return gone;
}

const REMOVERS: Readonly<Record<ExpiredRow['kind'], (change: Change, id: string) => Promise<void>>> = {
  async version({ trx }, id) {
    for (const table of [
      'version_tags',
      'version_lineage',
      'version_inputs',
      'version_uses',
      'version_approvals',
      'version_checks',
      'mlflow_versions',
    ] as const)
      await trx.deleteFrom(table).where('version_id', '=', id).execute();
    await trx
      .deleteFrom('shadow_reports')
      .where((eb) => eb.or([eb('version_id', '=', id), eb('primary_version_id', '=', id)]))
      .execute();
    await trx.deleteFrom('versions').where('id', '=', id).execute();
  },
  async model({ trx }, id) {
    await trx
      .updateTable('endpoints')
      .set({ follow_model_id: null, follow_alias: null })
      .where('follow_model_id', '=', id)
      .execute();
    for (const table of ['aliases', 'model_tags', 'model_gates', 'mlflow_versions'] as const)
      await trx.deleteFrom(table).where('model_id', '=', id).execute();
    await trx.deleteFrom('models').where('id', '=', id).execute();
  },
  async 'dataset-version'({ trx }, id) {
    await trx.deleteFrom('dataset_version_keys').where('version_id', '=', id).execute();
    await trx.deleteFrom('dataset_files').where('dataset_version_id', '=', id).execute();
    await trx.deleteFrom('dataset_parents').where('child_id', '=', id).execute();
    await trx.deleteFrom('dataset_versions').where('id', '=', id).execute();
  },
  /** Its metrics, which may be millions, go by themselves: see `purgeMetrics`. */
  async run({ trx }, id) {
    for (const table of ['mlflow_run_tags', 'mlflow_params', 'mlflow_run_datasets', 'mlflow_run_models'] as const)
      await trx.deleteFrom(table).where('run_id', '=', id).execute();
    await trx.deleteFrom('mlflow_runs').where('id', '=', id).execute();
  },
  async 'logged-model'({ trx }, id) {
    for (const table of [
      'mlflow_logged_model_tags',
      'mlflow_logged_model_params',
      'mlflow_logged_model_metrics',
    ] as const)
      await trx.deleteFrom(table).where('model_id', '=', id).execute();
    await trx.deleteFrom('mlflow_logged_models').where('id', '=', id).execute();
  },
  async experiment({ trx }, id) {
    await trx.deleteFrom('mlflow_experiment_tags').where('experiment_id', '=', id).execute();
    await trx.deleteFrom('mlflow_experiments').where('id', '=', id).execute();
  },
};

/** Metrics of runs that are gone, a metric at a time; also those that a purge that was killed has left. */
export async function purgeMetrics(db: Queryable, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const orphans = await db
      .selectFrom('mlflow_latest_metrics')
      .leftJoin('mlflow_runs', 'mlflow_runs.id', 'mlflow_latest_metrics.run_id')
      .select(['mlflow_latest_metrics.run_id', 'mlflow_latest_metrics.key'])
      .where('mlflow_runs.id', 'is', null)
      .limit(ROWS_AT_ONCE)
      .execute();
    for (const { run_id, key } of orphans) {
      for (const table of ['mlflow_metrics', 'mlflow_latest_metrics'] as const)
        await db.deleteFrom(table).where('run_id', '=', run_id).where('key', '=', key).execute();
    }
    if (orphans.length < ROWS_AT_ONCE) return;
  }
}
