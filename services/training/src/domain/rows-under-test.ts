/** For tests: parts and features out of plain columns. */
import type { Dtype, SpecFeature } from '@assay/contracts';
import type { Part, Parts, PreparedFeature } from './prepared-rows.ts';

export function numberFeature(name: string, spec: Partial<SpecFeature> = {}): PreparedFeature {
  const dtype: Dtype = spec.dtype ?? 'float64';
  return { kind: 'number', name, dtype, spec: { name, dtype, ...spec } };
}

export function categoryFeature(
  name: string,
  values: readonly string[],
  knownCount = values.length,
  spec: Partial<SpecFeature> = {},
): PreparedFeature {
  return { kind: 'category', name, dtype: 'string', spec: { name, dtype: 'string', ...spec }, values, knownCount };
}

/** A column of numbers (NaN is missing), or of category codes where it is an Int32Array. */
export function part(labels: readonly number[], ...columns: readonly (readonly number[] | Int32Array)[]): Part {
  return {
    rows: labels.length,
    labels: Uint8Array.from(labels),
    columns: columns.map((column) =>
      column instanceof Int32Array
        ? { kind: 'category', codes: column }
        : { kind: 'number', values: Float64Array.from(column) },
    ),
  };
}

/** The same rows in every part. */
export function sameParts(rows: Part): Parts {
  return { train: rows, validation: rows, test: rows };
}
