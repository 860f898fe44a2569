/** What a training spec must keep to beyond its schema: told when the job is created, at the place that is wrong. */
import { AssayError, type ErrorDetail, type SpecFeature, type TrainingSpec } from '@assay/contracts';
import { deviceProblems } from './device.ts';
import { parseInstant } from './split.ts';

/** Names that the graph gives to its outputs. */
const OUTPUT_NAMES: readonly string[] = ['label', 'probabilities', 'raw_score'];

/** Whether a feature's values are categories. */
export function isCategorical(feature: SpecFeature): boolean {
  return feature.dtype === 'string' || feature.categorical === true;
}

/** @throws AssayError INVALID_ARGUMENT with every place that is wrong */
export function checkSpec(spec: TrainingSpec): void {
  const details = [...featureProblems(spec), ...splitProblems(spec), ...deviceProblems(spec)];
  const [first] = details;
  if (first === undefined) return;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, { details });
}

function* featureProblems(spec: TrainingSpec): Generator<ErrorDetail> {
  const seen = new Set<string>();
  for (const [i, feature] of spec.features.entries()) {
    const { name, dtype } = feature;
    const place = `features[${i}]`;
    if (seen.has(name)) yield { place: `${place}.name`, message: `"${name}" is there twice` };
    seen.add(name);
    if (name === spec.target.name) {
      yield { place: `${place}.name`, message: `"${name}" is the name of the target; what is predicted is no feature` };
    }
    if (OUTPUT_NAMES.includes(name)) {
      yield { place: `${place}.name`, message: `"${name}" is the name of an output of the model; rename the feature` };
    }
    if (feature.categorical === true && dtype !== 'int64' && dtype !== 'string') {
      yield {
        place: `${place}.categorical`,
        message: `a ${dtype} cannot be a category`,
        expected: 'dtype int64 or string',
      };
    }
    if (feature.categorical === false && dtype === 'string') {
      yield { place: `${place}.categorical`, message: 'a string is always a category' };
    }
    if (feature.values !== undefined && !isCategorical(feature)) {
      yield {
        place: `${place}.values`,
        message: 'only a category has a set of values',
        expected: 'range, for a number',
      };
    }
    if (feature.range !== undefined && isCategorical(feature)) {
      yield { place: `${place}.range`, message: 'a category has no range', expected: 'values' };
    }
    if (feature.nullable === true && (dtype === 'int64' || dtype === 'bool' || dtype === 'timestamp')) {
      yield {
        place: `${place}.nullable`,
        message: `a tensor of ${dtype} cannot hold a missing value`,
        expected: 'dtype float64 (or string), whose missing values are kept',
      };
    }
    yield* valueProblems(feature, place);
  }
}

function* valueProblems(feature: SpecFeature, place: string): Generator<ErrorDetail> {
  if (typeof feature.values !== 'object') return;
  const { values } = feature.values;
  for (const [j, value] of values.entries()) {
    const fits = feature.dtype === 'string' ? typeof value === 'string' : Number.isSafeInteger(value);
    if (!fits)
      yield { place: `${place}.values.values[${j}]`, message: `${JSON.stringify(value)} is no ${feature.dtype}` };
  }
  if (new Set(values).size < values.length)
    yield { place: `${place}.values.values`, message: 'a value is there twice' };
}

function* splitProblems({ split }: TrainingSpec): Generator<ErrorDetail> {
  if (split.by === 'random') {
    if (split.validation + split.test >= 1) {
      yield { place: 'split', message: 'validation and test leave no rows to train on', expected: 'a sum below 1' };
    }
    return;
  }
  const instants = (['validationFrom', 'testFrom'] as const).map((key) => ({ key, instant: parseInstant(split[key]) }));
  for (const { key, instant } of instants) {
    if (instant === undefined) {
      yield {
        place: `split.${key}`,
        message: `"${split[key]}" is no instant`,
        expected: '2024-03-01 or 2024-03-01T12:00:00Z',
      };
    }
  }
  const [validationFrom, testFrom] = instants;
  if (
    validationFrom?.instant !== undefined &&
    testFrom?.instant !== undefined &&
    validationFrom.instant >= testFrom.instant
  ) {
    yield { place: 'split.testFrom', message: 'is not after validationFrom: no rows would be left to validate on' };
  }
}
