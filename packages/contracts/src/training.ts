/** Training: the spec that a data scientist writes, and the job that runs it. */
import Type from 'typebox';
import { DatasetReference, JobResources } from './jobs.ts';
import { EpochMs, Id, Name, Revision } from './registry.ts';
import { AllowedValues, Dtype, ValueRange } from './signature.ts';

const strict = { additionalProperties: false } as const;

export const SpecFeature = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    dtype: Dtype,
    expression: Type.Optional(
      Type.String({ description: 'SQL (DuckDB) over the source columns; without it the column of that name.' }),
    ),
    categorical: Type.Optional(Type.Boolean({ description: 'Integers as categories; strings always are.' })),
    values: Type.Optional(
      Type.Union([Type.Enum(['closed', 'open']), AllowedValues], {
        description:
          'Of a category: whether values not seen in training are refused (`closed`) or taken as unknown (`open`, default).',
      }),
    ),
    nullable: Type.Optional(Type.Boolean({ description: 'Default: whether the rows hold a missing value.' })),
    range: Type.Optional(ValueRange),
    unit: Type.Optional(Type.String()),
    description: Type.Optional(Type.String()),
  },
  { $id: 'SpecFeature', ...strict },
);
export type SpecFeature = Type.Static<typeof SpecFeature>;

const Split = Type.Union(
  [
    Type.Object(
      {
        by: Type.Literal('time'),
        column: Type.String({ description: 'A timestamp or date column; rows are split at instants of it.' }),
        validationFrom: Type.String({ description: 'First instant of the validation rows (ISO 8601).' }),
        testFrom: Type.String({ description: 'First instant of the test rows (ISO 8601).' }),
      },
      strict,
    ),
    Type.Object(
      {
        by: Type.Literal('random'),
        validation: Type.Number({ exclusiveMinimum: 0, maximum: 0.5, description: 'Fraction of the rows.' }),
        test: Type.Number({ exclusiveMinimum: 0, maximum: 0.5, description: 'Fraction of the rows.' }),
      },
      strict,
    ),
  ],
  { $id: 'Split' },
);

const rounds = Type.Integer({ minimum: 1, maximum: 100_000, default: 200 });
const earlyStoppingRounds = Type.Integer({
  minimum: 1,
  description: 'Stop when the validation metric has not improved for so many rounds.',
});
const Params = (description: string) =>
  Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), { description });

const LightGbmTrainer = Type.Object(
  {
    name: Type.Literal('lightgbm'),
    rounds: Type.Optional(rounds),
    earlyStoppingRounds: Type.Optional(earlyStoppingRounds),
    params: Type.Optional(Params("LightGBM's own parameters (num_leaves, learning_rate, …).")),
  },
  strict,
);
const XgBoostTrainer = Type.Object(
  {
    name: Type.Literal('xgboost'),
    rounds: Type.Optional(rounds),
    earlyStoppingRounds: Type.Optional(earlyStoppingRounds),
    params: Type.Optional(Params("XGBoost's own parameters (max_depth, eta, subsample, …).")),
    device: Type.Optional(
      Type.Enum(['cpu', 'cuda'], {
        description:
          'Default: `cuda` where resources.gpus asks for a GPU, else `cpu`. With `cuda` and no GPU the job fails; it never trains on the CPU instead.',
      }),
    ),
  },
  strict,
);
const LinearTrainer = Type.Object(
  {
    name: Type.Literal('logistic-regression'),
    l2: Type.Optional(Type.Number({ minimum: 0, default: 1, description: 'Strength of the L2 penalty.' })),
    maxIterations: Type.Optional(Type.Integer({ minimum: 1, default: 100 })),
  },
  strict,
);

const sourceColumns = {
  types: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description: 'CSV: the SQL type of a column, where the first rows mislead: `{code: VARCHAR}`.',
    }),
  ),
  where: Type.Optional(Type.String({ description: 'SQL condition; rows that fail it are left out.' })),
  licence: Type.Optional(Type.String()),
  origin: Type.Optional(Type.String({ description: 'Where the data came from, in words.' })),
};
const Source = Type.Union(
  [
    Type.Object(
      {
        path: Type.String({
          minLength: 1,
          description: 'CSV, NDJSON or Parquet; relative to the spec file. A glob is allowed.',
        }),
        format: Type.Optional(Type.Enum(['csv', 'ndjson', 'parquet'], { description: 'Default: by the file name.' })),
        ...sourceColumns,
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
        ...sourceColumns,
      },
      strict,
    ),
  ],
  { description: 'Files that the job can read, by `path`; or a version of a registered dataset, by its name.' },
);

export const METRICS = ['auc', 'log_loss', 'accuracy', 'brier', 'average_precision'] as const;

export const TrainingSpec = Type.Object(
  {
    model: Name,
    description: Type.Optional(Type.String({ maxLength: 10_000 })),
    source: Source,
    target: Type.Object(
      {
        name: Name,
        expression: Type.String({
          minLength: 1,
          description: 'SQL that gives true or false; rows where it is null are left out.',
        }),
        description: Type.Optional(Type.String()),
      },
      strict,
    ),
    features: Type.Array(SpecFeature, { minItems: 1, maxItems: 10_000 }),
    split: Split,
    trainer: Type.Union([LightGbmTrainer, XgBoostTrainer, LinearTrainer]),
    metrics: Type.Optional(Type.Array(Type.Enum([...METRICS]), { minItems: 1 })),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, default: 1 })),
    threads: Type.Optional(Type.Integer({ minimum: 1, maximum: 256, description: 'Default: the cores it may use.' })),
    resources: Type.Optional(JobResources),
    register: Type.Optional(
      Type.Object(
        { alias: Type.Optional(Name), tags: Type.Optional(Type.Record(Type.String(), Type.String())) },
        strict,
      ),
    ),
  },
  { $id: 'TrainingSpec', ...strict },
);
export type TrainingSpec = Type.Static<typeof TrainingSpec>;

export const JOB_STATES = ['queued', 'starting', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export const JobState = Type.Enum([...JOB_STATES], { $id: 'JobState' });
export type JobState = Type.Static<typeof JobState>;

export const JobProgress = Type.Object(
  {
    stage: Type.String({ description: '`read`, `analyse`, `train`, …' }),
    percent: Type.Number({ minimum: 0, maximum: 100 }),
    message: Type.Optional(Type.String({ maxLength: 2000 })),
    metrics: Type.Optional(Type.Record(Type.String(), Type.Number())),
  },
  { $id: 'JobProgress', ...strict },
);
export type JobProgress = Type.Static<typeof JobProgress>;

export const JobFailure = Type.Object(
  {
    kind: Type.Enum(['configuration', 'data', 'out-of-memory', 'crash', 'deadline', 'lost', 'internal']),
    message: Type.String(),
    retryable: Type.Boolean(),
  },
  { $id: 'JobFailure', ...strict },
);
export type JobFailure = Type.Static<typeof JobFailure>;

export const TrainingResult = Type.Object(
  {
    modelName: Name,
    version: Type.Integer(),
    versionId: Id,
    digest: Type.String(),
    metrics: Type.Record(Type.String(), Type.Number()),
    baseline: Type.Record(Type.String(), Type.Number(), {
      description: 'The same metrics of the majority-class baseline.',
    }),
    rows: Type.Optional(
      Type.Object(
        {
          train: Type.Integer({ minimum: 0 }),
          validation: Type.Integer({ minimum: 0 }),
          test: Type.Integer({ minimum: 0 }),
        },
        { ...strict, description: 'How many rows each part of the split had.' },
      ),
    ),
  },
  { $id: 'TrainingResult', ...strict },
);
export type TrainingResult = Type.Static<typeof TrainingResult>;

/** A spec as the registry keeps it, under a name. */
export const KeptTrainingSpec = Type.Object(
  {
    name: Name,
    spec: TrainingSpec,
    specSha256: Type.String({
      description:
        'SHA-256 of the spec as canonical JSON: jobs that were made from it have it, in the audit trail too, and versions in their lineage.',
    }),
    revision: Revision,
    updatedAt: EpochMs,
    updatedBy: Type.String(),
  },
  { $id: 'KeptTrainingSpec', ...strict },
);
export type KeptTrainingSpec = Type.Static<typeof KeptTrainingSpec>;

export const SpecReference = Type.Pick(KeptTrainingSpec, ['name', 'revision', 'specSha256'], {
  $id: 'SpecReference',
  ...strict,
  description: 'Of a job that was made by the name of a spec: the one that the registry kept under it then.',
});
export type SpecReference = Type.Static<typeof SpecReference>;

export const Job = Type.Object(
  {
    id: Id,
    kind: Type.Enum(['training']),
    state: JobState,
    revision: Revision,
    spec: TrainingSpec,
    specSource: Type.Optional(SpecReference),
    baseDir: Type.String({ description: 'What relative paths of the spec are relative to.' }),
    dataset: Type.Union([DatasetReference, Type.Null()], {
      description: 'Of a spec that names a dataset: the version that it was when the job first started.',
    }),
    attempts: Type.Integer({ minimum: 0 }),
    progress: Type.Union([JobProgress, Type.Null()]),
    result: Type.Union([TrainingResult, Type.Null()]),
    failure: Type.Union([JobFailure, Type.Null()]),
    createdAt: EpochMs,
    startedAt: Type.Union([EpochMs, Type.Null()]),
    endedAt: Type.Union([EpochMs, Type.Null()]),
  },
  { $id: 'Job', ...strict },
);
export type Job = Type.Static<typeof Job>;

export const PutTrainingSpec = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: '0 for one that is not there.' }),
    spec: TrainingSpec,
  },
  { $id: 'PutTrainingSpec', ...strict },
);
export type PutTrainingSpec = Type.Static<typeof PutTrainingSpec>;

export const CreateJob = Type.Object(
  {
    spec: Type.Union([TrainingSpec, Type.Object({ name: Name }, strict)], {
      description: 'A spec, or the `name` of one that the registry keeps: the job has it as it is now.',
    }),
    baseDir: Type.Optional(Type.String({ description: 'An absolute folder; relative paths of the spec start there.' })),
    idempotencyKey: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  },
  { $id: 'CreateJob', ...strict },
);
export type CreateJob = Type.Static<typeof CreateJob>;
