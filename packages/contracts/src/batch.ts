/** Batch scoring: the spec of a job that scores files, and the job itself. */
import Type from 'typebox';
import { DatasetVersionSummary } from './datasets.ts';
import { DatasetReference, JobResources } from './jobs.ts';
import { EpochMs, Id, Name, Revision, Sha256 } from './registry.ts';
import { JobFailure, JobProgress, JobState } from './training.ts';

const strict = { additionalProperties: false } as const;

const inputColumns = {
  types: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description:
        'CSV and NDJSON: the SQL type of a column in `select`, where the first rows mislead: `{code: VARCHAR}`.',
    }),
  ),
  select: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'Feature name → SQL expression (DuckDB) over the columns. Default: the column of that name.',
    }),
  ),
};
const Input = Type.Union(
  [
    Type.Object(
      {
        path: Type.String({
          minLength: 1,
          description: 'A file or a glob: CSV, NDJSON or Parquet; relative to the spec file.',
        }),
        format: Type.Optional(Type.Enum(['csv', 'ndjson', 'parquet'], { description: 'Default: by the file name.' })),
        ...inputColumns,
      },
      strict,
    ),
    Type.Object(
      {
        dataset: Name,
        version: Type.Optional(
          Type.Integer({
            minimum: 1,
            description: 'Default: the newest when the job first starts; it is kept with the job.',
          }),
        ),
        ...inputColumns,
      },
      strict,
    ),
  ],
  { description: 'Files that the job can read, by `path`; or a version of a registered dataset, by its name.' },
);

/** What follows the name of a dataset of results in that of its errors. */
export const ERRORS_SUFFIX = '-errors';

const outputForm = {
  format: Type.Optional(Type.Enum(['csv', 'parquet'], { default: 'parquet' })),
  columns: Type.Optional(
    Type.Array(Type.String(), { maxItems: 1000, description: 'Input columns to copy beside each prediction.' }),
  ),
};
const Output = Type.Union(
  [
    Type.Object(
      {
        path: Type.String({
          minLength: 1,
          description:
            'A folder of this job alone; it is made. Results and errors are written into it. Relative to the spec file.',
        }),
        ...outputForm,
      },
      strict,
    ),
    Type.Object(
      {
        dataset: Type.String({
          ...Name,
          maxLength: 128 - ERRORS_SUFFIX.length, // with the suffix it is a name too
          description:
            'Results become the next version of this dataset, a file a shard; errors, where there are any, of the dataset of this name and `-errors`.',
        }),
        ...outputForm,
      },
      strict,
    ),
  ],
  { description: 'A folder, by `path`; or a dataset, by its name.' },
);

export const BatchSpec = Type.Object(
  {
    model: Name,
    version: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1 }), Name], {
        description: 'A version number or an alias, resolved once when the job begins. Default: the alias `champion`.',
      }),
    ),
    input: Input,
    output: Output,
    resources: Type.Optional(JobResources),
    shardRows: Type.Optional(
      Type.Integer({ minimum: 1000, maximum: 10_000_000, default: 250_000, description: 'Rows of one output file.' }),
    ),
    maxErrors: Type.Optional(
      Type.Integer({ minimum: 0, description: 'The job fails when more rows than this fail. Default: no limit.' }),
    ),
    log: Type.Optional(
      Type.Object(
        {
          ratio: Type.Number({
            minimum: 0,
            maximum: 1,
            description: 'The share of predictions that go into the prediction log, chosen by their ids.',
          }),
        },
        { ...strict, description: 'Default: none.' },
      ),
    ),
  },
  { $id: 'BatchSpec', ...strict },
);
export type BatchSpec = Type.Static<typeof BatchSpec>;

/** The version that a job scores with: looked up once, and kept whatever becomes of the alias. */
export const BatchVersion = Type.Object(
  { modelName: Name, version: Type.Integer(), versionId: Id, digest: Sha256 },
  { $id: 'BatchVersion', ...strict },
);
export type BatchVersion = Type.Static<typeof BatchVersion>;

export const BatchResult = Type.Object(
  {
    modelName: Name,
    version: Type.Integer(),
    versionId: Id,
    digest: Sha256,
    rowsIn: Type.Integer(),
    rowsOut: Type.Integer(),
    rowsFailed: Type.Integer({ description: 'rowsIn = rowsOut + rowsFailed.' }),
    shards: Type.Integer(),
    outputDir: Type.Optional(Type.String({ description: 'The folder with the results, absolute.' })),
    dataset: Type.Optional(
      Type.Pick(DatasetVersionSummary, ['id', 'datasetName', 'version', 'digest'], {
        ...strict,
        description: 'The version that the results became.',
      }),
    ),
    errorsDataset: Type.Optional(
      Type.Pick(DatasetVersionSummary, ['id', 'datasetName', 'version', 'digest'], {
        ...strict,
        description: 'The version that the errors became; absent where no row failed.',
      }),
    ),
    resultFiles: Type.Integer({ description: 'Files `results-NNNNN`.' }),
    errorFiles: Type.Integer({ description: 'Files `errors-NNNNN`: one for each shard with rows that failed.' }),
    predictionsLogged: Type.Optional(Type.Integer({ description: 'That went into the prediction log.' })),
    predictionsDropped: Type.Optional(
      Type.Integer({ description: 'That were to go into the prediction log and could not.' }),
    ),
  },
  { $id: 'BatchResult', ...strict },
);
export type BatchResult = Type.Static<typeof BatchResult>;

export const BatchJob = Type.Object(
  {
    id: Id,
    kind: Type.Enum(['batch']),
    state: JobState,
    revision: Revision,
    spec: BatchSpec,
    baseDir: Type.String({ description: 'What relative paths of the spec are relative to.' }),
    version: Type.Union([BatchVersion, Type.Null()], {
      description: 'Resolved when the job first starts; later attempts use the same, wherever the alias points then.',
    }),
    dataset: Type.Union([DatasetReference, Type.Null()], {
      description: 'Of an input that names a dataset: the version that it was when the job first started.',
    }),
    attempts: Type.Integer({ minimum: 0 }),
    progress: Type.Union([JobProgress, Type.Null()]),
    result: Type.Union([BatchResult, Type.Null()]),
    failure: Type.Union([JobFailure, Type.Null()]),
    createdAt: EpochMs,
    startedAt: Type.Union([EpochMs, Type.Null()]),
    endedAt: Type.Union([EpochMs, Type.Null()]),
  },
  { $id: 'BatchJob', ...strict },
);
export type BatchJob = Type.Static<typeof BatchJob>;

export const CreateBatchJob = Type.Object(
  {
    spec: BatchSpec,
    baseDir: Type.Optional(Type.String({ description: 'An absolute folder; relative paths of the spec start there.' })),
    idempotencyKey: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  },
  { $id: 'CreateBatchJob', ...strict },
);
export type CreateBatchJob = Type.Static<typeof CreateBatchJob>;

/** Predictions of one call to the log. */
export const MAX_BATCH_PREDICTIONS = 128;

/** A prediction as a running job logs it: all else is known of the job. */
export const LoggedBatchPrediction = Type.Object(
  {
    id: Type.String({ pattern: '^prd_[0-9a-f]{20}_[0-9]{1,16}$' }),
    record: Type.String({ description: 'JSON, exact: the record that was scored.' }),
    outputs: Type.String({ description: 'JSON, exact: the outputs by name.' }),
  },
  { $id: 'LoggedBatchPrediction', ...strict },
);
export type LoggedBatchPrediction = Type.Static<typeof LoggedBatchPrediction>;

export const LogBatchPredictions = Type.Object(
  {
    executionClass: Type.String({ minLength: 1, maxLength: 64 }),
    predictions: Type.Array(LoggedBatchPrediction, { minItems: 1, maxItems: MAX_BATCH_PREDICTIONS }),
  },
  { $id: 'LogBatchPredictions', ...strict },
);
export type LogBatchPredictions = Type.Static<typeof LogBatchPredictions>;
