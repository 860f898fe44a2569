/** Training rows in the form in which they are served: as tensors, and as the records that an application would send. */
import type { InputTensor, TensorData } from '@assay/scoring';
import type { FeatureColumn, Part, PreparedFeature } from '../domain/prepared-rows.ts';

/** Rows `from` to `to` of a part, one tensor a feature. */
export function tensorsOf(features: readonly PreparedFeature[], part: Part, from: number, to: number): InputTensor[] {
  return features.map((feature, i) => ({
    name: feature.name,
    dtype: feature.dtype,
    shape: [to - from],
    data: tensorDataOf(feature, part.columns[i], from, to),
  }));
}

function tensorDataOf(
  feature: PreparedFeature,
  column: FeatureColumn | undefined,
  from: number,
  to: number,
): TensorData {
  if (column?.kind === 'number') {
    if (column.exact !== undefined) return column.exact.slice(from, to);
    const values = column.values.slice(from, to);
    if (feature.dtype === 'float32') return Float32Array.from(values);
    return feature.dtype === 'bool' ? Uint8Array.from(values) : values;
  }
  if (column?.kind !== 'category' || feature.kind !== 'category') return [];
  const codes = column.codes.subarray(from, to);
  if (feature.dtype === 'int64') return BigInt64Array.from(codes, (code) => BigInt(feature.values[code] ?? 0));
  return Array.from(codes, (code) => feature.values[code] ?? null);
}

/** One row as a named record; integers beyond 2^53 are bigints. */
export function recordOf(features: readonly PreparedFeature[], part: Part, row: number): Record<string, unknown> {
  return Object.fromEntries(features.map((feature, i) => [feature.name, jsonValueOf(feature, part.columns[i], row)]));
}

function jsonValueOf(feature: PreparedFeature, column: FeatureColumn | undefined, row: number): unknown {
  if (column?.kind === 'category') {
    const value = feature.kind === 'category' ? feature.values[column.codes[row] ?? -1] : undefined;
    return typeof value === 'bigint' ? toJsonInteger(value) : (value ?? null);
  }
  const exact = column?.exact?.[row];
  if (exact !== undefined) return feature.dtype === 'timestamp' ? formatInstant(exact) : toJsonInteger(exact);
  const value = column?.values[row] ?? Number.NaN;
  if (feature.dtype === 'bool') return value === 1;
  return Number.isNaN(value) ? null : value;
}

function toJsonInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** RFC 3339 in UTC with microseconds. */
function formatInstant(microseconds: bigint): string {
  const ms = BigInt.asIntN(64, microseconds) / 1000n;
  const rest = microseconds - ms * 1000n;
  const [wholeMs, micros] = rest < 0n ? [ms - 1n, rest + 1000n] : [ms, rest];
  return new Date(Number(wholeMs)).toISOString().replace('Z', `${micros.toString().padStart(3, '0')}Z`);
}
