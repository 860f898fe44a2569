/**
 * Datasets: registered, immutable, digested tables.
 *
 * A *dataset* is a name; a *dataset version* is one table under it: its files by content, its schema, where it comes from
 * and what is known of it. It never changes. What a model was trained on, or what a batch job wrote, is named by the id and
 * the digest of a dataset version.
 */
import Type from 'typebox';
import { DeletedAt, EpochMs, Id, Name, Sha256 } from './registry.ts';
import { Dtype } from './signature.ts';

const strict = { additionalProperties: false } as const;

export const DATASET_FORMATS = ['csv', 'ndjson', 'parquet'] as const;
export const DatasetFormat = Type.Enum([...DATASET_FORMATS], {
  description: 'Of every file: CSV (RFC 4180, one header line), one JSON object a line, or Apache Parquet.',
});
export type DatasetFormat = Type.Static<typeof DatasetFormat>;

export const DATASET_LAYERS = ['raw', 'cleaned', 'labelled', 'processed'] as const;
export const DatasetLayer = Type.Enum([...DATASET_LAYERS], {
  description:
    '`raw`: as it came. `cleaned`: errors removed. `labelled`: with what is to be predicted. `processed`: made by a job.',
});
export type DatasetLayer = Type.Static<typeof DatasetLayer>;

/** A version has this many files at most. */
export const MAX_DATASET_FILES = 10_000;

/** File names are flat: safe on every file system, in a path and in a glob. */
export const DATASET_FILE_NAME_PATTERN = '^[A-Za-z0-9_][A-Za-z0-9._=-]{0,199}$';
export const DatasetFile = Type.Object(
  {
    name: Type.String({
      pattern: DATASET_FILE_NAME_PATTERN,
      description: 'Letters, digits, `.`, `_`, `=` and `-`; no folder, not hidden; once in a version, case aside.',
    }),
    sha256: Sha256,
    sizeBytes: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  },
  { $id: 'DatasetFile', ...strict, description: 'The bytes are in the blob store under their digest.' },
);
export type DatasetFile = Type.Static<typeof DatasetFile>;

const ColumnName = Type.String({ minLength: 1, maxLength: 256 });

export const DatasetColumn = Type.Object(
  {
    name: ColumnName,
    type: Type.String({ minLength: 1, maxLength: 2000, description: 'As DuckDB reads it: `BIGINT`, `VARCHAR`, …' }),
    nullable: Type.Boolean({ description: 'Whether some row has no value.' }),
  },
  { $id: 'DatasetColumn', ...strict },
);
export type DatasetColumn = Type.Static<typeof DatasetColumn>;

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const DatasetColumnProfile = Type.Object(
  {
    name: ColumnName,
    dtype: Dtype,
    count: Type.Integer({ ...Count, description: 'Rows, with or without a value.' }),
    missing: Count,
    distinct: Count,
    numeric: Type.Optional(
      Type.Object(
        {
          min: Type.Number(),
          max: Type.Number(),
          mean: Type.Number(),
          std: Type.Number({ minimum: 0, description: 'Of the sample (n - 1).' }),
          quantiles: Type.Array(Type.Object({ level: Type.Number(), value: Type.Number() }, strict), { maxItems: 100 }),
          histogram: Type.Object(
            {
              edges: Type.Array(Type.Number(), { maxItems: 1001 }),
              counts: Type.Array(Count, { maxItems: 1000 }),
            },
            { ...strict, description: 'Bin i holds edges[i] ≤ x < edges[i + 1], the last one its upper edge too.' },
          ),
          infinite: Count,
        },
        { ...strict, description: 'Of numbers, and of instants in microseconds since 1970.' },
      ),
    ),
    top: Type.Optional(
      Type.Array(Type.Object({ value: Type.String({ maxLength: 1000 }), count: Count }, strict), {
        maxItems: 100,
        description: 'The most frequent values.',
      }),
    ),
  },
  {
    $id: 'DatasetColumnProfile',
    ...strict,
    description: 'A column of personal data has its counts only: no `numeric`, no `top`.',
  },
);
export type DatasetColumnProfile = Type.Static<typeof DatasetColumnProfile>;

const LongText = (description: string) => Type.String({ maxLength: 10_000, description });
const ShortText = (description: string) => Type.String({ maxLength: 1000, description });

/** What people say of a version; a text that was not given is empty. */
const told = {
  layer: DatasetLayer,
  source: LongText('Where the data came from.'),
  owner: ShortText('Who answers for the data: a person or a team.'),
  licence: ShortText('Under which it may be used.'),
  knownBias: LongText('What the data is known to represent badly.'),
  personalData: Type.Array(ColumnName, {
    maxItems: 1000,
    description: 'The columns of the schema that hold personal data.',
  }),
  description: LongText('What a row is, and what the table is for.'),
  changes: LongText('What changed since the version before.'),
  parents: Type.Array(Id, {
    maxItems: 1000,
    description: 'The ids of the dataset versions that it was made from: its lineage.',
  }),
};

export const CreateDatasetVersion = Type.Object(
  {
    format: DatasetFormat,
    files: Type.Array(DatasetFile, {
      minItems: 1,
      maxItems: MAX_DATASET_FILES,
      description: 'All of one schema; each was put under its digest before (`PUT /v1/blobs/{sha256}`).',
    }),
    rows: Type.Integer({ ...Count, description: 'Of all files together.' }),
    schema: Type.Array(DatasetColumn, { minItems: 1, maxItems: 10_000, description: 'In the order of the columns.' }),
    profile: Type.Optional(Type.Array(DatasetColumnProfile, { maxItems: 10_000 })),
    layer: Type.Optional(Type.Enum([...DATASET_LAYERS], { description: 'Default: `raw`.' })),
    source: Type.Optional(told.source),
    owner: Type.Optional(told.owner),
    licence: Type.Optional(told.licence),
    knownBias: Type.Optional(told.knownBias),
    personalData: Type.Optional(told.personalData),
    description: Type.Optional(told.description),
    changes: Type.Optional(LongText('What changed since the version before: required from version 2 on.')),
    parents: Type.Optional(told.parents),
    idempotencyKey: Type.Optional(
      Type.String({
        pattern: '^[!-~]{1,128}$',
        description: 'Printable ASCII without spaces. The same key gives the version that it gave before.',
      }),
    ),
  },
  { $id: 'CreateDatasetVersion', ...strict },
);
export type CreateDatasetVersion = Type.Static<typeof CreateDatasetVersion>;

/** A version without its lists of files and columns, which may have thousands of entries: what lists and events hold. */
export const DatasetVersionSummary = Type.Object(
  {
    id: Id,
    datasetId: Id,
    datasetName: Name,
    version: Type.Integer({ minimum: 1, description: 'For people: 1, 2, 3 within the dataset.' }),
    digest: Type.String({
      ...Sha256,
      description:
        'SHA-256 of the canonical JSON (RFC 8785) of `{"files": [{"name", "sha256"}, …], "format", "schema"}`, files by name.',
    }),
    format: DatasetFormat,
    rows: Count,
    fileCount: Type.Integer({ minimum: 1 }),
    columnCount: Type.Integer({ minimum: 1 }),
    sizeBytes: Type.Integer({ ...Count, description: 'Of all files together.' }),
    ...told,
    createdAt: EpochMs,
    createdBy: Type.String({ description: 'The principal that registered it.' }),
    deletedAt: DeletedAt,
  },
  { $id: 'DatasetVersionSummary', ...strict },
);
export type DatasetVersionSummary = Type.Static<typeof DatasetVersionSummary>;

export const DatasetVersion = Type.Object(
  {
    ...DatasetVersionSummary.properties,
    files: Type.Array(DatasetFile, { description: 'By name.' }),
    schema: Type.Array(DatasetColumn),
    profile: Type.Optional(Type.Array(DatasetColumnProfile)),
  },
  { $id: 'DatasetVersion', ...strict },
);
export type DatasetVersion = Type.Static<typeof DatasetVersion>;

export const Dataset = Type.Object(
  {
    id: Id,
    name: Name,
    latestVersion: Type.Integer({ minimum: 1, description: 'The newest that is not deleted.' }),
    latest: DatasetVersionSummary,
    createdAt: EpochMs,
    updatedAt: EpochMs,
    deletedAt: DeletedAt,
  },
  { $id: 'Dataset', ...strict, description: 'Made with its first version.' },
);
export type Dataset = Type.Static<typeof Dataset>;
