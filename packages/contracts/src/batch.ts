/** Batch scoring: the spec of a job that scores files, and the job itself. */
import Type from 'typebox';
import { EpochMs, Id, Name, Revision, Sha256 } from './registry.ts';
import { JobFailure, JobProgress, JobState } from './training.ts';

const strict = { additionalProperties: false } as const;

export const BatchSpec = Type.Object(
  {
    model: Name,
    version: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1 }), Name], {
        description: 'A version number or an alias, resolved once when the job begins. Default: the alias `champion`.',
      }),
    ),
    input: Type.Object(
      {
        path: Type.String({
          minLength: 1,
          description: 'A file or a glob: CSV, NDJSON or Parquet; relative to the spec file.',
        }),
        format: Type.Optional(Type.Enum(['csv', 'ndjson', 'parquet'], { description: 'Default: by the file name.' })),
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
      },
      strict,
    ),
    output: Type.Object(
      {
        path: Type.String({
          minLength: 1,
          description:
            'A folder of this job alone; it is made. Results and errors are written into it. Relative to the spec file.',
        }),
        format: Type.Optional(Type.Enum(['csv', 'parquet'], { default: 'parquet' })),
        columns: Type.Optional(
          Type.Array(Type.String(), { maxItems: 1000, description: 'Input columns to copy beside each prediction.' }),
        ),
      },
      strict,
    ),
    shardRows: Type.Optional(
      Type.Integer({ minimum: 1000, maximum: 10_000_000, default: 250_000, description: 'Rows of one output file.' }),
    ),
    maxErrors: Type.Optional(
      Type.Integer({ minimum: 0, description: 'The job fails when more rows than this fail. Default: no limit.' }),
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
    outputDir: Type.String({ description: 'Absolute.' }),
    resultFiles: Type.Integer({ description: 'Files `results-NNNNN` in it.' }),
    errorFiles: Type.Integer({ description: 'Files `errors-NNNNN` in it: one for each shard with rows that failed.' }),
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
