/** The rows of a training job as typed columns: what every trainer takes and every check reads. */
import type { Dtype, SpecFeature } from '@assay/contracts';

/** A feature, and what the data says about it. */
export type PreparedFeature = NumberFeature | CategoryFeature;

interface FeatureBase {
  readonly name: string;
  readonly dtype: Dtype;
  readonly spec: SpecFeature;
}
export interface NumberFeature extends FeatureBase {
  readonly kind: 'number';
}
export interface CategoryFeature extends FeatureBase {
  readonly kind: 'category';
  /** Every value in the data; the model knows the first `knownCount`, those that training rows hold. */
  readonly values: readonly string[] | readonly bigint[];
  readonly knownCount: number;
}

/** Some rows: the training, validation or test ones. */
export interface Part {
  readonly rows: number;
  /** 1 is the event that is predicted. */
  readonly labels: Uint8Array;
  /** In the order of the features. */
  readonly columns: readonly FeatureColumn[];
}

export type FeatureColumn = NumberColumn | CategoryColumn;

export interface NumberColumn {
  readonly kind: 'number';
  /** NaN is missing. */
  readonly values: Float64Array;
  /** Of int64 and instants: the values that a double may not hold. */
  readonly exact?: BigInt64Array;
}
export interface CategoryColumn {
  readonly kind: 'category';
  /** Positions in the feature's values; -1 is missing. */
  readonly codes: Int32Array;
}

/** Where a row goes. */
export const SPLIT = { train: 0, validation: 1, test: 2 } as const;

export interface Parts {
  readonly train: Part;
  readonly validation: Part;
  readonly test: Part;
}

/** How many of the labels are 1. */
export function countPositives(part: Part): number {
  let count = 0;
  for (const label of part.labels) count += label;
  return count;
}
