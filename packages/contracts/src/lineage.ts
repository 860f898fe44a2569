/**
 * Lineage: what a version was made from, what was made from it, and where it served.
 *
 * Backwards it is told by the package (`assay.json`) and by the MLflow run that logged the model; what they name by digest
 * is looked up among the registered datasets and versions. Graphs are lists of nodes that name each other by id, since a
 * dataset may be reached on many ways.
 */
import Type from 'typebox';
import { DatasetLayer } from './datasets.ts';
import { EpochMs, Id, Name, Sha256 } from './registry.ts';

const strict = { additionalProperties: false } as const;

/** A graph of datasets is followed so far, and so wide. */
export const MAX_LINEAGE_DEPTH = 32;
export const MAX_LINEAGE_DATASETS = 500;

const Truncated = Type.Boolean({
  description: `More is known than is told here: datasets are followed ${MAX_LINEAGE_DEPTH} steps far and to ${MAX_LINEAGE_DATASETS} of them, and lists have an end.`,
});

export const LineageDataset = Type.Object(
  {
    id: Id,
    name: Name,
    version: Type.Integer({ minimum: 1 }),
    digest: Sha256,
    layer: DatasetLayer,
    owner: Type.String(),
    licence: Type.String(),
    personalData: Type.Array(Type.String(), { description: 'Its columns with personal data.' }),
    parents: Type.Array(Id, { description: 'The dataset versions that it was made from.' }),
    createdAt: EpochMs,
    createdBy: Type.String(),
  },
  { $id: 'LineageDataset', ...strict, description: 'A registered dataset version.' },
);
export type LineageDataset = Type.Static<typeof LineageDataset>;

export const LineageVersion = Type.Object(
  {
    id: Id,
    modelId: Id,
    modelName: Type.String(),
    version: Type.Integer({ minimum: 1 }),
    digest: Sha256,
    createdAt: EpochMs,
    createdBy: Type.String(),
    isDeleted: Type.Boolean(),
  },
  { $id: 'LineageVersion', ...strict, description: 'A version of a model.' },
);
export type LineageVersion = Type.Static<typeof LineageVersion>;

export const LineageInput = Type.Object(
  {
    kind: Type.Enum(['dataset', 'file'], { description: '`dataset`: a table. `file`: one file that was read.' }),
    digest: Type.String({
      description: 'SHA-256 of the table or the file; of a run, what its client calls the digest of a dataset.',
    }),
    toldBy: Type.Enum(['package', 'run'], { description: '`assay.json`, or the inputs of the MLflow run.' }),
    name: Type.Optional(Type.String()),
    context: Type.Optional(Type.String({ description: 'What the run used it for: `training`, `evaluation`.' })),
    datasets: Type.Array(Id, {
      description:
        'The registered dataset versions of this digest, or that hold this file, newest first; empty where none is known.',
    }),
  },
  { $id: 'LineageInput', ...strict },
);
export type LineageInput = Type.Static<typeof LineageInput>;

export const LineageRun = Type.Object(
  {
    id: Id,
    name: Type.String(),
    experimentId: Id,
    experimentName: Type.String(),
    status: Type.String(),
    userId: Type.String(),
    startedAt: EpochMs,
    endedAt: Type.Optional(EpochMs),
    isDeleted: Type.Boolean(),
  },
  { $id: 'LineageRun', ...strict, description: 'The MLflow run that logged the model.' },
);
export type LineageRun = Type.Static<typeof LineageRun>;

export const LineageOrigin = Type.Object(
  {
    producer: Type.Optional(Type.Object({ name: Type.String(), version: Type.String() }, strict)),
    jobId: Type.Optional(Type.String({ description: 'The training job.' })),
    specSha256: Type.Optional(Sha256),
    specSource: Type.Optional(
      Type.Object(
        { name: Type.String(), revision: Type.Integer({ minimum: 1 }) },
        {
          ...strict,
          description: 'The training spec that the registry kept under this name, and that the job was made from.',
        },
      ),
    ),
    run: Type.Optional(LineageRun),
    code: Type.Object(
      {
        version: Type.Optional(Type.String()),
        commit: Type.Optional(Type.String({ description: 'Of git.' })),
        repository: Type.Optional(Type.String()),
        branch: Type.Optional(Type.String()),
        entryPoint: Type.Optional(Type.String({ description: 'The script or notebook.' })),
      },
      strict,
    ),
    seed: Type.Optional(Type.Integer()),
    libraries: Type.Record(Type.String(), Type.String(), { description: 'Library → version.' }),
    source: Type.Optional(Type.String({ description: 'Where the data or the model came from, in words.' })),
    licence: Type.Optional(Type.String()),
  },
  { $id: 'LineageOrigin', ...strict, description: 'As the package, or the run, tells it.' },
);
export type LineageOrigin = Type.Static<typeof LineageOrigin>;

const since = {
  revision: Type.Integer({ description: 'Of the alias or endpoint, from which on this held.' }),
  from: EpochMs,
  until: Type.Optional(Type.Integer({ ...EpochMs, description: 'Absent while it holds.' })),
  by: Type.String({ description: 'The principal that made it so.' }),
};

export const AliasUse = Type.Object({ alias: Name, ...since }, { $id: 'AliasUse', ...strict });
export type AliasUse = Type.Static<typeof AliasUse>;

export const EndpointUse = Type.Object(
  {
    endpointId: Id,
    endpoint: Name,
    weight: Type.Integer({ description: 'Its share of the requests, in hundredths of a percent.' }),
    ...since,
  },
  { $id: 'EndpointUse', ...strict },
);
export type EndpointUse = Type.Static<typeof EndpointUse>;

export const VersionLineage = Type.Object(
  {
    version: LineageVersion,
    origin: LineageOrigin,
    inputs: Type.Array(LineageInput),
    datasets: Type.Array(LineageDataset, { description: 'Those of the inputs, and what they were made from.' }),
    parents: Type.Array(
      Type.Object(
        {
          digest: Sha256,
          versions: Type.Array(LineageVersion, { description: 'Of this digest; empty where none is known.' }),
        },
        strict,
      ),
      { description: 'The versions that it was made from, or is a copy of.' },
    ),
    children: Type.Array(LineageVersion, { description: 'The versions that were made from it.' }),
    aliases: Type.Array(AliasUse, { description: 'That point at it, then those that did, newest first.' }),
    endpoints: Type.Array(EndpointUse, { description: 'That serve it, then those that did, newest first.' }),
    truncated: Truncated,
    unread: Type.Boolean({
      description: 'Its package, which an older Assay registered, is still to be read: what it tells is missing.',
    }),
  },
  { $id: 'VersionLineage', ...strict },
);
export type VersionLineage = Type.Static<typeof VersionLineage>;

export const FedVersion = Type.Object(
  {
    version: LineageVersion,
    dataset: Type.String({
      ...Id,
      description: 'The dataset version that it was made from: this one, or one made from it.',
    }),
    toldBy: LineageInput.properties.toldBy,
    context: LineageInput.properties.context,
  },
  { $id: 'FedVersion', ...strict },
);
export type FedVersion = Type.Static<typeof FedVersion>;

export const DatasetLineage = Type.Object(
  {
    dataset: LineageDataset,
    ancestors: Type.Array(LineageDataset, { description: 'What it was made from, and what that was made from.' }),
    descendants: Type.Array(LineageDataset, { description: 'What was made from it, and what from that.' }),
    fed: Type.Array(FedVersion, {
      description: 'A page of the versions that were made from it or from one of its descendants, by version id.',
    }),
    next: Type.Optional(Type.String({ description: 'The cursor of the following page of `fed`.' })),
    truncated: Truncated,
    unread: Type.Boolean({
      description: 'Packages that an older Assay registered are still being read: some of `fed` may be missing.',
    }),
  },
  { $id: 'DatasetLineage', ...strict },
);
export type DatasetLineage = Type.Static<typeof DatasetLineage>;
