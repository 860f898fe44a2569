/** The tensors by which a composition takes its features, such that every part that takes one can be given it. */
import { AssayError, type Feature } from '@assay/contracts';
import {
  type Dimension,
  elementTypeOfDtype,
  isServed,
  type OnnxModel,
  type ServedElementType,
  type ValueInfo,
} from '@assay/onnx';
import type { Plan } from './plan.ts';

export interface GraphInput {
  readonly type: ServedElementType;
  /** Dimensions after the rows; a scalar is [1]. */
  readonly tail: readonly number[];
  /** 1 where a part takes one row a run. */
  readonly rows: 'N' | 1;
}

/** By the name of the feature. */
export function featureInputs(
  { steps, signature }: Plan,
  models: ReadonlyMap<string, OnnxModel>,
): ReadonlyMap<string, GraphInput> {
  const takers = new Map<string, { readonly step: string; readonly type: ServedElementType }[]>();
  let rows: 'N' | 1 = 'N';
  for (const step of steps) {
    const model = models.get(step.name);
    if (model === undefined || step.signature === undefined) continue;
    for (const [i, { name }] of step.signature.features.entries()) {
      const input = declaredInput(model, step.name, name);
      if (input.rows === 1) rows = 1;
      const source = step.sources[i];
      if (source?.kind !== 'feature') continue;
      const others = takers.get(source.name) ?? [];
      takers.set(source.name, [...others, { step: step.name, type: input.type }]);
    }
  }
  return new Map(
    signature.features.map((feature) => [
      feature.name,
      {
        type: commonType(feature, takers.get(feature.name) ?? []),
        tail: feature.shape.length === 0 ? [1] : feature.shape,
        rows,
      },
    ]),
  );
}

/** Of integers and booleans a part may take a double, to have a missing value; it holds what the others take. */
function commonType(
  { name, dtype }: Feature,
  takers: readonly { readonly step: string; readonly type: ServedElementType }[],
): ServedElementType {
  const [first] = takers;
  const types = new Set(takers.map(({ type }) => type));
  if (first !== undefined && types.size === 1) return first.type;
  const canonical = elementTypeOfDtype(dtype);
  if (canonical === 'float32' || canonical === 'float64') return canonical;
  const others = [...types].filter((type) => type !== canonical);
  if (dtype !== 'bool' && others.every((type) => type === 'float64')) return 'float64';
  if (dtype === 'bool' && others.every((type) => type === 'float64' || type === 'float32')) {
    return types.has('bool') ? 'bool' : 'float64';
  }
  const shown = takers.map(({ step, type }) => `${type} in step ${step}`).join(', ');
  throw new AssayError(
    'INVALID_ARGUMENT',
    `the graphs of the parts take feature ${JSON.stringify(name)} by several types: ${shown}; name one of them otherwise: {feature: NAME}`,
  );
}

/** The input of a part's graph for one of its features. */
export function declaredInput(
  model: OnnxModel,
  step: string,
  feature: string,
): { readonly type: ServedElementType; readonly tail: readonly number[]; readonly rows: Dimension } {
  const input = model.graph.inputs.find(({ name }) => name === feature);
  if (input === undefined) throw missing(step, 'input', feature);
  const { type, rows, tail } = tensorOf(input, step);
  const sizes = (tail ?? []).filter((size) => typeof size === 'number');
  if (tail === undefined || sizes.length < tail.length) throw missing(step, 'input of a known shape', feature);
  return { type, rows, tail: sizes };
}

export function tensorOf(
  { name, type }: ValueInfo,
  step: string,
): { readonly type: ServedElementType; readonly rows: Dimension; readonly tail: readonly Dimension[] | undefined } {
  if (type.kind !== 'tensor' || !isServed(type.elementType)) throw missing(step, 'tensor', name);
  const [rows = null, ...tail] = type.dims ?? [];
  return { type: type.elementType, rows, tail: type.dims === undefined ? undefined : tail };
}

export function missing(step: string, what: string, name: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', `the graph of step ${step} has no ${what} ${JSON.stringify(name)}`);
}
