/** What gates ask of a version, from the rows of its package, its checks and its run. */
import { addShadowCounts, type ShadowCounts } from '@assay/contracts';
import type { GatedVersion, Measured } from '../domain/gate-verdicts.ts';
import { measuredOn } from '../domain/measured-on.ts';
import type { VersionChecks } from '../domain/version-checks.ts';
import type { RunDataset } from '../domain/version-lineage.ts';
import type { ModelRow } from './models.ts';
import { fromJson, type Queryable, type VersionsTable } from './tables.ts';
import { readOrigin } from './version-origin.ts';

export async function readGatedVersion(
  db: Queryable,
  model: ModelRow,
  row: VersionsTable,
): Promise<Omit<GatedVersion, 'shadow'>> {
  const approvals = await db
    .selectFrom('version_approvals')
    .select('principal')
    .where('version_id', '=', row.id)
    .execute();
  const checks = await db
    .selectFrom('version_checks')
    .select('checks')
    .where('version_id', '=', row.id)
    .executeTakeFirst();
  return {
    ...(await readMeasured(db, row)),
    modelName: model.name,
    authors: await readAuthors(db, row),
    approvers: approvals.map(({ principal }) => principal),
    notServable: row.not_servable,
    checks: checks === undefined ? undefined : fromJson<VersionChecks>(checks.checks),
  };
}

/** A training service registers what others had it train: the audit trail has who submitted the job. */
export async function readAuthors(db: Queryable, row: Pick<VersionsTable, 'id' | 'created_by'>): Promise<string[]> {
  const { jobId } = (await readOrigin(db, row.id)).told;
  if (jobId === undefined) return [row.created_by];
  const entries = await db
    .selectFrom('audit')
    .select(['action', 'principal'])
    .where('resource', '=', `job/${jobId}`)
    .execute();
  const submitters = entries.flatMap(({ action, principal }) => (action === 'job.submit' ? [principal] : []));
  return [...new Set([row.created_by, ...submitters])];
}

/** The package speaks first; what it leaves out, the run says that logged the model. */
export async function readMeasured(
  db: Queryable,
  row: Pick<VersionsTable, 'id' | 'version' | 'metrics'>,
): Promise<Measured> {
  const lineage = await db
    .selectFrom('version_lineage')
    .select('run_id')
    .where('version_id', '=', row.id)
    .executeTakeFirst();
  const run = lineage === undefined || lineage.run_id === null ? undefined : await readRun(db, lineage.run_id);
  const inputs = await db
    .selectFrom('version_inputs')
    .select('digest')
    .where('version_id', '=', row.id)
    .where('kind', 'in', ['dataset', 'file'])
    .execute();
  return {
    id: row.id,
    version: row.version,
    metrics: { ...run?.metrics, ...fromJson<Record<string, number>>(row.metrics) },
    datasets: measuredOn(
      inputs.map(({ digest }) => digest),
      run?.datasets ?? [],
    ),
  };
}

/** What the replicas counted of a version as the shadow of another; undefined where none did. */
export async function readShadowCounts(
  db: Queryable,
  { versionId, besideId }: { readonly versionId: string; readonly besideId: string },
  counts: (endpoint: string) => boolean,
): Promise<ShadowCounts | undefined> {
  const reports = await db
    .selectFrom('shadow_reports')
    .innerJoin('endpoints', 'endpoints.id', 'shadow_reports.endpoint_id')
    .select(['endpoints.name', 'shadow_reports.counted'])
    .where('shadow_reports.version_id', '=', versionId)
    .where('shadow_reports.primary_version_id', '=', besideId)
    .execute();
  const counted = reports.filter(({ name }) => counts(name)).map((report) => fromJson<ShadowCounts>(report.counted));
  return counted.length === 0 ? undefined : counted.reduce(addShadowCounts);
}

async function readRun(
  db: Queryable,
  runId: string,
): Promise<Pick<Measured, 'metrics'> & { readonly datasets: readonly RunDataset[] }> {
  const metrics = await db
    .selectFrom('mlflow_latest_metrics')
    .select(['key', 'value'])
    .where('run_id', '=', runId)
    .where('special', '=', '') // neither NaN nor infinite
    .execute();
  const datasets = await db
    .selectFrom('mlflow_run_datasets')
    .select(['name', 'digest', 'tags'])
    .where('run_id', '=', runId)
    .execute();
  return {
    metrics: Object.fromEntries(metrics.map(({ key, value }) => [key, value])),
    datasets,
  };
}
