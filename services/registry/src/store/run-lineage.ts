/** What the MLflow run knows of a version that it logged: who ran it, on which code, with which datasets. */
import type { LineageRun } from '@assay/contracts';
import type { RunDataset } from '../domain/version-lineage.ts';
import type { Queryable } from './tables.ts';

export interface RunLineage {
  readonly run: LineageRun;
  readonly tags: Readonly<Record<string, string>>;
  readonly datasets: readonly RunDataset[];
}

/** The tags that say on which code it ran. */
const CODE_TAGS = [
  'mlflow.source.git.commit',
  'mlflow.source.git.repoURL',
  'mlflow.source.git.branch',
  'mlflow.source.name',
];

/** undefined where the run is gone. */
export async function readRunLineage(db: Queryable, runId: string, limit: number): Promise<RunLineage | undefined> {
  const row = await db
    .selectFrom('mlflow_runs')
    .innerJoin('mlflow_experiments', 'mlflow_experiments.id', 'mlflow_runs.experiment_id')
    .selectAll('mlflow_runs')
    .select('mlflow_experiments.name as experiment_name')
    .where('mlflow_runs.id', '=', runId)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const tags = await db
    .selectFrom('mlflow_run_tags')
    .select(['key', 'value'])
    .where('run_id', '=', runId)
    .where('key', 'in', CODE_TAGS)
    .execute();
  const datasets = await db
    .selectFrom('mlflow_run_datasets')
    .select(['name', 'digest', 'tags'])
    .where('run_id', '=', runId)
    .orderBy('name')
    .orderBy('digest')
    .limit(limit)
    .execute();
  return {
    run: {
      id: row.id,
      name: row.name,
      experimentId: row.experiment_id,
      experimentName: row.experiment_name,
      status: row.status,
      userId: row.user_id,
      startedAt: row.start_time,
      ...(row.end_time === null ? {} : { endedAt: row.end_time }),
      isDeleted: row.lifecycle === 'deleted',
    },
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
    datasets,
  };
}
