/**
 * Graphs that cannot be one, in one file: an ONNX model whose nodes are graphs. Each node `assay.Run` holds a whole model as
 * bytes and says which values it takes and gives, so that everything that reads, keeps and describes a model file goes on
 * working; only who runs it must know the node. ONNX's own tools show it as a node they do not know.
 */
import { AssayError } from '@assay/contracts';
import { bytesAttributeOf, findAttribute } from '../attributes.ts';
import type { ServedElementType } from '../element-types.ts';
import { GraphBuilder } from '../graph-builder.ts';
import type { Dimension, OnnxModel } from '../model.ts';
import { bytesOf, readMessage } from '../protobuf.ts';
import { readModel } from '../read-model.ts';
import { lastText } from '../read-values.ts';
import { MODEL, OPERATOR_SET } from '../schema.ts';

/** One graph, and the values of the whole that its inputs and outputs are by the same names. */
export interface ChainLink {
  readonly onnx: Uint8Array;
  readonly takes: readonly string[];
  readonly gives: readonly string[];
}

export interface DeclaredTensor {
  readonly name: string;
  readonly elementType: ServedElementType;
  readonly dims: readonly Dimension[];
}

const DOMAIN = 'assay';
const RUN = 'Run';
/** A composition has no more steps. */
const MAX_LINKS = 100;
/** Fields of the operator sets that a file names; a chain names one. */
const MAX_IMPORTS = 1000;

/** @param links in the order in which they are run; their graphs name inputs and outputs as the whole does */
export function writeChain(
  inputs: readonly DeclaredTensor[],
  links: readonly ChainLink[],
  outputs: readonly DeclaredTensor[],
): Uint8Array {
  const graph = new GraphBuilder({ name: 'chain', opsets: { [DOMAIN]: 1 }, irVersion: 10 });
  for (const { name, elementType, dims } of inputs) graph.input(name, elementType, dims);
  for (const { onnx, takes, gives } of links) {
    graph.node(RUN, takes, {
      domain: DOMAIN,
      attributes: { model: { type: 'bytes', value: onnx } },
      outputs: gives,
    });
  }
  for (const { name, elementType, dims } of outputs) graph.output(name, elementType, dims);
  return graph.build();
}

/**
 * The graphs of a file that holds several; undefined where it holds one, or is no model at all, which is for whoever loads
 * it to say. Reads no further than it must to know.
 */
export function chainIn(bytes: Uint8Array): readonly ChainLink[] | undefined {
  return importsChains(bytes) ? chainOf(readModel(bytes)) : undefined;
}

function importsChains(bytes: Uint8Array): boolean {
  const budget = { fieldsLeft: MAX_IMPORTS, maxDepth: 0 };
  try {
    return readMessage(bytes, 'the model', budget, new Set([MODEL.opsetImport])).some((field) => {
      const entry = readMessage(bytesOf(field, 'the model'), 'opset_import', budget);
      return lastText(entry, OPERATOR_SET.domain, 'the model') === DOMAIN;
    });
  } catch {
    return false;
  }
}

/**
 * As `chainIn`, of a model that is read already.
 * @throws AssayError UNPROCESSABLE_MODEL for a chain that contradicts itself
 */
export function chainOf(model: OnnxModel): readonly ChainLink[] | undefined {
  const { nodes, inputs, outputs, initializers } = model.graph;
  if (!nodes.some(({ domain }) => domain === DOMAIN)) return undefined;
  if (nodes.length > MAX_LINKS) throw refused(`it has ${nodes.length} graphs; at most ${MAX_LINKS}`);
  if (initializers.length + model.functions.length > 0) throw refused('it has more than graphs');
  const known = new Set(inputs.map(({ name }) => name));
  const links = nodes.map((node, i): ChainLink => {
    const attribute = findAttribute(node, 'model');
    if (node.domain !== DOMAIN || node.opType !== RUN || attribute === undefined)
      throw refused(`node ${i} is no graph`);
    for (const name of node.inputs) {
      if (!known.has(name)) throw refused(`graph ${i} takes ${JSON.stringify(name)}, which nothing before it gives`);
    }
    for (const name of node.outputs) {
      if (known.has(name)) throw refused(`two graphs give ${JSON.stringify(name)}`);
      known.add(name);
    }
    return { onnx: bytesAttributeOf(attribute), takes: node.inputs, gives: node.outputs };
  });
  const missing = outputs.find(({ name }) => !known.has(name));
  if (missing !== undefined) throw refused(`nothing gives its output ${JSON.stringify(missing.name)}`);
  return links;
}

function refused(problem: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', `the chain of graphs is not valid: ${problem}`);
}
