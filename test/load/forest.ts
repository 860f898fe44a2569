import { attribute, GraphBuilder } from '@assay/onnx';

const ML = 'ai.onnx.ml';
const { floats, int, ints, string, strings } = attribute;

/** Complete trees over a matrix of `width` numbers, summed and squashed: what a boosted model of that size costs. */
export function forest(trees: number, depth: number, width: number): Uint8Array {
  const graph = new GraphBuilder({ opsets: { '': 21, [ML]: 3 } }); // the last with TreeEnsembleRegressor
  const x = graph.input('x', 'float32', ['N', width]);
  const inner = 2 ** depth - 1;
  const nodes = Array.from({ length: trees }, (_, tree) =>
    Array.from({ length: 2 * inner + 1 }, (_, id) => ({ tree, id, isLeaf: id >= inner })),
  ).flat();
  const leaves = nodes.filter(({ isLeaf }) => isLeaf);
  const raw = graph.node('TreeEnsembleRegressor', [x], {
    domain: ML,
    attributes: {
      nodes_treeids: ints(nodes.map(({ tree }) => tree)),
      nodes_nodeids: ints(nodes.map(({ id }) => id)),
      nodes_featureids: ints(nodes.map(({ tree, id, isLeaf }) => (isLeaf ? 0 : (tree * 5 + id * 3) % width))),
      nodes_values: floats(nodes.map(({ tree, id, isLeaf }) => (isLeaf ? 0 : 3 * Math.sin(tree * 31 + id * 7)))),
      nodes_modes: strings(nodes.map(({ isLeaf }) => (isLeaf ? 'LEAF' : 'BRANCH_LEQ'))),
      nodes_truenodeids: ints(nodes.map(({ id, isLeaf }) => (isLeaf ? 0 : 2 * id + 1))),
      nodes_falsenodeids: ints(nodes.map(({ id, isLeaf }) => (isLeaf ? 0 : 2 * id + 2))),
      target_treeids: ints(leaves.map(({ tree }) => tree)),
      target_nodeids: ints(leaves.map(({ id }) => id)),
      target_ids: ints(leaves.map(() => 0)),
      target_weights: floats(leaves.map(({ tree, id }) => Math.cos(tree * 17 + id) / trees)),
      n_targets: int(1),
      post_transform: string('NONE'),
      base_values: floats([0.1]),
    },
  });
  graph.node('Sigmoid', [raw], { outputs: ['probability'] });
  graph.output('probability', 'float32', ['N', 1]);
  return graph.build();
}
