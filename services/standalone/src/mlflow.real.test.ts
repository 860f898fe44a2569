/** A model that was logged, registered and aliased from Python answers at the inference service as it does in Python. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { batchConfig } from '@assay/batch';
import type { ScoreResponse } from '@assay/contracts';
import { inferenceConfig } from '@assay/inference';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { createLogger, loadConfigs } from '@assay/runtime';
import { trainingConfig } from '@assay/training';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { standaloneConfig } from './config.ts';
import { createStandalone, type Standalone } from './standalone.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

let dir: string;
let running: Standalone;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-mlflow-'));
  const configs = loadConfigs(
    [standaloneConfig, registryConfig, trainingConfig, batchConfig, inferenceConfig, monitoringConfig],
    {
      flags: {
        standalone: { dataDir: join(dir, 'data') },
        registry: { port: 0 },
        training: { port: 0 },
        batch: { port: 0 },
        inference: { port: 0, logLevel: 'silent' },
        monitoring: { port: 0 },
      },
    },
  );
  running = await createStandalone(configs, { log: (service) => createLogger({ service, level: 'silent' }) });
  await running.start();
});
afterAll(async () => {
  await running?.close();
  await rm(dir, { recursive: true, force: true });
});

async function score(records: readonly unknown[]): Promise<ScoreResponse | undefined> {
  const response = await fetch(`${running.services.inference}/v1/endpoints/delay/score`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ records }),
  });
  // what the route answers with 200
  return response.status === 200 ? ((await response.json()) as ScoreResponse) : undefined;
}

test('a champion of MLflow is served, with the outputs that pyfunc gives', async () => {
  const script = join(ROOT, 'test/mlflow/tracking_session.py');
  const { stdout } = await run('python3', [script, running.services.registry, dir], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PYTHONPATH: join(ROOT, '.cache/python'),
      MLFLOW_DISABLE_TELEMETRY: 'true',
    },
  });
  const theirs: { inputs: number[][]; probabilities: number[][] } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  const records = theirs.inputs.map((x) => ({ x }));
  let answer: ScoreResponse | undefined;
  await expect
    .poll(
      async () => {
        answer = await score(records);
        return answer?.predictions.length;
      },
      { timeout: 30_000 },
    )
    .toBe(records.length);
  const ours = answer?.predictions.map(({ outputs }) => outputs.probabilities);
  expect(new Set(theirs.probabilities.map(String)).size).toBe(records.length);
  // Their ONNX Runtime is another version: equal within the last bits of a float32, not bit for bit.
  expect(ours).toEqual(theirs.probabilities.map((row) => row.map((value) => expect.closeTo(value, 6))));
});
