/**
 * The inference service as it ships, for the benchmark of the lane: one API key, metrics, limits, the sampled prediction
 * log. The key comes from this process, so that nothing else is measured. Prints its URL, the key and, with `grpc`, where
 * that listens.
 *
 * With `twins` every model runs in a thread of its own, and the small MLP and a large one are there twice.
 *
 * With `shadow:same` or `shadow:large` the small MLP has a shadow that is given every request: a version of its own size, or
 * one whose runs take hundreds of times as long.
 *
 * node lane-server.ts on|off [slow] [twins] [shadow:same|large] [grpc] [tls:CERT_FILE,KEY_FILE] [without:keys] [without:predictions] [without:request-log]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeySnapshot } from '@assay/contracts';
import { formatKeyText, newSecret, secretSha256 } from '@assay/http';
import { createService, createStaticModels, inferenceConfig, type ModelSource } from '@assay/inference';
import { openPackage } from '@assay/model-package';
import { float32Tensor, GraphBuilder, int64Tensor } from '@assay/onnx';
import { createLogger, loadConfig } from '@assay/runtime';
import { createScorer, packageFromOnnx } from '@assay/scoring';
import { forest } from './forest.ts';
import { perceptron } from './perceptron.ts';

const LARGE_WIDTHS = [30, 1024, 1024, 2];
const SHADOW_WIDTHS: Readonly<Record<string, readonly number[]>> = {
  'shadow:same': [30, 36, 2],
  'shadow:large': LARGE_WIDTHS,
};

/** Making the models is no part of what is measured: another process does it, called as `lane-server.ts models DIR …`. */
if (process.argv[2] === 'models') {
  await writeModels(process.argv[3] ?? '', process.argv.slice(4));
  process.exit();
}
const dir = mkdtempSync(join(tmpdir(), 'assay-lane-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
execFileSync(process.execPath, [fileURLToPath(import.meta.url), 'models', dir, ...process.argv.slice(3)]);

const secret = newSecret();
const keyText = formatKeyText({ id: 'key_bench', secret });
const snapshot: KeySnapshot = {
  revision: 1,
  keys: [
    {
      id: 'key_bench',
      secretSha256: secretSha256(secret),
      principalId: 'prn_bench',
      principalName: 'bench',
      principalKind: 'service',
      scopes: ['score', 'read'],
    },
  ],
};
/** Answers when there is news, which there is once. */
const keys = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://keys');
  const answer = () =>
    url.searchParams.get('after') === '1'
      ? response.writeHead(204).end()
      : response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(snapshot));
  setTimeout(answer, url.searchParams.get('after') === '1' ? Number(url.searchParams.get('waitMs')) : 0);
});
await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
const { port } = keys.address() as AddressInfo; // listening on TCP

const source = await createStaticModels(
  readdirSync(dir).map((name) => ({ name, path: join(dir, name) })),
  { workDir: join(dir, 'made') },
);
const lacks = (feature: string): boolean => process.argv.includes(`without:${feature}`);
const [tlsCertFile, tlsKeyFile] =
  process.argv
    .find((arg) => arg.startsWith('tls:'))
    ?.slice(4)
    .split(',') ?? [];
const config = loadConfig(inferenceConfig, {
  flags: {
    port: 0,
    cacheDir: join(dir, 'cache'),
    registryUrl: `http://127.0.0.1:${port}`,
    lane: process.argv[2] === 'on',
    ...(tlsCertFile === undefined ? {} : { tlsCertFile, tlsKeyFile }),
    ...(lacks('request-log') ? { logSampleRatio: 0 } : {}),
    ...(process.argv.includes('twins') ? { placement: 'thread' } : {}),
    ...(process.argv.includes('grpc') ? { grpcPort: 0 } : {}),
  },
  env: lacks('keys') ? {} : { ASSAY_SERVICE_KEY: keyText },
});
const service = await createService(config, {
  models: { ...source, routing: withShadows(source.routing) },
  log: createLogger({ service: 'inference', level: 'info', destination: { write() {} } }),
  ...(lacks('predictions') ? {} : { predictions: { publish: async () => undefined } }),
});
await service.start();
console.log(`${service.addresses.http} ${lacks('keys') ? '-' : keyText} ${service.addresses.grpc ?? ''}`);
process.on('SIGTERM', () => process.exit());

/** Versions of an endpoint besides the one that answers are its shadows. */
function withShadows(routing: ModelSource['routing']): ModelSource['routing'] {
  return {
    async next(after, signal) {
      const given = await routing.next(after, signal);
      const endpoints = given.endpoints.map((endpoint) => ({
        ...endpoint,
        variants: endpoint.variants.filter(({ weight }) => weight > 0),
        shadows: endpoint.variants
          .filter(({ weight }) => weight === 0)
          .map(({ versionId }) => ({ versionId, ratio: 1 })),
      }));
      return { ...given, endpoints };
    },
  };
}

/** Each as a package `DIR/NAME`, or `DIR/NAME/VERSION`. */
async function writeModels(into: string, words: readonly string[]): Promise<void> {
  const small = perceptron([30, 32, 2], 'one');
  const shadow = words.find((word) => word.startsWith('shadow:'));
  const large = () => perceptron(LARGE_WIDTHS, 'one');
  const models = {
    ...(shadow === undefined
      ? { small }
      : { 'small/1': perceptron(SHADOW_WIDTHS[shadow] ?? [], 'one'), 'small/2': small }),
    big: perceptron([1024, 256, 2], 'one'),
    named: perceptron([30, 32, 2], 'named'),
    trees: forest(100, 5, 30),
    ...(words.includes('twins') ? { 'small-twin': small, large: large(), 'large-twin': large() } : {}),
    ...(words.includes('slow') ? { slow: await slow() } : {}),
  };
  for (const [name, onnx] of Object.entries(models)) await packageFromOnnx(onnx, { dir: join(into, name) });
}

/** So long a row, in any company: a number is spread over many, which go through functions of single numbers. */
function rowByRow(layers: number): Uint8Array {
  const width = 16_384;
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['N', 1]);
  let last = graph.node('MatMul', [x, graph.constant(float32Tensor(new Float32Array(width).fill(0.5), [1, width]))]);
  for (let layer = 0; layer < layers; layer++) last = graph.node(layer % 2 === 0 ? 'Tanh' : 'Sigmoid', [last]);
  graph.node('ReduceMax', [last, graph.constant(int64Tensor([1]))], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return graph.build();
}

/** As many layers as take 2 ms a row on this machine. */
async function slow(): Promise<Uint8Array> {
  const [rowMsWanted, trial] = [2, 40];
  const path = mkdtempSync(join(tmpdir(), 'assay-trial-'));
  await packageFromOnnx(rowByRow(trial), { dir: path });
  const scorer = await createScorer(await openPackage(path));
  const rowMs = scorer.measured.fullBatchUs / 1000 / scorer.maxBatchRows;
  scorer.close();
  rmSync(path, { recursive: true });
  return rowByRow(Math.max(1, Math.round((trial * rowMsWanted) / rowMs)));
}
