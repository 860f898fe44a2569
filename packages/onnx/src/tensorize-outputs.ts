/**
 * Outputs that are no tensors cannot leave onnxruntime-node, not even when they are not asked for. Two are common and
 * hold nothing that tensors would not: ZipMap (a map of probabilities per row, scikit-learn's converters) and
 * SequenceConstruct (a list of tensors).
 */
import { findAttribute, intsOf, stringsOf } from './attributes.ts';
import { editGraph } from './edit-graph.ts';
import { nodeFields, valueInfoFields } from './graph-builder.ts';
import type { Dimension, Node, OnnxModel, ValueInfo } from './model.ts';
import { type Field, messageField } from './protobuf.ts';
import { GRAPH } from './schema.ts';
import { allNodes, freshNames } from './traversal.ts';

export type OutputRewrite =
  /** The output is now the probabilities, float32 [N, classes], in this order of the classes. */
  | { readonly kind: 'classes'; readonly output: string; readonly classes: readonly string[] | readonly bigint[] }
  /** The output is gone; these tensors are there instead. */
  | { readonly kind: 'split'; readonly output: string; readonly into: readonly string[] };

export interface TensorizedOutputs {
  readonly model: OnnxModel;
  readonly rewrites: readonly OutputRewrite[];
}

interface Change {
  readonly rewrite: OutputRewrite;
  readonly remove: readonly Field[];
  readonly add: readonly Field[];
}

/** What of the whole model a rewrite of one output needs. */
interface Known {
  readonly batch: Dimension;
  readonly dims: ReadonlyMap<string, readonly Dimension[]>;
  readonly fresh: (stem: string) => string;
}

/** Rewrites what can be; the rest stays as it is, and inspect says what is wrong with it. */
export function tensorizeOutputs(model: OnnxModel): TensorizedOutputs {
  const sequences = model.graph.outputs.filter((output) => output.type.kind === 'sequence');
  if (sequences.length === 0) return { model, rewrites: [] };
  const makers = makersOfOutputs(model);
  const known: Known = { batch: batchDimension(model), dims: statedDims(model), fresh: freshNames(model) };
  const changes: Change[] = [];
  for (const output of sequences) {
    const maker = makers.get(output.name);
    if (maker === undefined) continue;
    const change = isZipMap(maker) ? withoutZipMap(output, maker, known) : asTensors(output, maker, known);
    if (change !== undefined) changes.push(change);
  }
  if (changes.length === 0) return { model, rewrites: [] };
  return {
    model: editGraph(model, {
      remove: new Set(changes.flatMap((change) => change.remove)),
      append: changes.flatMap((change) => change.add),
    }),
    rewrites: changes.map((change) => change.rewrite),
  };
}

/** The node that makes each value, for values that no node takes: what leaves the graph and is used nowhere else. */
function makersOfOutputs(model: OnnxModel): ReadonlyMap<string, Node> {
  const makers = new Map<string, Node>();
  for (const node of model.graph.nodes) for (const name of node.outputs) makers.set(name, node);
  for (const node of allNodes(model)) for (const name of node.inputs) makers.delete(name);
  return makers;
}

function isZipMap(node: Node): boolean {
  return node.opType === 'ZipMap' && node.domain === 'ai.onnx.ml';
}

function withoutZipMap(output: ValueInfo, zipMap: Node, { batch }: Known): Change | undefined {
  const classes = classesOf(zipMap);
  const [probabilities] = zipMap.inputs;
  if (classes.length === 0 || probabilities === undefined) return undefined;
  return {
    rewrite: { kind: 'classes', output: output.name, classes },
    remove: [zipMap.field, output.field],
    add: [
      identity(probabilities, output.name),
      messageField(GRAPH.output, valueInfoFields(output.name, 'float32', [batch, classes.length])),
    ],
  };
}

/** ZipMap names its classes by strings or by integers, never both. */
function classesOf(zipMap: Node): readonly string[] | readonly bigint[] {
  const texts = findAttribute(zipMap, 'classlabels_strings');
  if (texts !== undefined) return stringsOf(texts);
  const numbers = findAttribute(zipMap, 'classlabels_int64s');
  return numbers === undefined ? [] : intsOf(numbers);
}

function asTensors(output: ValueInfo, construct: Node, { dims, fresh }: Known): Change | undefined {
  const element = output.type.kind === 'sequence' ? output.type.element : undefined;
  if (construct.opType !== 'SequenceConstruct' || construct.domain !== '') return undefined;
  if (element?.kind !== 'tensor' || element.elementType === undefined) return undefined;
  const { elementType } = element;
  const parts = construct.inputs.map((input, i) => ({ input, name: fresh(`${output.name}_${i}`) }));
  return {
    rewrite: { kind: 'split', output: output.name, into: parts.map((part) => part.name) },
    remove: [construct.field, output.field],
    add: parts.flatMap(({ input, name }) => [
      identity(input, name),
      messageField(GRAPH.output, valueInfoFields(name, elementType, dims.get(input))),
    ]),
  };
}

function identity(from: string, to: string): Field {
  return messageField(GRAPH.node, nodeFields({ opType: 'Identity', inputs: [from], outputs: [to] }));
}

/** The shapes that the file states; those of other values are left to onnxruntime to infer. */
function statedDims(model: OnnxModel): ReadonlyMap<string, readonly Dimension[]> {
  const { inputs, outputs, values } = model.graph;
  const dims = new Map<string, readonly Dimension[]>();
  for (const { name, type } of [...inputs, ...outputs, ...values]) {
    if (type.kind === 'tensor' && type.dims !== undefined) dims.set(name, type.dims);
  }
  return dims;
}

/** The first dimension of the first input, unless it is a fixed number. */
function batchDimension(model: OnnxModel): Dimension {
  const type = model.graph.inputs[0]?.type;
  const first = type?.kind === 'tensor' ? type.dims?.[0] : undefined;
  return typeof first === 'string' ? first : null;
}
