/** What the steps that join values give, and which values they can join. */
import { describeType, type ErrorDetail, elementCount, type JoiningStep, type Output } from '@assay/contracts';

/** A value that a step gives. The one value of a step that joins others has no name. */
export interface GivenValue {
  readonly step: string;
  readonly output: Output;
}

/** A value that goes into a step, and where it is named. */
type TakenValue = Omit<Output, 'name'> & { readonly place: string };
type Result = Omit<Output, 'name'>;

/** The dtypes that a vote is taken among; numbers that were computed are seldom equal. */
const LABELS: ReadonlySet<string> = new Set(['int64', 'string', 'bool']);

/** @returns what the step gives, or every reason why it cannot */
export function resultOf(
  step: JoiningStep,
  values: readonly TakenValue[],
  place: string,
): Result | { readonly problems: readonly ErrorDetail[] } {
  const problems = [...problemsOf(step, values, place)];
  const [first] = values;
  if (problems.length > 0 || first === undefined) return { problems };
  if ('mean' in step) {
    const classes = values.find((value) => value.classes !== undefined)?.classes;
    return { dtype: commonFloat(values), shape: first.shape, ...(classes === undefined ? {} : { classes }) };
  }
  if ('vote' in step) return { dtype: first.dtype, shape: [] };
  if ('concat' in step) {
    return { dtype: commonFloat(values), shape: [values.reduce((sum, { shape }) => sum + elementCount(shape), 0)] };
  }
  if ('label' in step) return { dtype: dtypeOfClasses(first.classes), shape: [] };
  const { dtype, shape, classes } = first;
  return { dtype, shape, ...(classes === undefined ? {} : { classes }) };
}

/** float32 where all are. */
export function commonFloat(values: readonly { readonly dtype: string }[]): 'float32' | 'float64' {
  return values.every(({ dtype }) => dtype === 'float32') ? 'float32' : 'float64';
}

export function dtypeOfClasses(classes: Output['classes']): 'int64' | 'float64' | 'string' | 'bool' {
  if (classes === undefined || classes.every((value) => Number.isSafeInteger(value))) return 'int64';
  if (classes.every((value) => typeof value === 'string')) return 'string';
  return classes.every((value) => typeof value === 'boolean') ? 'bool' : 'float64';
}

function* problemsOf(step: JoiningStep, values: readonly TakenValue[], place: string): Generator<ErrorDetail> {
  if (('mean' in step || 'vote' in step) && step.weights !== undefined && step.weights.length !== values.length) {
    yield { place: `${place}.weights`, message: `has ${step.weights.length} weights for ${values.length} values` };
  }
  if ('isotonic' in step) yield* knotProblems(step, place);
  const [first] = values;
  for (const value of values) {
    const problem = valueProblem(step, value, first ?? value);
    if (problem !== undefined) yield { place: value.place, message: problem };
  }
}

function valueProblem(step: JoiningStep, value: TakenValue, first: TakenValue): string | undefined {
  const { dtype, shape, classes } = value;
  const shown = describeType(value);
  if ('vote' in step) {
    if (!LABELS.has(dtype) || shape.length > 0)
      return `is ${shown}; a vote is taken among int64, string or bool labels`;
    return dtype === first.dtype ? undefined : `is ${shown}, and the first label is ${describeType(first)}`;
  }
  if (dtype !== 'float32' && dtype !== 'float64') return `is ${shown}; expected float32 or float64`;
  if ('concat' in step) return shape.length > 1 ? `is ${shown}; expected a number or a vector` : undefined;
  if ('mean' in step) {
    if (!sameList(shape, first.shape)) return `is ${shown}, and the first value is ${describeType(first)}`;
    if (classes === undefined || first.classes === undefined || sameList(classes, first.classes)) return undefined;
    return `has the classes ${classes.join(', ')}, and the first value ${first.classes.join(', ')}`;
  }
  if ('label' in step) {
    if (shape.length !== 1 || shape[0] === 1) return `is ${shown}; expected a vector with a probability for each class`;
    if (classes === undefined || classes.length === shape[0]) {
      const isMixed = classes !== undefined && new Set(classes.map((name) => typeof name)).size > 1;
      return isMixed ? `has classes of several types: ${classes.join(', ')}` : undefined;
    }
    return `is ${shown}, and names ${classes.length} classes`;
  }
  const isProbability = shape.length === 0 || (shape.length === 1 && shape[0] === 2);
  return isProbability ? undefined : `is ${shown}; expected a probability, or a vector of the two of both classes`;
}

function* knotProblems(
  { x, y }: { readonly x: readonly number[]; readonly y: readonly number[] },
  place: string,
): Generator<ErrorDetail> {
  if (x.length !== y.length) yield { place: `${place}.y`, message: `has ${y.length} knots, and x has ${x.length}` };
  if (x.some((value, i) => i > 0 && value <= (x[i - 1] ?? 0))) yield { place: `${place}.x`, message: 'must ascend' };
  if (y.some((value, i) => i > 0 && value < (y[i - 1] ?? 0)))
    yield { place: `${place}.y`, message: 'must not descend' };
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
