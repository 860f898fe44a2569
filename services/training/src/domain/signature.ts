/** The signature of a trained version, from its spec and its data; and the check that the data keeps to it. */
import type { AllowedValues, ErrorDetail, Feature, Signature } from '@assay/contracts';
import type { CategoryFeature, FeatureColumn, Parts, PreparedFeature } from './prepared-rows.ts';

export interface SignatureOfData {
  readonly signature: Signature;
  /** Where the data contradicts the spec; empty when it does not. */
  readonly problems: readonly ErrorDetail[];
}

/** Dtypes whose tensors have no room for a missing value. */
const NEVER_MISSING: ReadonlySet<string> = new Set(['int64', 'bool', 'timestamp']);

export function signatureOf(features: readonly PreparedFeature[], parts: Parts, targetName: string): SignatureOfData {
  const problems: ErrorDetail[] = [];
  const described = features.map((feature, i): Feature => {
    const columns = [parts.train, parts.validation, parts.test].flatMap((part) => part.columns[i] ?? []);
    const problem = (message: string, expected: string) =>
      problems.push({ place: `features[${i}]`, message, expected });
    const { name, dtype, spec } = feature;
    const missing = columns.reduce((sum, column) => sum + countMissing(column), 0);
    if (missing > 0 && NEVER_MISSING.has(dtype)) {
      problem(
        `"${name}" has no value in ${missing} rows, and ${dtype} cannot be missing`,
        'dtype float64, or coalesce(…)',
      );
    } else if (missing > 0 && spec.nullable === false) {
      problem(`"${name}" has no value in ${missing} rows`, 'nullable: true, or source.where');
    }
    if (feature.kind === 'category') {
      const outside = feature.values.find((value) => isExcluded(feature, value));
      if (outside !== undefined)
        problem(`"${name}" holds "${outside}", which its closed set lacks`, 'it in values, or source.where');
      if (feature.knownCount === 0) problem(`"${name}" has no value in any training row`, 'a feature with values');
    } else checkNumbers(feature, columns, problem);
    const values = feature.kind === 'category' ? allowedValuesOf(feature) : undefined;
    return {
      name,
      dtype,
      shape: [],
      nullable: spec.nullable ?? missing > 0,
      ...(values === undefined ? {} : { values }),
      ...(spec.range === undefined ? {} : { range: spec.range }),
      ...(spec.unit === undefined ? {} : { unit: spec.unit }),
      ...(spec.description === undefined ? {} : { description: spec.description }),
    };
  });
  return {
    signature: {
      features: described,
      outputs: [
        { name: 'label', dtype: 'int64', shape: [], description: `1 when ${targetName} is the more probable, else 0.` },
        {
          name: 'probabilities',
          dtype: 'float32',
          shape: [2],
          classes: [0, 1],
          description: `Of not ${targetName}, and of ${targetName}.`,
        },
      ],
    },
    problems,
  };
}

function countMissing(column: FeatureColumn): number {
  let count = 0;
  if (column.kind === 'number') for (const value of column.values) count += Number.isNaN(value) ? 1 : 0;
  else for (const code of column.codes) count += code < 0 ? 1 : 0;
  return count;
}

/** `closed` without a list means what is in the data; an open set lists what the model has learned. */
function allowedValuesOf(feature: CategoryFeature): AllowedValues | undefined {
  const { values } = feature.spec;
  if (typeof values === 'object') return values;
  const listed = values === 'closed' ? feature.values : feature.values.slice(0, feature.knownCount);
  // Integers beyond 2^53 have no place in a list of JSON numbers; the set stays open and unlisted.
  if (
    listed.length === 0 ||
    listed.some((value) => typeof value === 'bigint' && !Number.isSafeInteger(Number(value)))
  ) {
    return undefined;
  }
  return {
    set: values ?? 'open',
    values: [...listed].map((value) => (typeof value === 'bigint' ? Number(value) : value)),
  };
}

function isExcluded({ spec }: CategoryFeature, value: string | bigint): boolean {
  if (typeof spec.values !== 'object' || spec.values.set !== 'closed') return false;
  return !spec.values.values.some((allowed) => String(allowed) === String(value));
}

function checkNumbers(
  { name, spec }: PreparedFeature,
  columns: readonly FeatureColumn[],
  problem: (message: string, expected: string) => void,
): void {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = spec.range ?? {};
  let infinite = 0;
  let outside = 0;
  for (const column of columns) {
    if (column.kind !== 'number') continue;
    for (const value of column.values) {
      if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) infinite++;
      else if (value < min || value > max) outside++;
    }
  }
  if (infinite > 0) problem(`"${name}" is infinite in ${infinite} rows`, 'a finite number, or null');
  if (outside > 0) problem(`"${name}" is outside its range in ${outside} rows`, 'a wider range, or source.where');
}
