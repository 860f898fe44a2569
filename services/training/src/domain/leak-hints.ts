/** Features that look as if they knew the answer: too good to be known before it. */
import { rocAuc } from '@assay/statistics';
import type { FeatureColumn, Part, Parts, PreparedFeature } from './prepared-rows.ts';

/** No single honest feature is this good; real ones that are were computed from the outcome. */
const SUSPICIOUS_AUC = 0.99;

/** A warning for each feature that, alone, predicts the validation rows nearly perfectly; and for those that cannot help. */
export function hintsOf(features: readonly PreparedFeature[], parts: Parts): string[] {
  const hints: string[] = [];
  for (const [i, { name }] of features.entries()) {
    const train = parts.train.columns[i];
    const validation = parts.validation.columns[i];
    if (train === undefined || validation === undefined) continue;
    const auc = aucAlone(train, parts.train, validation, parts.validation);
    if (auc > SUSPICIOUS_AUC) {
      hints.push(
        `feature "${name}" alone has an AUC of ${auc.toFixed(4)}: is it known before the outcome? It looks like a leak`,
      );
    }
    if (isConstant(train)) hints.push(`feature "${name}" has one value in all training rows: it cannot help`);
  }
  return hints;
}

/** The AUC of a feature by itself, in its better direction; a category scores as its rate in the training rows. */
function aucAlone(train: FeatureColumn, trainPart: Part, validation: FeatureColumn, validationPart: Part): number {
  const auc = rocAuc(validationPart.labels, scoresOf(train, trainPart, validation));
  return Math.max(auc, 1 - auc);
}

function scoresOf(train: FeatureColumn, { labels }: Part, validation: FeatureColumn): Float64Array {
  if (validation.kind === 'number') {
    return validation.values.map((value) => (Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value));
  }
  const counts = new Map<number, { rows: number; positives: number }>();
  if (train.kind === 'category') {
    for (const [row, code] of train.codes.entries()) {
      const count = counts.get(code) ?? { rows: 0, positives: 0 };
      count.rows++;
      count.positives += labels[row] ?? 0;
      counts.set(code, count);
    }
  }
  return Float64Array.from(validation.codes, (code) => {
    const count = counts.get(code);
    return count === undefined ? 0.5 : count.positives / count.rows;
  });
}

function isConstant(column: FeatureColumn): boolean {
  const values = column.kind === 'number' ? column.values : column.codes;
  const first = values[0];
  return values.every((value: number) => Object.is(value, first));
}
