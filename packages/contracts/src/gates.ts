/**
 * Gates: what a model requires of a version before an alias or an endpoint goes to it.
 *
 * They *guard* aliases and endpoints: all of the model, or those that are named. An *approval* is a principal's word for a
 * version; who made the version has none.
 */
import Type from 'typebox';
import { EpochMs, Id, Name, Revision } from './registry.ts';

const strict = { additionalProperties: false } as const;
const MetricName = Type.String({ minLength: 1, maxLength: 250, description: '`auc`' });

export const MetricBound = Type.Object(
  {
    metric: MetricName,
    min: Type.Optional(Type.Number({ description: 'It is met at this value and above.' })),
    max: Type.Optional(Type.Number({ description: 'It is met at this value and below.' })),
  },
  { $id: 'MetricBound', ...strict },
);
export type MetricBound = Type.Static<typeof MetricBound>;

export const ChampionComparison = Type.Object(
  {
    metric: MetricName,
    better: Type.Enum(['higher', 'lower'], { description: 'Which values of it are better.' }),
    by: Type.Optional(
      Type.Number({ minimum: 0, description: 'Better by so much at least. Default: better, by however little.' }),
    ),
  },
  { $id: 'ChampionComparison', ...strict },
);
export type ChampionComparison = Type.Static<typeof ChampionComparison>;

const Ratio = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

export const ShadowRequirement = Type.Object(
  {
    rows: Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description:
        'Rows that it scored as a shadow, each compared with what the champion answered: then it is finished.',
    }),
    maxFailedRatio: Type.Optional(
      Ratio('Of the rows that it was given it could not score so many at most. Default: 0, none.'),
    ),
    maxDisagreeingRatio: Type.Optional(
      Ratio('Of the rows that were compared so many at most decide otherwise, in no output more. Default: 1, all.'),
    ),
  },
  { $id: 'ShadowRequirement', ...strict },
);
export type ShadowRequirement = Type.Static<typeof ShadowRequirement>;

export const CHECKS = ['golden', 'parity'] as const;
export type Check = (typeof CHECKS)[number];

export const Gates = Type.Object(
  {
    aliases: Type.Optional(
      Type.Array(Name, {
        maxItems: 100,
        uniqueItems: true,
        description: 'Only these are guarded. Absent: every alias.',
      }),
    ),
    endpoints: Type.Optional(
      Type.Array(Name, {
        maxItems: 100,
        uniqueItems: true,
        description: 'Only these are guarded. Absent: every endpoint that serves versions of the model.',
      }),
    ),
    approvals: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 20,
        description:
          'Of so many different principals, none of whom registered the version, or submitted the job that made it.',
      }),
    ),
    metrics: Type.Optional(
      Type.Array(MetricBound, { minItems: 1, maxItems: 50, description: "The version's metrics are within bounds." }),
    ),
    betterThanChampion: Type.Optional(
      Type.Array(ChampionComparison, {
        minItems: 1,
        maxItems: 50,
        description:
          'Its metrics are better than those of the version that `champion` names, or named last, both told of the same datasets. The first champion has nobody to beat.',
      }),
    ),
    checks: Type.Optional(
      Type.Array(Type.Enum([...CHECKS]), {
        minItems: 1,
        uniqueItems: true,
        description:
          '`golden`: it reproduced golden records that came from data, not from a generator. `parity`: its graph gave what its trainer gives.',
      }),
    ),
    shadow: Type.Optional(ShadowRequirement),
  },
  { $id: 'Gates', ...strict, description: 'Without a requirement, nothing is guarded.' },
);
export type Gates = Type.Static<typeof Gates>;

export const SetGates = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: 'The revision that was read; 0 before the first.' }),
    gates: Gates,
  },
  { $id: 'SetGates', ...strict },
);
export type SetGates = Type.Static<typeof SetGates>;

export const ModelGates = Type.Object(
  {
    modelId: Id,
    modelName: Name,
    gates: Gates,
    revision: Revision,
    updatedAt: Type.Optional(EpochMs),
    updatedBy: Type.Optional(Type.String()),
  },
  { $id: 'ModelGates', ...strict },
);
export type ModelGates = Type.Static<typeof ModelGates>;

export const GateResult = Type.Object(
  {
    gate: Type.String({
      description: '`approvals`, `metrics.auc`, `betterThanChampion.auc`, `checks.golden`, `shadow.rows`',
    }),
    passed: Type.Boolean(),
    required: Type.String({ description: 'What is required.' }),
    found: Type.String({ description: 'What is there.' }),
    action: Type.Optional(Type.String({ description: 'What to do, where it is not met.' })),
  },
  { $id: 'GateResult', ...strict },
);
export type GateResult = Type.Static<typeof GateResult>;

export const GateReport = Type.Object(
  {
    modelId: Id,
    modelName: Name,
    versionId: Id,
    version: Type.Integer({ minimum: 1 }),
    alias: Name,
    guarded: Type.Boolean({ description: 'Whether the alias is guarded, or a guarded endpoint follows it.' }),
    passed: Type.Boolean({ description: 'Whether the alias may move to the version, as far as gates go.' }),
    revision: Type.Integer({ minimum: 0, description: 'Of the gates.' }),
    gates: Type.Array(GateResult),
  },
  { $id: 'GateReport', ...strict },
);
export type GateReport = Type.Static<typeof GateReport>;

export const Approve = Type.Object(
  { comment: Type.Optional(Type.String({ maxLength: 2000, description: 'What was looked at.' })) },
  { $id: 'Approve', ...strict },
);
export type Approve = Type.Static<typeof Approve>;

export const Approval = Type.Object(
  {
    modelId: Id,
    modelName: Name,
    versionId: Id,
    version: Type.Integer({ minimum: 1 }),
    principal: Name,
    comment: Type.String(),
    at: EpochMs,
  },
  { $id: 'Approval', ...strict },
);
export type Approval = Type.Static<typeof Approval>;
