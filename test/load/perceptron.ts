import { attribute, float32Tensor, GraphBuilder } from '@assay/onnx';

/** Dense layers of these widths, with rectifiers between. */
export function perceptron(widths: readonly number[], inputs: 'one' | 'named'): Uint8Array {
  const graph = new GraphBuilder();
  const [first = 0] = widths;
  let last =
    inputs === 'one'
      ? graph.input('x', 'float32', ['N', first])
      : graph.node(
          'Concat',
          Array.from({ length: first }, (_, i) => graph.input(`feature_${i}`, 'float32', ['N', 1])),
          { attributes: { axis: attribute.int(1) } },
        );
  widths.slice(1).forEach((width, layer) => {
    const from = widths[layer] ?? 0;
    const weights = Float32Array.from({ length: from * width }, (_, i) => Math.sin(i * 7 + layer) / Math.sqrt(from));
    const product = graph.node('MatMul', [last, graph.constant(float32Tensor(weights, [from, width]))]);
    const isOutput = layer === widths.length - 2;
    last = graph.node(isOutput ? 'Sigmoid' : 'Relu', [product], isOutput ? { outputs: ['probabilities'] } : {});
  });
  graph.output('probabilities', 'float32', ['N', widths.at(-1) ?? 0]);
  return graph.build();
}
