/** What shadows were compared to be: sums, so that those of several replicas add up. */
import Type from 'typebox';
import { EpochMs, Id } from './registry.ts';

const strict = { additionalProperties: false } as const;
const count = (description: string) => Type.Integer({ minimum: 0, description });

export const ShadowOutput = Type.Object(
  {
    name: Type.String(),
    values: count('Values that were compared: rows times the elements of a row.'),
    differingRows: count('Rows in which any value differs.'),
    disagreeingRows: count(
      'Rows that decide otherwise: another label, flag or whole number, or of several numbers another that is largest. Of one number with a fraction: none.',
    ),
    sumAbsDifference: Type.Number({ minimum: 0, description: 'Of numbers that are neither NaN nor infinite.' }),
    maxAbsDifference: Type.Number({ minimum: 0 }),
  },
  { $id: 'ShadowOutput', ...strict },
);
export type ShadowOutput = Type.Static<typeof ShadowOutput>;

export const ShadowCounts = Type.Object(
  {
    rows: count('Rows that both have scored, and that were compared.'),
    failedRows: count('Rows that the shadow could not score.'),
    droppedRows: count('Rows that were not given to the shadow, since it was behind or not loaded.'),
    primaryRunMs: Type.Number({ minimum: 0, description: "What the compared rows took of the primary's runs." }),
    shadowRunMs: Type.Number({ minimum: 0, description: "What they took of the shadow's runs." }),
    outputs: Type.Array(ShadowOutput, { maxItems: 1000 }),
  },
  { $id: 'ShadowCounts', ...strict },
);
export type ShadowCounts = Type.Static<typeof ShadowCounts>;

/** What one replica has counted since it began: a later report of it takes the place of the former. */
export const ReportShadows = Type.Object(
  {
    endpointId: Id,
    replica: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'One life of one process.' }),
    sequence: Type.Integer({ minimum: 1, description: 'Higher in each later report.' }),
    comparisons: Type.Array(Type.Object({ versionId: Id, primaryVersionId: Id, counts: ShadowCounts }, strict), {
      minItems: 1,
      maxItems: 64,
    }),
  },
  { $id: 'ReportShadows', ...strict },
);
export type ReportShadows = Type.Static<typeof ReportShadows>;

/** A shadow beside one of the versions that answered, over all replicas. */
export const ShadowComparison = Type.Object(
  {
    versionId: Id,
    primaryVersionId: Id,
    isShadow: Type.Boolean({ description: 'Whether it still is one of the endpoint.' }),
    finishAfterRows: Type.Optional(Type.Integer()),
    isFinished: Type.Boolean({ description: 'Whether so many rows were compared; without that number never.' }),
    replicas: Type.Integer(),
    reportedAt: EpochMs,
    counts: ShadowCounts,
  },
  { $id: 'ShadowComparison', ...strict },
);
export type ShadowComparison = Type.Static<typeof ShadowComparison>;

export const ShadowComparisons = Type.Object(
  { items: Type.Array(ShadowComparison) },
  { $id: 'ShadowComparisons', ...strict },
);
export type ShadowComparisons = Type.Static<typeof ShadowComparisons>;

/** Both together. */
export function addShadowCounts(a: ShadowCounts, b: ShadowCounts): ShadowCounts {
  const outputs = new Map(a.outputs.map((output) => [output.name, output]));
  for (const output of b.outputs) {
    const before = outputs.get(output.name);
    outputs.set(output.name, before === undefined ? output : addOutputs(before, output));
  }
  return {
    rows: a.rows + b.rows,
    failedRows: a.failedRows + b.failedRows,
    droppedRows: a.droppedRows + b.droppedRows,
    primaryRunMs: a.primaryRunMs + b.primaryRunMs,
    shadowRunMs: a.shadowRunMs + b.shadowRunMs,
    outputs: [...outputs.values()],
  };
}

function addOutputs(a: ShadowOutput, b: ShadowOutput): ShadowOutput {
  return {
    name: a.name,
    values: a.values + b.values,
    differingRows: a.differingRows + b.differingRows,
    disagreeingRows: a.disagreeingRows + b.disagreeingRows,
    sumAbsDifference: a.sumAbsDifference + b.sumAbsDifference,
    maxAbsDifference: Math.max(a.maxAbsDifference, b.maxAbsDifference),
  };
}
