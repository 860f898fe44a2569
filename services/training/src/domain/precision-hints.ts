/** Features whose values a trainer in float32 can hardly tell apart: an instant of one day, an id counted from 2^40. */
import type { TrainingSpec } from '@assay/contracts';
import type { Part, PreparedFeature } from './prepared-rows.ts';

/** XGBoost sorts values into so many bins at first: with fewer steps than that, rounding takes something away. */
const FEW_STEPS = 256;

export function* precisionHints(
  { name }: TrainingSpec['trainer'],
  features: readonly PreparedFeature[],
  { columns }: Part,
): Generator<string> {
  if (name !== 'xgboost') return;
  for (const [i, feature] of features.entries()) {
    const column = columns[i];
    if (column?.kind !== 'number') continue;
    const steps = stepsOf(column.values);
    if (steps === undefined || steps >= FEW_STEPS) continue;
    yield `feature "${feature.name}" spans ${Math.ceil(steps)} steps of float32, in which XGBoost computes; subtract what is constant in its expression, or take trainer lightgbm`;
  }
}

/** How many float32s lie between the least and the greatest value; undefined where float32 holds each value. */
function stepsOf(values: Float64Array): number | undefined {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  let isRounded = false;
  for (const value of values) {
    if (value < least) least = value;
    if (value > greatest) greatest = value;
    isRounded ||= !Number.isNaN(value) && Math.fround(value) !== value;
  }
  if (!isRounded || least === greatest) return undefined;
  const exponent = Math.floor(Math.log2(Math.max(Math.abs(least), Math.abs(greatest))));
  return (greatest - least) / 2 ** (exponent - 23);
}
