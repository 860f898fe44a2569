/** What a version is taken to hold under a memory limit is no less than what the kernel says, wherever and whatever it is. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { packageFromOnnx } from '@assay/scoring';
import { expect, test } from 'vitest';
import {
  flightRecords,
  linearModel,
  type MadeModel,
  treeModel,
  versionModel,
} from '../../services/inference/src/models-under-test.ts';
import {
  descendantsOf,
  type InferenceProcess,
  proportionalBytes,
  type Settings,
  startInference,
} from '../../services/inference/src/process-under-test.ts';
import { startRegistry } from '../../services/inference/src/registry-under-test.ts';
import { ROOT, temporaryFolder } from '../parts/assay.ts';

const BUNDLE = join(ROOT, 'dist/entries/services-inference-inference.mjs');
const ROUNDS = 10;
/** More than any case needs: nothing rests. */
const MODEL_MEMORY_BYTES = 4_000_000_000;

interface Kind {
  readonly make: (dir: string, number: number) => Promise<MadeModel>;
  readonly record: Readonly<Record<string, unknown>>;
}

const [flight = {}] = flightRecords(1);
const KINDS: Readonly<Record<string, Kind>> = {
  smallest: { make: versionModel, record: { x: 1 } },
  linear: { make: linearModel, record: flight },
  'trees of depth 5': { make: (dir) => treeModel(dir, 5), record: flight },
  'trees of depth 8': { make: (dir) => treeModel(dir, 8), record: flight },
  'neural network': { make: perceptron, record: { x: Array.from({ length: 64 }, () => 1) } },
};

/** 4 MB of weights. */
async function perceptron(dir: string, number: number): Promise<MadeModel> {
  const graph = new GraphBuilder();
  const weights = (rows: number, columns: number) => {
    const data = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * number));
    return graph.constant(float32Tensor(data, [rows, columns]));
  };
  const x = graph.input('x', 'float32', ['N', 64]);
  const first = graph.node('Relu', [graph.node('MatMul', [x, weights(64, 1000)])]);
  const second = graph.node('Relu', [graph.node('MatMul', [first, weights(1000, 1000)])]);
  graph.node('MatMul', [second, weights(1000, 1)], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  const path = join(dir, 'perceptron');
  return { ...(await packageFromOnnx(graph.build(), { dir: path })), dir: path };
}

/** What server and model processes hold, and what the versions are taken to hold. */
async function measure(dir: string, models: readonly MadeModel[], record: Kind['record'], settings: Settings) {
  await using registry = await startRegistry();
  for (const [i, made] of models.entries()) registry.route(`m${i}`, [{ made, weight: 10_000 }]);
  await using server = await startInference({
    dir: await mkdtemp(join(dir, 'cache-')),
    registryUrl: registry.url,
    settings: { MODEL_MEMORY_BYTES, ...settings },
    entry: BUNDLE,
  });
  const isReady = async () => (await fetch(`${server.url}/readyz`)).status;
  await expect.poll(isReady, { timeout: 60_000, interval: 50 }).toBe(200);
  for (let round = 0; round < ROUNDS; round++) {
    for (const i of models.keys()) await score(server, `m${i}`, record);
  }
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const takenBytes = Number(/^assay_inference_model_memory_bytes (.+)$/m.exec(metrics)?.[1]);
  const processes = [server.pid, ...descendantsOf(server.pid)];
  return { takenBytes, heldBytes: processes.reduce((sum, pid) => sum + proportionalBytes(pid), 0) };
}

async function score({ url }: InferenceProcess, endpoint: string, record: Kind['record']): Promise<void> {
  const response = await fetch(`${url}/v1/endpoints/${endpoint}/score`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records: [record] }),
  });
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('outputs')]);
}

test.each([
  ['smallest', {}, 60],
  ['linear', {}, 30],
  ['trees of depth 5', {}, 30],
  ['trees of depth 8', {}, 20],
  ['neural network', {}, 10],
  ['smallest', { PLACEMENT: 'thread' }, 8],
  ['neural network', { PLACEMENT: 'thread' }, 8],
  ['smallest', { ISOLATION: 'process' }, 3],
] as const)('%s, %o', async (name, settings, count) => {
  await using folder = await temporaryFolder();
  const kind = KINDS[name];
  if (kind === undefined) throw new Error(`there is no ${name}`);
  const models: MadeModel[] = [];
  for (let number = 1; number <= count + 1; number++) {
    models.push(await kind.make(await mkdtemp(join(folder.path, 'model-')), number));
  }
  const one = await measure(folder.path, models.slice(0, 1), kind.record, settings);
  const all = await measure(folder.path, models, kind.record, settings);
  const heldBytes = (all.heldBytes - one.heldBytes) / count;
  const takenBytes = (all.takenBytes - one.takenBytes) / count;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
  console.log(
    `${name}, ${JSON.stringify(settings)}: holds ${megabytes(heldBytes)}, is taken to hold ${megabytes(takenBytes)}`,
  );
  expect(heldBytes).toBeLessThan(takenBytes);
});
