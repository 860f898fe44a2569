/** What a model says about itself, and why it cannot be served. */
import { type ElementType, isServed, SERVED_ELEMENT_TYPES } from './element-types.ts';
import { chainOf } from './merge/chain.ts';
import type { Dimension, OnnxModel, Opset, ValueInfo, ValueType } from './model.ts';
import { quote } from './quote.ts';
import { readModel } from './read-model.ts';
import { allNodes, allTensors } from './traversal.ts';

/** An input or output as a caller sees it. */
export interface ValueDescription {
  readonly name: string;
  readonly kind: ValueType['kind'];
  /** Of a tensor; undefined when it is no tensor, or of a type that ONNX does not have. */
  readonly elementType: ElementType | undefined;
  /** Of a tensor; undefined when the rank is open. */
  readonly dims: readonly Dimension[] | undefined;
}

export interface InputDescription extends ValueDescription {
  /** The file has a value for it, so that it may be left out of a run. */
  readonly hasDefault: boolean;
}

export interface OperatorUse {
  /** `''` is ai.onnx. */
  readonly domain: string;
  readonly opType: string;
  /** Nodes, those of nested graphs and functions included. */
  readonly count: number;
}

export interface ModelDescription {
  readonly irVersion: number;
  readonly producer: string;
  readonly opsets: readonly Opset[];
  readonly inputs: readonly InputDescription[];
  readonly outputs: readonly ValueDescription[];
  readonly operators: readonly OperatorUse[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Why the model is refused; empty when it may be served. Outputs may be cured by tensorizeOutputs first. */
  readonly problems: readonly string[];
}

/** Domains whose operators are part of onnxruntime itself; others would need a library, which is never loaded. */
const BUILT_IN_DOMAINS: ReadonlySet<string> = new Set(['', 'ai.onnx.ml', 'com.microsoft']);

/** A hostile file may have a problem per node; a reader needs a few. */
const MAX_PROBLEMS = 20;

/** Describes a model without running it. Never throws: what readModel took can be described. */
export function inspect(model: OnnxModel): ModelDescription {
  const defaults = new Set(model.graph.initializers.map((initializer) => initializer.name));
  const inputs = model.graph.inputs.map((input) => ({ ...describe(input), hasDefault: defaults.has(input.name) }));
  const outputs = model.graph.outputs.map(describe);
  return {
    irVersion: model.irVersion,
    producer: model.producer,
    opsets: model.opsets,
    inputs,
    outputs,
    operators: countOperators(model),
    metadata: Object.fromEntries(model.metadata),
    problems: [...problemsOf(model, inputs, outputs)].slice(0, MAX_PROBLEMS),
  };
}

function describe(value: ValueInfo): ValueDescription {
  const { name, type } = value;
  const isTensor = type.kind === 'tensor' || type.kind === 'sparse-tensor';
  return {
    name,
    kind: type.kind,
    elementType: isTensor ? type.elementType : undefined,
    dims: isTensor ? type.dims : undefined,
  };
}

function countOperators(model: OnnxModel): OperatorUse[] {
  const counts = new Map<string, OperatorUse>();
  for (const { domain, opType } of allNodes(model)) {
    const key = `${domain}\0${opType}`;
    counts.set(key, { domain, opType, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return [...counts.values()];
}

function* problemsOf(
  model: OnnxModel,
  inputs: readonly InputDescription[],
  outputs: readonly ValueDescription[],
): Generator<string> {
  if (model.opsets.length === 0) yield 'the model names no operator set';
  if (outputs.length === 0) yield 'the model has no outputs';
  if (inputs.every((input) => input.hasDefault)) yield 'the model has no inputs to feed';
  yield* repeatedNames('input', inputs);
  yield* repeatedNames('output', outputs);
  for (const input of inputs) yield* valueProblems('input', input);
  for (const output of outputs) yield* valueProblems('output', output);
  yield* chainProblems(model);
  for (const tensor of allTensors(model)) {
    if (tensor.external) {
      yield `tensor ${quote(tensor.name)} keeps its data in another file; save the model as a single file`;
    }
  }
}

function* repeatedNames(role: string, values: readonly ValueDescription[]): Generator<string> {
  const seen = new Set<string>();
  for (const { name } of values) {
    if (name === '') yield `an ${role} has no name`;
    else if (seen.has(name)) yield `${role} ${quote(name)} stands twice`;
    seen.add(name);
  }
}

function* valueProblems(role: string, value: ValueDescription): Generator<string> {
  const what = `${role} ${quote(value.name)}`;
  if (value.kind !== 'tensor') {
    yield `${what} is of kind ${value.kind}; only tensors are served`;
  } else if (!isServed(value.elementType)) {
    yield `${what} has element type ${value.elementType ?? 'undefined'}; served are ${SERVED_ELEMENT_TYPES.join(', ')}`;
  }
}

/** A chain may be run if each of its graphs may; a graph within it that is a chain again is refused. */
function* chainProblems(model: OnnxModel): Generator<string> {
  try {
    const links = chainOf(model);
    if (links === undefined) {
      yield* foreignOperators(model);
      return;
    }
    for (const [i, { onnx }] of links.entries()) {
      const link = readModel(onnx);
      for (const problem of chainOf(link) === undefined ? inspect(link).problems : ['it is a chain itself']) {
        yield `graph ${i} of the chain: ${problem}`;
      }
    }
  } catch (error) {
    yield error instanceof Error ? error.message : String(error); // what is damaged is named there
  }
}

function* foreignOperators(model: OnnxModel): Generator<string> {
  const own = new Set(model.functions.map(({ domain, name }) => `${domain}\0${name}`));
  const named = new Set<string>();
  for (const { domain, opType } of allNodes(model)) {
    const key = `${domain}\0${opType}`;
    if (BUILT_IN_DOMAINS.has(domain) || own.has(key) || named.has(key)) continue;
    named.add(key);
    yield `operator ${quote(`${domain}.${opType}`)} is not part of ONNX Runtime; custom operator libraries are never loaded`;
  }
}
