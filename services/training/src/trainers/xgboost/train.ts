/** Training with XGBoost: rounds one by one, so that a job can be stopped between two, and ends when it gets no better. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { TreeNode } from '@assay/onnx';
import { DataError } from '@assay/tables';
import type { Device } from '../../domain/device.ts';
import type { FeatureColumn, Part, PreparedFeature } from '../../domain/prepared-rows.ts';
import { XGBOOST_VERSION } from '../libraries/wheels.ts';
import type { TrainedModel, TrainerSpec, TrainingRequest } from '../trainer.ts';
import type { Booster, Column, Columns, Matrix, XgBoost } from './binding.ts';
import { requireBoosterOnCuda, requireCudaBuild } from './cuda.ts';
import { checkParameters, type ParameterValues, parametersIn } from './parameters.ts';
import { treesOf } from './trees.ts';

const DEFAULT_ROUNDS = 200;
/** XGBoost sums leaves in float32. Summed in pieces, and these in double, its scores stay comparable after many rounds. */
const ROUNDS_A_PIECE = 64;
/** The most categories that XGBoost tells apart (common::OutOfRangeCat). */
const MAX_CATEGORIES = 2 ** 24;

type XgBoostSpec = Extract<TrainerSpec, { name: 'xgboost' }>;

/**
 * @throws AssayError INVALID_ARGUMENT when XGBoost refuses a parameter, FAILED_PRECONDITION when it would train on another
 *   device than asked for; DataError for values that it cannot hold
 */
export async function trainXgBoost(
  library: XgBoost,
  spec: XgBoostSpec & { readonly device: Device },
  request: TrainingRequest,
): Promise<TrainedModel> {
  const { features, seed, threads } = request;
  const parameters = {
    ...texts(spec.params ?? {}),
    objective: 'binary:logistic',
    eval_metric: 'logloss',
    booster: 'gbtree',
    tree_method: 'hist',
    seed: String(seed),
    nthread: String(threads),
    device: spec.device,
  };
  requireKnownParameters(library, spec, parameters, features.length);
  for (const [i, feature] of features.entries()) requireHeld(feature, i, request);

  using opened = new DisposableStack();
  const maxBins = spec.params?.max_bin;
  const binning = { maxBins: maxBins === undefined ? undefined : Number(maxBins), threads };
  const matrixOf = (part: Part, reference?: Matrix): Matrix =>
    library.createMatrix({
      data: toColumns(part, features),
      labels: part.labels,
      ...binning,
      ...(reference === undefined ? {} : { reference }),
    });
  const train = matrixOf(request.train);
  opened.defer(() => train.close());
  const validation = matrixOf(request.validation, train);
  opened.defer(() => validation.close());
  const booster = library.createBooster([train, validation], parameters);
  opened.defer(() => booster.close());
  if (spec.device === 'cuda') requireBoosterOnCuda(booster.config());

  const { rounds, best } = await boost(booster, { train, validation }, spec, request);
  if (spec.device === 'cuda') {
    requireBoosterOnCuda(booster.config());
    booster.setParameter('device', 'cpu'); // test rows are in this machine's memory
  }
  const resources = opened.move();
  return {
    predictor: { kind: 'trees', ...exported(booster, rounds), unknownIsMissing: true },
    predict: (part) => predict(booster, toColumns(part, features), rounds),
    libraries: { xgboost: XGBOOST_VERSION },
    summary: `${rounds} rounds on ${spec.device}, validation log_loss ${best.toFixed(4)}`,
    close: () => resources.dispose(),
  };
}

const texts = (params: ParameterValues): Record<string, string> =>
  Object.fromEntries(Object.entries(params).map(([name, value]) => [name, String(value)]));

/** Asks XGBoost what it makes of the parameters, before any row is looked at. */
function requireKnownParameters(
  library: XgBoost,
  { params = {}, device }: XgBoostSpec & { readonly device: Device },
  parameters: Readonly<Record<string, string>>,
  features: number,
): void {
  if (device === 'cuda') requireCudaBuild(library);
  const booster = library.createBooster([], { ...parameters, device: 'cpu', num_feature: String(features) });
  try {
    checkParameters(params, parametersIn(booster.config()));
  } catch (error) {
    if (!(error instanceof AssayError) || error.details.length > 0) throw error;
    const { message } = error;
    throw new AssayError('INVALID_ARGUMENT', `trainer.params: ${message}`, {
      details: [{ place: 'trainer.params', message }],
      cause: error,
    });
  } finally {
    booster.close();
  }
}

/** XGBoost holds values as float32, and refuses what is infinite there. */
function requireHeld(feature: PreparedFeature, index: number, { train, validation }: TrainingRequest): void {
  if (feature.kind === 'category') {
    if (feature.knownCount <= MAX_CATEGORIES) return;
    throw new DataError(
      `features[${index}]: "${feature.name}" has ${feature.knownCount} categories; XGBoost tells ${MAX_CATEGORIES} apart`,
    );
  }
  for (const { columns } of [train, validation]) {
    const column = columns[index];
    const values = column?.kind === 'number' ? column.values : [];
    const beyond = values.find((value) => Math.abs(Math.fround(value)) === Number.POSITIVE_INFINITY);
    if (beyond === undefined) continue;
    throw new DataError(
      `features[${index}]: "${feature.name}" holds ${beyond}; XGBoost computes in float32, which ends at 3.4e38. Scale it by its expression, or use trainer lightgbm`,
    );
  }
}

async function boost(
  booster: Booster,
  { train, validation }: { readonly train: Matrix; readonly validation: Matrix },
  spec: XgBoostSpec,
  { signal, onStep }: TrainingRequest,
): Promise<{ rounds: number; best: number }> {
  const limit = spec.rounds ?? DEFAULT_ROUNDS;
  let best = Number.POSITIVE_INFINITY;
  let bestRound = 0;
  let last = Number.NaN;
  let round = 0;
  while (round < limit) {
    // A turn of the event loop: a cancellation is heard, progress gets out.
    await nextTurn();
    signal.throwIfAborted();
    booster.update(round, train);
    last = booster.evaluate(round, validation);
    round++;
    if (last < best || round === 1) {
      best = last;
      bestRound = round;
    }
    onStep({ done: round, of: limit, metric: 'log_loss', value: last });
    if (spec.earlyStoppingRounds !== undefined && round - bestRound >= spec.earlyStoppingRounds) break;
  }
  return spec.earlyStoppingRounds === undefined ? { rounds: round, best: last } : { rounds: bestRound, best };
}

/** The first `rounds` rounds, a piece at a time: the text of a large model is larger than a string can be. */
function exported(booster: Booster, rounds: number): { trees: TreeNode[]; baseScore: number } {
  const trees: TreeNode[] = [];
  let baseScore = 0;
  for (let from = 0; from < rounds; from += ROUNDS_A_PIECE) {
    const piece = treesOf(booster.dump(from, Math.min(from + ROUNDS_A_PIECE, rounds)));
    for (const tree of piece.trees) trees.push(tree);
    baseScore = piece.baseScore;
  }
  return { trees, baseScore };
}

function predict(booster: Booster, data: Columns, rounds: number): Float64Array {
  const scores = new Float64Array(data.rows);
  for (let from = 0; from < rounds; from += ROUNDS_A_PIECE) {
    const to = Math.min(from + ROUNDS_A_PIECE, rounds);
    const piece = booster.predict(data, { from, to, startFromZero: from > 0 });
    for (let row = 0; row < scores.length; row++) scores[row] = (scores[row] ?? 0) + (piece[row] ?? Number.NaN);
  }
  return scores.map((score) => 1 / (1 + Math.exp(-score)));
}

/** Numbers as they are; of a category its position, NaN for a missing one and one that training rows lack. */
export function toColumns(part: Part, features: readonly PreparedFeature[]): Columns {
  return { rows: part.rows, columns: features.map((feature, i) => toColumn(feature, part.columns[i], part.rows)) };
}

function toColumn(feature: PreparedFeature, column: FeatureColumn | undefined, rows: number): Column {
  if (column?.kind === 'number') return { kind: 'number', values: column.values };
  const values = new Float32Array(rows).fill(Number.NaN);
  if (column?.kind === 'category' && feature.kind === 'category') {
    for (const [row, code] of column.codes.entries()) {
      if (code >= 0 && code < feature.knownCount) values[row] = code;
    }
  }
  return { kind: 'category', values };
}
