/** For tests and benchmarks: a registry that has been in use, written by a few statements in the database itself. */
import { createHash } from 'node:crypto';
import type { Database } from '@assay/database';
import { countForPlanner } from '@assay/database/query-plans';
import { type RawBuilder, sql } from 'kysely';
import { MLFLOW_DIGEST_LENGTH } from '../domain/version-lineage.ts';
import type { RegistryTables } from '../store/tables.ts';

export interface RegistrySize {
  readonly models: number;
  readonly versionsPerModel: number;
  readonly datasets: number;
  readonly experiments: number;
  readonly runsPerExperiment: number;
  readonly metricsPerRun: number;
  readonly stepsPerMetric: number;
}

/** What one statement inserts at most. */
const ROWS_AT_ONCE = 250_000;
/** The first of everything was made then, the others each a second later. */
const FROM_MS = 1_750_000_000_000;
/** Numbers from here on have as many digits, so that ids and names sort by their number. */
const ID_BASE = 100_000_000;

const idOf = (prefix: string, i: number): string => `${prefix}${ID_BASE + i}`;

/** How everything is called, by its number from 0. */
export const SEEDED = {
  model: (i: number) => idOf('model-', i),
  modelId: (i: number) => idOf('mdl_', i),
  version: (i: number) => idOf('ver_', i),
  dataset: (i: number) => idOf('dataset-', i),
  experiment: (i: number) => String(ID_BASE + i),
  run: (i: number) => idOf('run-', i),
  metric: (i: number) => `metric-${i}`,
  /** Of versions and models: one in two has this one, one in a thousand the other. */
  commonTag: { key: 'stage', value: 'released' },
  rareTag: { key: 'incident', value: 'yes' },
} as const;

/** Fills an empty registry. The audit entries are there to be found; their chain is none. */
export async function seedRegistry(database: Database<RegistryTables>, size: RegistrySize): Promise<void> {
  const { models, versionsPerModel, datasets, experiments, runsPerExperiment, metricsPerRun, stepsPerMetric } = size;
  const versions = models * versionsPerModel;
  const runs = experiments * runsPerExperiment;
  const series = runs * metricsPerRun;
  const fill = (
    rows: number,
    table: string,
    columns: Readonly<Record<string, RawBuilder<unknown> | string | number>>,
  ) => insertNumbered(database, rows, table, columns);

  await fill(models, 'models', {
    ...{ id: id('mdl_'), name: id('model-'), description: 'what it is for', revision: versionsPerModel + 1 },
    ...{ last_version: versionsPerModel, created_at: at(), updated_at: at() },
  });
  await fill(versions, 'versions', {
    ...{ id: id('ver_'), model_id: id('mdl_', by(versionsPerModel)), version: sql`i % ${lit(versionsPerModel)} + 1` },
    ...{ digest: digest(), files: FILES, signature: SIGNATURE, metrics: '{"auc":0.75}', description: '' },
    ...{ tags: '{}', created_at: at(), created_by: person(), stage: 'None' },
  });
  await fill(versions, 'version_lineage', {
    ...{ version_id: id('ver_'), run_id: id('run-', modulo(runs)), origin: '{}', is_read: 1 },
  });
  await fill(versions, 'version_inputs', { version_id: id('ver_'), kind: 'dataset', digest: digest(modulo(datasets)) });
  await fill(versions, 'mlflow_versions', {
    ...{ version_id: id('ver_'), model_id: id('mdl_', by(versionsPerModel)), run_id: id('run-', modulo(runs)) },
    ...{ version: sql`i % ${lit(versionsPerModel)} + 1`, source: 'mlflow-artifacts:/0', run_link: '', description: '' },
    ...{ tags: '[]', principal: person(), request_id: '', traceparent: '', created_at: at(), is_pending: 0 },
  });
  for (const [table, owner, prefix, rows] of [
    ['version_tags', 'version_id', 'ver_', versions],
    ['model_tags', 'model_id', 'mdl_', models],
  ] as const) {
    const { commonTag, rareTag } = SEEDED;
    const made = (number = sql`i`) => (table === 'version_tags' ? { created_at: at(number) } : {});
    const value = sql`case i % 2 when 0 then ${sql.lit(commonTag.value)} else 'candidate' end`;
    await fill(rows, table, { [owner]: id(prefix), key: commonTag.key, value, ...made() });
    await fill(Math.ceil(rows / 1000), table, {
      [owner]: id(prefix, sql`i * 1000`),
      ...rareTag,
      ...made(sql`(i * 1000)`),
    });
  }
  await fill(models, 'aliases', {
    ...{ model_id: id('mdl_'), alias: 'champion', version_id: id('ver_', sql`i * ${lit(versionsPerModel)}`) },
    ...{ revision: 1, moved_at: at(), moved_by: person() },
  });
  await fill(models, 'version_uses', {
    ...{ kind: 'alias', subject: sql`${id('mdl_')} || '/champion'`, began_at: at(), principal: person() },
    ...{ version_id: id('ver_', sql`i * ${lit(versionsPerModel)}`), revision: 1, weight: 0 },
  });
  await fill(models, 'endpoints', {
    ...{ id: id('end_'), name: id('model-'), contract: SIGNATURE, variants: '[]', follow_model_id: id('mdl_') },
    ...{ follow_alias: 'champion', salt: '', default_timeout_ms: 1000, revision: 1 },
    ...{ created_at: at(), updated_at: at(), updated_by: person() },
  });
  await fill(versions, 'audit', {
    ...{
      sequence: sql`i + 1`,
      id: id('aud_'),
      at: at(),
      principal: person(),
      resource: sql`'version/' || ${id('ver_')}`,
    },
    ...{ action: sql`case i % 10 when 0 then 'alias.move' else 'version.register' end`, request_id: id('req_') },
    ...{ details_sha256: '', previous_hash: '', hash: '', details: '{}' },
  });

  await fill(datasets, 'datasets', {
    ...{ id: id('dat_'), name: id('dataset-'), last_version: 1, created_at: at(), updated_at: at() },
  });
  await fill(datasets, 'dataset_versions', {
    ...{ id: id('dsv_'), dataset_id: id('dat_'), version: 1, digest: digest(), format: 'csv', row_count: 1 },
    ...{ file_count: 1, column_count: 1, size_bytes: 1, files: '[]', columns: '[]', created_at: at() },
    ...{ about: '{"layer":"raw","owner":"","licence":"","personalData":[],"parents":[]}', created_by: person() },
  });

  await fill(experiments, 'mlflow_experiments', {
    ...{
      id: id(''),
      name: id('experiment-'),
      lifecycle: 'active',
      artifact_location: sql`'mlflow-artifacts:/' || ${id('')}`,
    },
    ...{ created_at: at(), updated_at: at() },
  });
  await fill(runs, 'mlflow_runs', {
    ...{ id: id('run-'), experiment_id: id('', by(runsPerExperiment)), name: id('name-'), user_id: person() },
    ...{
      status: 'FINISHED',
      lifecycle: 'active',
      start_time: at(),
      end_time: at(),
      artifact_uri: '',
      created_by: person(),
    },
  });
  for (const param of ['depth', 'rounds', 'rate', 'seed', 'trainer']) {
    await fill(runs, 'mlflow_params', { run_id: id('run-'), key: param, value: sql`cast(i % 7 as text)` });
  }
  await fill(runs, 'mlflow_run_tags', { run_id: id('run-'), key: 'team', value: sql`'team-' || cast(i % 5 as text)` });
  await fill(runs, 'mlflow_run_datasets', {
    ...{
      run_id: id('run-'),
      name: id('dataset-', modulo(datasets)),
      digest: digest(modulo(datasets), MLFLOW_DIGEST_LENGTH),
    },
    ...{ source_type: 'local', source: '', tags: '[]' },
  });
  const point = (of: number, step: RawBuilder<unknown>) => ({
    ...{
      run_id: id('run-', by(of * metricsPerRun)),
      key: sql`'metric-' || cast(${by(of)} % ${lit(metricsPerRun)} as text)`,
    },
    ...{ step, timestamp: sql`${lit(FROM_MS)} + ${step} * 1000`, special: '' },
    value: sql`cast((i * 7919) % 1000 as double precision) / 1000`,
  });
  await fill(series * stepsPerMetric, 'mlflow_metrics', point(stepsPerMetric, modulo(stepsPerMetric)));
  await fill(series, 'mlflow_latest_metrics', point(1, lit(stepsPerMetric - 1)));
  await countForPlanner(database);
}

/** Rows 0 to `rows` - 1; a column's expression knows the row's number as `i`. */
async function insertNumbered(
  { db }: Database<RegistryTables>,
  rows: number,
  table: string,
  columns: Readonly<Record<string, RawBuilder<unknown> | string | number>>,
): Promise<void> {
  const names = sql.join(Object.keys(columns).map((name) => sql.ref(name)));
  const values = sql.join(Object.values(columns).map((value) => (typeof value === 'object' ? value : sql.lit(value))));
  for (let from = 0; from < rows; from += ROWS_AT_ONCE) {
    const last = Math.min(rows, from + ROWS_AT_ONCE) - 1;
    await sql`
      insert into ${sql.table(table)} (${names})
      with recursive numbers (i) as (
        select cast(${lit(from)} as bigint) union all select i + 1 from numbers where i < ${lit(last)}
      )
      select ${values} from numbers`.execute(db);
  }
}

const lit = (value: number): RawBuilder<number> => sql.lit(value);
const by = (divisor: number): RawBuilder<unknown> => sql`(i / ${lit(divisor)})`;
const modulo = (divisor: number): RawBuilder<unknown> => sql`(i % ${lit(divisor)})`;
const at = (number: RawBuilder<unknown> = sql`i`): RawBuilder<unknown> => sql`(${lit(FROM_MS)} + ${number} * 1000)`;
const person = (): RawBuilder<unknown> => sql`('person-' || cast(i % 20 as text))`;

function id(prefix: string, number: RawBuilder<unknown> = sql`i`): RawBuilder<unknown> {
  return sql`(${sql.lit(prefix)} || cast(${lit(ID_BASE)} + ${number} as text))`;
}

/** Its first characters tell digests apart, as those of real ones do. */
function digest(number: RawBuilder<unknown> = sql`i`, length = 64): RawBuilder<unknown> {
  return sql`substr(cast(${lit(ID_BASE)} + ${number} as text) || ${sql.lit('a'.repeat(64))}, 1, ${lit(length)})`;
}

/** As large as those of a model with some features are. */
const FILES = JSON.stringify(
  ['model.onnx', 'MLmodel', 'assay.json'].map((path) => ({
    path,
    sha256: createHash('sha256').update(path).digest('hex'),
    sizeBytes: 10_000,
  })),
);
const SIGNATURE = JSON.stringify({
  features: Array.from({ length: 30 }, (_, i) => ({
    name: `feature_${i}`,
    dtype: 'float32',
    shape: [],
    nullable: false,
  })),
  outputs: [{ name: 'probability', dtype: 'float32', shape: [] }],
});
