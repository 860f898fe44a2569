/** How good a model is: the metrics of the spec, on rows that it has not seen, beside those of the trivial baseline. */
import { METRICS, type TrainingSpec } from '@assay/contracts';
import {
  accuracy,
  averagePrecision,
  brierScore,
  deLongAucInterval,
  expectedCalibrationError,
  logLoss,
  rocAuc,
} from '@assay/statistics';
import { countPositives, type Part } from './prepared-rows.ts';

type MetricName = (typeof METRICS)[number];
export type MetricValues = Record<string, number> & { readonly expected_calibration_error: number };

const COMPUTE: Readonly<Record<MetricName, (labels: Uint8Array, probabilities: Float64Array) => number>> = {
  auc: rocAuc,
  log_loss: logLoss,
  accuracy: (labels, probabilities) => accuracy(labels, probabilities),
  brier: brierScore,
  average_precision: averagePrecision,
};

/**
 * The wanted metrics (default: all) by name, with the ends of the AUC's 95 % interval as `auc_ci95_low` and
 * `auc_ci95_high`, and always the expected calibration error.
 */
export function evaluate(
  labels: Uint8Array,
  probabilities: Float64Array,
  wanted: TrainingSpec['metrics'] = [...METRICS],
): MetricValues {
  const values: MetricValues = { expected_calibration_error: expectedCalibrationError(labels, probabilities) };
  for (const name of wanted) {
    values[name] = COMPUTE[name](labels, probabilities);
    if (name !== 'auc') continue;
    const interval = deLongAucInterval(labels, probabilities);
    if (!Number.isNaN(interval.low)) {
      values.auc_ci95_low = interval.low;
      values.auc_ci95_high = interval.high;
    }
  }
  return values;
}

/** The same metrics of a model that says the training rows' rate for each row, and so always the majority class. */
export function evaluateBaseline(train: Part, test: Part, wanted?: TrainingSpec['metrics']): MetricValues {
  const rate = countPositives(train) / train.rows;
  const {
    auc_ci95_low: _low,
    auc_ci95_high: _high,
    ...values
  } = evaluate(test.labels, new Float64Array(test.rows).fill(rate), wanted);
  return values;
}
