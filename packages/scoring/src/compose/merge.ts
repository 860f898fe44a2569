/** One ONNX graph of a composition, or of some of its steps. */
import { AssayError, type Output } from '@assay/contracts';
import {
  addCast,
  addPick,
  addReshape,
  alignOpsets,
  type Dimension,
  elementTypeOfDtype,
  GraphBuilder,
  includeModel,
  type OnnxModel,
  type ServedElementType,
  sharedFunctions,
} from '@assay/onnx';
import { declaredInput, featureInputs, missing, tensorOf } from './graph-inputs.ts';
import { addJoin } from './joins.ts';
import type { Plan, PlannedStep, Source } from './plan.ts';
import type { GivenValue } from './results.ts';

/** What a graph of steps takes and gives besides features. */
export interface Extent {
  readonly steps: readonly PlannedStep[];
  readonly outputs: readonly { readonly name: string; readonly source: Source }[];
}

/** A value in the graph: of rows with these dimensions each. */
interface GraphValue {
  readonly name: string;
  readonly type: ServedElementType;
  readonly tail: readonly number[];
}

/** Protobuf's own limit. */
const MAX_BYTES = 2 ** 31 - 1;

/** What a value is called where it passes from one graph to another. */
export function nameOfValue({ step, output }: GivenValue): string {
  return output.name === '' ? `given/${step}` : `given/${step}.${output.name}`;
}

/**
 * @param models of the steps that are versions, by name
 * @returns in words why the steps cannot be in one graph; undefined where they can
 */
export function whyApart(steps: readonly PlannedStep[], models: ReadonlyMap<string, OnnxModel>): string | undefined {
  const shared = sharedBy(steps, models);
  return typeof shared === 'string' ? shared : undefined;
}

/**
 * The ONNX file of the steps.
 * @throws AssayError FAILED_PRECONDITION where they cannot be in one: see whyApart
 */
export function mergeSteps(plan: Plan, extent: Extent, models: ReadonlyMap<string, OnnxModel>): Uint8Array {
  const shared = sharedBy(extent.steps, models);
  if (typeof shared === 'string') {
    throw new AssayError('FAILED_PRECONDITION', `the steps cannot be one graph: ${shared}`);
  }
  const graph = new GraphBuilder({ name: 'composition', ...shared.aligned });
  for (const field of shared.functions) graph.adoptFunction(field);
  const merge = new Merge(graph, plan, models);
  merge.declare(extent);
  for (const step of extent.steps) merge.add(step);
  for (const { name, source } of extent.outputs) merge.give(name, source);
  const onnx = graph.build();
  if (onnx.length <= MAX_BYTES) return onnx;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `the parts have ${onnx.length} bytes together, and a file may have 2 GiB`,
  );
}

/** What the graphs of the steps can share, or in words why not. */
function sharedBy(steps: readonly PlannedStep[], models: ReadonlyMap<string, OnnxModel>) {
  const parts = steps.flatMap(({ name }) => {
    const model = models.get(name);
    return model === undefined ? [] : [{ name, model }];
  });
  const aligned = alignOpsets(parts, Math.max(0, ...steps.map(neededOpset)));
  if (typeof aligned === 'string') return aligned;
  const functions = sharedFunctions(parts.map(({ model }) => model));
  return typeof functions === 'string' ? functions : { aligned, functions };
}

/** As the nodes of packages/onnx/src/merge/combine.ts need it. */
function neededOpset({ step, gives }: PlannedStep): number {
  if ('version' in step) return 7;
  return 'vote' in step && gives[0]?.output.dtype === 'string' ? 19 : 11;
}

class Merge {
  readonly #graph: GraphBuilder;
  readonly #plan: Plan;
  readonly #models: ReadonlyMap<string, OnnxModel>;
  readonly #features = new Map<string, GraphValue>();
  readonly #values = new Map<string, GraphValue>();

  constructor(graph: GraphBuilder, plan: Plan, models: ReadonlyMap<string, OnnxModel>) {
    this.#graph = graph;
    this.#plan = plan;
    this.#models = models;
  }

  /** Declares an input for each feature, and for each value of another step, that the steps take. */
  declare({ steps, outputs }: Extent): void {
    const own = new Set(steps.map(({ name }) => name));
    const sources = [...steps.flatMap((step) => step.sources), ...outputs.map(({ source }) => source)];
    const taken = new Set(sources.flatMap((source) => (source.kind === 'feature' ? source.name : [])));
    const inputs = featureInputs(this.#plan, this.#models);
    for (const [name, { rows, ...input }] of inputs) {
      if (!taken.has(name)) continue;
      this.#graph.input(name, input.type, [rows, ...input.tail]);
      this.#features.set(name, { name, ...input });
    }
    for (const source of sources) {
      if (source.kind === 'feature' || own.has(source.value.step)) continue;
      const value = { name: nameOfValue(source.value), ...typeOf(source.value.output) };
      if (this.#values.has(value.name)) continue;
      this.#graph.input(value.name, value.type, ['N', ...value.tail]);
      this.#values.set(value.name, value);
    }
  }

  add(step: PlannedStep): void {
    if ('version' in step.step) {
      this.#include(step);
      return;
    }
    const values = step.sources.map((source) => ({ ...this.#valueOf(source), classes: classesOf(source) }));
    const name = addJoin(this.#graph, step.step, values);
    for (const value of step.gives) this.#values.set(nameOfValue(value), { name, ...typeOf(value.output) });
  }

  /** Declares an output. */
  give(name: string, source: Source): void {
    const value = this.#valueOf(source);
    this.#graph.node('Identity', [value.name], { outputs: [name] });
    this.#graph.output(name, value.type, ['N', ...value.tail]);
  }

  #include(step: PlannedStep): void {
    const model = this.#models.get(step.name);
    const { signature } = step;
    if (model === undefined || signature === undefined)
      throw new AssayError('INTERNAL', `the graph of step ${step.name} was not read`);
    const inputs = new Map<string, string>();
    signature.features.forEach(({ name }, i) => {
      const source = step.sources[i];
      if (source === undefined) throw new AssayError('INTERNAL', `feature ${name} of step ${step.name} has no source`);
      const wanted = declaredInput(model, step.name, name);
      const value = this.#valueOf(source);
      if (source.kind === 'value' && wraps(value.type, wanted.type)) {
        const problem = `gets ${value.type}, and the graph of step ${step.name} takes ${wanted.type}, which may not hold it`;
        throw new AssayError('INVALID_ARGUMENT', `steps.${step.name}.inputs.${name}: ${problem}`);
      }
      inputs.set(name, this.#fitted(value, wanted));
    });
    const named = includeModel(this.#graph, model, { prefix: `${step.name}/`, inputs });
    for (const value of step.gives) {
      const name = named.get(value.output.name);
      const declared = model.graph.outputs.find((output) => output.name === value.output.name);
      if (name === undefined || declared === undefined) throw missing(step.name, 'output', value.output.name);
      const wanted = typeOf(value.output);
      const { type, tail } = tensorOf(declared, step.name);
      this.#values.set(nameOfValue(value), { ...wanted, name: this.#fitted({ name, type, tail }, wanted) });
    }
  }

  #fitted(
    value: { readonly name: string; readonly type: ServedElementType; readonly tail: readonly Dimension[] | undefined },
    wanted: { readonly type: ServedElementType; readonly tail: readonly number[] },
  ): string {
    const { tail } = value;
    const isInShape = tail?.length === wanted.tail.length && tail.every((size, i) => size === wanted.tail[i]);
    const cast = addCast(this.#graph, value.name, value.type, wanted.type);
    return isInShape ? cast : addReshape(this.#graph, cast, wanted.tail);
  }

  #valueOf(source: Source): GraphValue {
    const value =
      source.kind === 'feature' ? this.#features.get(source.name) : this.#values.get(nameOfValue(source.value));
    if (value === undefined) throw new AssayError('INTERNAL', 'a step stands before one that it takes from');
    if (source.kind === 'feature' || source.position === undefined) return value;
    return { name: addPick(this.#graph, value.name, source.position), type: value.type, tail: [] };
  }
}

function classesOf(source: Source): Output['classes'] {
  return source.kind === 'value' && source.position === undefined ? source.value.output.classes : undefined;
}

/** Whether a cast could make another value of an integer. */
function wraps(from: ServedElementType, to: ServedElementType): boolean {
  return from === 'int64' && to !== 'int64' && to !== 'float64';
}

/** How a value stands between steps: a scalar as [N], a vector as its shape says. */
function typeOf({ dtype, shape }: Omit<Output, 'name'>): { type: ServedElementType; tail: readonly number[] } {
  return { type: elementTypeOfDtype(dtype), tail: shape };
}
