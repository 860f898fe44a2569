/**
 * The child process of execution-provider.ts: `probe-provider cuda`. Runs a small graph there and nowhere else, answers on
 * file descriptor 3 that it did, or ends with the runtime's reason on standard error.
 */
import { writeSync } from 'node:fs';
import { attribute, float32Tensor, GraphBuilder } from '@assay/onnx';
import type { GpuProvider } from '../interfaces.ts';
import { inputTensor, openSession } from '../session.ts';

const SIZE = 4;

/** A matrix product: any provider of a GPU has it. */
function smallGraph(): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['N', SIZE]);
  const weights = graph.constant(
    float32Tensor(
      Array.from({ length: SIZE * SIZE }, (_, i) => i),
      [SIZE, SIZE],
    ),
  );
  graph.node('Gemm', ['x', weights], { attributes: { alpha: attribute.float(1) }, outputs: ['y'] });
  graph.output('y', 'float32', ['N', SIZE]);
  return graph.build();
}

const provider = process.argv[2] as GpuProvider; // its parent's, by type
const session = await openSession(smallGraph(), {
  call: 'public',
  threads: 1,
  graphOptimization: 'all',
  provider,
  fallback: false,
  logsErrors: true,
});
await session.run({ x: inputTensor('float32', new Float32Array(SIZE).fill(1), [1, SIZE]) }, ['y']);
session.close();
writeSync(3, JSON.stringify({ result: provider }));
