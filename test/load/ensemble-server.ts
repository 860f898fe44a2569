/**
 * The inference service with two small models and what is composed of them, for the benchmark of ensembles: `first` and
 * `second` alone, `merged` their mean in one graph, `chained` the same in several. Prints its URL.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createService, createStaticModels, inferenceConfig } from '@assay/inference';
import { attribute, float32Tensor, GraphBuilder } from '@assay/onnx';
import { createLogger, loadConfig } from '@assay/runtime';
import { type ComposeRequest, composeInChild, packageFromOnnx } from '@assay/scoring';

const dir = mkdtempSync(join(tmpdir(), 'assay-ensembles-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

/** Two layers and a softmax. In operator set 11 Softmax is another than in 21, so that it cannot be in one graph with it. */
function perceptron(seed: number, opset: 11 | 21): Uint8Array {
  const graph = new GraphBuilder({ opsets: { '': opset }, irVersion: opset === 11 ? 6 : 10 });
  const weights = (rows: number, columns: number) =>
    graph.constant(
      float32Tensor(
        Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * seed) / Math.sqrt(rows)),
        [rows, columns],
      ),
    );
  const x = graph.input('x', 'float32', ['N', 30]);
  const hidden = graph.node('Relu', [graph.node('MatMul', [x, weights(30, 32)])]);
  const logits = graph.node('MatMul', [hidden, weights(32, 2)]);
  graph.node('Softmax', [logits], { attributes: { axis: attribute.int(1) }, outputs: ['probabilities'] });
  graph.output('probabilities', 'float32', ['N', 2]);
  return graph.build();
}

async function packaged(name: string, onnx: Uint8Array): Promise<string> {
  return (await packageFromOnnx(onnx, { dir: join(dir, name) })).digest;
}

async function composed(name: string, second: { readonly name: string; readonly digest: string }): Promise<void> {
  const part = (step: string, model: string, digest: string) => ({
    ...{ step, dir: join(dir, model), digest, model, version: 1, versionId: `ver_${model}` },
  });
  const request: ComposeRequest = {
    composition: {
      model: name,
      steps: {
        first: { version: 'first@1' },
        second: { version: `${second.name}@1` },
        mean: { mean: ['first', 'second'] },
      },
      outputs: { probabilities: 'mean' },
    },
    parts: [part('first', 'first', first), part('second', second.name, second.digest)],
  };
  const requestPath = join(dir, `${name}.json`);
  await writeFile(requestPath, JSON.stringify(request));
  await composeInChild(requestPath, { dir: join(dir, name) });
}

const first = await packaged('first', perceptron(7, 21));
await composed('merged', { name: 'second', digest: await packaged('second', perceptron(3, 21)) });
await composed('chained', { name: 'older', digest: await packaged('older', perceptron(3, 11)) });
const names = ['first', 'second', 'merged', 'chained'];
const models = await createStaticModels(
  names.map((name) => ({ name, path: join(dir, name) })),
  { workDir: join(dir, 'made') },
);
const config = loadConfig(inferenceConfig, { flags: { port: 0, cacheDir: join(dir, 'cache') } });
const log = createLogger({ service: 'inference', level: 'silent' });
const service = await createService(config, { models, log });
await service.start();
console.log(service.addresses.http);
process.on('SIGTERM', () => process.exit());
