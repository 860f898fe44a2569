/** The features of a composition: what its parts take that nothing within it gives, under one name one feature. */
import { type AllowedValues, describeType, type ErrorDetail, type Feature, type ValueRange } from '@assay/contracts';

/** A feature that a part takes. */
export interface TakenFeature {
  readonly step: string;
  /** Of the composition. */
  readonly name: string;
  /** Of the part. */
  readonly feature: Feature;
  readonly place: string;
}

/** What float32 holds: a number beyond it would become infinite within. */
const FLOAT32: ValueRange = { min: -3.4028234663852886e38, max: 3.4028234663852886e38 };

/**
 * One feature for each name, such that what it allows every part allows. A float32 and a float64 become a float64, which
 * the graph rounds for the former.
 * @param problems gets what contradicts
 */
export function joinFeatures(taken: readonly TakenFeature[], problems: ErrorDetail[]): Feature[] {
  return [...Map.groupBy(taken, ({ name }) => name)].map(([name, members]) => {
    const [first, ...others] = members;
    if (first === undefined) throw new Error('a group has a member');
    let joined: Feature = { ...first.feature, name };
    for (const other of others) joined = join(joined, first, other, problems);
    return joined;
  });
}

function join(joined: Feature, first: TakenFeature, other: TakenFeature, problems: ErrorDetail[]): Feature {
  const { feature, place } = other;
  const problem = (message: string) => {
    problems.push({ place, message: `${message}; if it is another feature, give it a name: {feature: NAME}` });
  };
  const isFloat = [joined, feature].every(({ dtype }) => dtype === 'float32' || dtype === 'float64');
  const sameShape =
    joined.shape.length === feature.shape.length && joined.shape.every((size, i) => size === feature.shape[i]);
  if (!sameShape || (joined.dtype !== feature.dtype && !isFloat)) {
    problem(`is ${describeType(feature)} here, and ${describeType(joined)} in step ${first.step}`);
    return joined;
  }
  if (joined.unit !== undefined && feature.unit !== undefined && joined.unit !== feature.unit) {
    problem(`is in ${feature.unit} here, and in ${joined.unit} in step ${first.step}`);
  }
  const widened = joined.dtype !== feature.dtype;
  const values = joinValues(joined.values, feature.values);
  const range = joinRanges(joined.range, feature.range, ...(widened ? [FLOAT32] : []));
  if (values?.values.length === 0) problem(`shares no allowed value with step ${first.step}`);
  if (range?.min !== undefined && range.max !== undefined && range.min > range.max) {
    problem(`shares no range with step ${first.step}`);
  }
  const { values: _values, range: _range, ...rest } = joined;
  const unit = joined.unit ?? feature.unit;
  const description = joined.description ?? feature.description;
  return {
    ...rest,
    dtype: widened ? 'float64' : joined.dtype,
    nullable: joined.nullable && feature.nullable,
    ...(values === undefined ? {} : { values }),
    ...(range === undefined ? {} : { range }),
    ...(unit === undefined ? {} : { unit }),
    ...(description === undefined ? {} : { description }),
  };
}

/** What both allow of closed sets; what either knows of open ones. */
function joinValues(a: AllowedValues | undefined, b: AllowedValues | undefined): AllowedValues | undefined {
  if (a === undefined || b === undefined) return a?.set === 'closed' || b?.set === 'closed' ? (a ?? b) : undefined;
  if (a.set === 'open' && b.set === 'open') return { set: 'open', values: [...new Set([...a.values, ...b.values])] };
  if (a.set === 'open') return b;
  if (b.set === 'open') return a;
  const both = new Set(b.values);
  return { set: 'closed', values: a.values.filter((value) => both.has(value)) };
}

function joinRanges(...ranges: readonly (ValueRange | undefined)[]): ValueRange | undefined {
  const mins = ranges.flatMap((range) => range?.min ?? []);
  const maxs = ranges.flatMap((range) => range?.max ?? []);
  if (mins.length + maxs.length === 0) return undefined;
  return {
    ...(mins.length === 0 ? {} : { min: Math.max(...mins) }),
    ...(maxs.length === 0 ? {} : { max: Math.min(...maxs) }),
  };
}
