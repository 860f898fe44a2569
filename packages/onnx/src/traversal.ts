/** Ways through the whole of a model, nested graphs and functions included. */
import type { Graph, Node, OnnxModel, TensorHeader } from './model.ts';

/** Every node: of the graph, of the graphs within it, and of the model's functions. */
export function* allNodes(model: OnnxModel): Generator<Node> {
  yield* nodesWithin(model.graph.nodes);
  for (const { nodes } of model.functions) yield* nodesWithin(nodes);
}

function* nodesWithin(nodes: readonly Node[]): Generator<Node> {
  for (const node of nodes) {
    yield node;
    for (const graph of subgraphs(node)) yield* nodesWithin(graph.nodes);
  }
}

function* subgraphs(node: Node): Generator<Graph> {
  for (const { graphs } of node.attributes) yield* graphs;
}

/** Every graph: the model's own and those within it and within its functions. */
export function* allGraphs(model: OnnxModel): Generator<Graph> {
  yield model.graph;
  for (const node of allNodes(model)) yield* subgraphs(node);
}

/** Every tensor that the file holds: initializers and attributes. */
export function* allTensors(model: OnnxModel): Generator<TensorHeader> {
  for (const graph of allGraphs(model)) yield* graph.initializers;
  for (const { attributes } of allNodes(model)) {
    for (const { tensors } of attributes) yield* tensors;
  }
}

/**
 * Gives names that no value of the model has, those of nested graphs included: a nested graph sees the names around it,
 * and may not define them again.
 */
export function freshNames(model: OnnxModel): (stem: string) => string {
  const taken = new Set<string>();
  for (const graph of allGraphs(model)) {
    for (const { name } of [...graph.inputs, ...graph.outputs, ...graph.values, ...graph.initializers]) taken.add(name);
    for (const { inputs, outputs } of graph.nodes) {
      for (const name of inputs) taken.add(name);
      for (const name of outputs) taken.add(name);
    }
  }
  return (stem) => {
    let name = stem;
    for (let suffix = 1; taken.has(name); suffix++) name = `${stem}_${suffix}`;
    taken.add(name);
    return name;
  };
}
