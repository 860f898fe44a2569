/** What a trained version carries besides its graph: golden records, its training profile, where it came from. */
import { createHash } from 'node:crypto';
import { AssayError, canonicalJson } from '@assay/contracts';
import type { FeatureProfile, Golden, Lineage, Profile } from '@assay/model-package';
import { ASSAY_VERSION } from '@assay/runtime';
import type { Scorer } from '@assay/scoring';
import type { ColumnProfile, DataFile } from '@assay/tables';
import type { MetricValues } from '../domain/evaluation.ts';
import { countPositives, type Part } from '../domain/prepared-rows.ts';
import type { JobInput } from './job-input.ts';

/** The same graph on another machine may round the last bit of a float32 another way. */
const GOLDEN_TOLERANCE = { absolute: 1e-6, relative: 0 } as const;

/** The records with the outputs that the graph gives for them. */
export async function goldenOf(scorer: Scorer, records: readonly Record<string, unknown>[]): Promise<Golden> {
  const batch = scorer.newBatch(records.length);
  batch.appendRecords(records);
  const outputs = await scorer.run(batch);
  return {
    source: 'training',
    records: [...records],
    outputs: records.map((_, row) => plainJson(outputs.record(row))),
    tolerance: GOLDEN_TOLERANCE,
  };
}

/** Outputs hold raw JSON for exact integers; here they are small, and become plain numbers. */
function plainJson(record: Record<string, unknown>): Record<string, unknown> {
  const plain: unknown = JSON.parse(JSON.stringify(record));
  if (typeof plain === 'object' && plain !== null) return { ...plain };
  throw new AssayError('INTERNAL', 'an output record is no JSON object');
}

/** Golden records before there is a scorer to answer them: the trainer's probabilities, a float32 each. */
export function goldenOfTrainer(records: readonly Record<string, unknown>[], probabilities: Float64Array): Golden {
  return {
    source: 'training',
    records: [...records],
    outputs: Array.from(probabilities, (probability) => ({
      label: probability > 0.5 ? 1 : 0,
      probabilities: [Math.fround(1 - probability), Math.fround(probability)],
    })),
    tolerance: GOLDEN_TOLERANCE,
  };
}

export function profileOf(profiles: readonly ColumnProfile[], train: Part): Profile {
  const positives = countPositives(train);
  return {
    rows: train.rows,
    features: Object.fromEntries(profiles.map((profile) => [profile.name, featureProfileOf(profile)])),
    target: {
      count: train.rows,
      missing: 0,
      distinct: positives === 0 || positives === train.rows ? 1 : 2,
      mean: positives / train.rows,
    },
  };
}

function featureProfileOf({ count, missing, distinct, numeric, top }: ColumnProfile): FeatureProfile {
  return {
    count,
    missing,
    distinct,
    ...(numeric === undefined
      ? {}
      : {
          min: numeric.min,
          max: numeric.max,
          mean: numeric.mean,
          standardDeviation: numeric.std,
          quantiles: Object.fromEntries(numeric.quantiles.map(({ level, value }) => [String(level), value])),
          histogram: { edges: [...numeric.histogram.edges], counts: [...numeric.histogram.counts] },
        }),
    ...(top === undefined ? {} : { topCategories: [...top] }),
  };
}

export function lineageOf(of: {
  readonly input: Pick<JobInput, 'spec' | 'specSource' | 'jobId' | 'dataset'>;
  readonly seed: number;
  readonly files: readonly DataFile[];
  readonly libraries: Readonly<Record<string, string>>;
  readonly metrics: MetricValues;
  readonly baseline: MetricValues;
  readonly parity: NonNullable<Lineage['parity']>;
}): Lineage {
  const { spec, specSource, jobId, dataset } = of.input;
  const origin = spec.source.origin ?? dataset?.source;
  const licence = spec.source.licence ?? dataset?.licence;
  return {
    datasetSha256s: of.files.map((file) => file.sha256),
    ...(dataset === undefined
      ? {}
      : {
          dataset: { id: dataset.id, name: dataset.datasetName, version: dataset.version, digest: dataset.digest },
        }),
    specSha256: createHash('sha256').update(canonicalJson(spec)).digest('hex'),
    ...(specSource === undefined ? {} : { specSource: { name: specSource.name, revision: specSource.revision } }),
    codeVersion: ASSAY_VERSION,
    seed: of.seed,
    libraries: { ...of.libraries },
    metrics: of.metrics,
    baseline: of.baseline,
    parity: of.parity,
    jobId,
    ...(origin ? { origin } : {}),
    ...(licence ? { licence } : {}),
  };
}
