/** Training with LightGBM: rounds one by one, so that a job can be stopped between two, and ends when it gets no better. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TrainingSpec } from '@assay/contracts';
import type { Part, PreparedFeature } from '../../domain/prepared-rows.ts';
import type { TrainedModel, TrainerSpec, TrainingRequest } from '../trainer.ts';
import type { Booster, ColumnMajor, LightGbm } from './binding.ts';
import { LIGHTGBM_VERSION } from './library.ts';
import { checkParameters, formatParameters } from './parameters.ts';
import { treesOf } from './trees.ts';

const DEFAULT_ROUNDS = 200;

/** The validation metric that decides when to stop. */
interface StopMetric {
  /** Ours, and LightGBM's name. */
  readonly name: string;
  readonly parameter: string;
  readonly higherIsBetter: boolean;
}
const AUC: StopMetric = { name: 'auc', parameter: 'auc', higherIsBetter: true };
const STOP_METRICS: Readonly<Record<string, StopMetric>> = {
  auc: AUC,
  log_loss: { name: 'log_loss', parameter: 'binary_logloss', higherIsBetter: false },
  average_precision: { name: 'average_precision', parameter: 'average_precision', higherIsBetter: true },
};

/** The first of the spec's metrics that LightGBM computes between rounds. */
export function stopMetricOf(metrics: TrainingSpec['metrics']): StopMetric {
  return (metrics ?? []).map((name) => STOP_METRICS[name]).find((metric) => metric !== undefined) ?? AUC;
}

/**
 * @throws AssayError INVALID_ARGUMENT when LightGBM refuses a parameter
 */
export async function trainLightGbm(
  library: LightGbm,
  spec: Extract<TrainerSpec, { name: 'lightgbm' }>,
  metrics: TrainingSpec['metrics'],
  request: TrainingRequest,
): Promise<TrainedModel> {
  checkParameters(spec.params ?? {}, library.parameterAliases());
  const { features, seed, threads } = request;
  const metric = stopMetricOf(metrics);
  const categorical = [...features.keys()].filter((i) => features[i]?.kind === 'category');
  const parameters = formatParameters({
    // One way of building histograms, and sums in one order: the same spec and data give the same model.
    deterministic: true,
    force_row_wise: spec.params?.force_col_wise !== true,
    ...spec.params,
    objective: 'binary',
    metric: metric.parameter,
    verbosity: 0,
    seed,
    num_threads: threads,
    ...(categorical.length === 0 ? {} : { categorical_feature: categorical.join(',') }),
  });
  const train = library.createDataset({
    matrix: toMatrix(request.train, features),
    labels: request.train.labels,
    parameters,
  });
  const validation = library.createDataset({
    matrix: toMatrix(request.validation, features),
    labels: request.validation.labels,
    parameters,
    reference: train,
  });
  const booster = library.createBooster(train, parameters);
  booster.addValidation(validation);
  const { rounds, best } = await boost(booster, spec, metric, request);
  return {
    predictor: treesOf(booster.dump(rounds)),
    predict: (part) => booster.predict(toMatrix(part, features), rounds, threads),
    libraries: { lightgbm: LIGHTGBM_VERSION },
    summary: `${rounds} rounds, validation ${metric.name} ${best.toFixed(4)}`,
    close() {
      booster.close();
      validation.close();
      train.close();
    },
  };
}

async function boost(
  booster: Booster,
  spec: Extract<TrainerSpec, { name: 'lightgbm' }>,
  metric: StopMetric,
  { signal, onStep }: TrainingRequest,
): Promise<{ rounds: number; best: number }> {
  const limit = spec.rounds ?? DEFAULT_ROUNDS;
  let best = Number.NaN;
  let bestRound = 0;
  let last = Number.NaN;
  let round = 0;
  while (round < limit) {
    // A turn of the event loop: a cancellation is heard, progress gets out.
    await nextTurn();
    signal.throwIfAborted();
    if (!booster.update()) break; // nothing left to split
    round++;
    last = booster.evaluate();
    if (Number.isNaN(best) || (metric.higherIsBetter ? last > best : last < best)) {
      best = last;
      bestRound = round;
    }
    onStep({ done: round, of: limit, metric: metric.name, value: last });
    if (spec.earlyStoppingRounds !== undefined && round - bestRound >= spec.earlyStoppingRounds) break;
  }
  return spec.earlyStoppingRounds === undefined ? { rounds: round, best: last } : { rounds: bestRound, best };
}

/** Column after column in doubles; of a category its position, NaN for a missing one and one that training rows lack. */
export function toMatrix(part: Part, features: readonly PreparedFeature[]): ColumnMajor {
  const values = new Float64Array(part.rows * features.length);
  for (const [i, feature] of features.entries()) {
    const column = part.columns[i];
    const target = values.subarray(i * part.rows, (i + 1) * part.rows);
    if (column?.kind === 'number') target.set(column.values);
    else if (column?.kind === 'category' && feature.kind === 'category') {
      const { codes } = column;
      for (let row = 0; row < codes.length; row++) {
        const code = codes[row] ?? -1;
        target[row] = code >= 0 && code < feature.knownCount ? code : Number.NaN;
      }
    }
  }
  return { values, rows: part.rows, columns: features.length };
}
