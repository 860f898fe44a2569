/** The steps that join values, as nodes. */
import { AssayError, elementCount, type JoiningStep, type Output } from '@assay/contracts';
import {
  addCalibration,
  addCast,
  addConcat,
  addLabel,
  addMean,
  addVote,
  boolTensor,
  float64Tensor,
  type GraphBuilder,
  int64Tensor,
  type ServedElementType,
  stringTensor,
  type Tensor,
} from '@assay/onnx';
import { commonFloat, dtypeOfClasses } from './results.ts';

/** A value that goes into the step, in the form that `combine.ts` of packages/onnx has values in. */
export interface JoinedValue {
  readonly name: string;
  readonly type: ServedElementType;
  readonly tail: readonly number[];
  readonly classes: Output['classes'];
}

/** @returns the name of what the step gives */
export function addJoin(graph: GraphBuilder, step: JoiningStep, values: readonly JoinedValue[]): string {
  const [first] = values;
  if (first === undefined) throw new AssayError('INTERNAL', 'a step takes nothing');
  const type = commonFloat(values.map((value) => ({ dtype: value.type })));
  const asFloats = () => values.map((value) => addCast(graph, value.name, value.type, type));
  if ('mean' in step) {
    const weights = weightsOf(step, values);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return addMean(
      graph,
      asFloats(),
      weights.map((weight) => weight / sum),
      type,
    );
  }
  if ('vote' in step)
    return addVote(
      graph,
      values.map(({ name }) => name),
      weightsOf(step, values),
    );
  if ('concat' in step) {
    const widths = values.map(({ tail }) => elementCount(tail));
    return addConcat(
      graph,
      asFloats().map((name, i) => ({ name, width: widths[i] ?? 1 })),
    );
  }
  if ('label' in step) return addLabel(graph, first.name, tensorOfClasses(first.classes));
  const map =
    'platt' in step
      ? ({ kind: 'platt', slope: step.slope, intercept: step.intercept } as const)
      : ({ kind: 'isotonic', x: step.x, y: step.y } as const);
  return addCalibration(graph, first.name, { isVector: first.tail.length > 0, type, map });
}

function weightsOf(
  { weights }: { readonly weights?: readonly number[] },
  values: readonly unknown[],
): readonly number[] {
  return weights ?? values.map(() => 1);
}

function tensorOfClasses(classes: Output['classes']): Tensor | undefined {
  if (classes === undefined) return undefined;
  switch (dtypeOfClasses(classes)) {
    case 'string':
      return stringTensor(classes.map(String));
    case 'bool':
      return boolTensor(classes.map(Boolean));
    case 'float64':
      return float64Tensor(classes.map(Number));
    case 'int64':
      return int64Tensor(classes.map(Number));
  }
}
