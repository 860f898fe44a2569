import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { batchConfig } from '@assay/batch';
import { createMonitoringClient, createRegistryClient, decodeJson, type MonitoringClient } from '@assay/client';
import type { LoggedPrediction, ScoreResponse } from '@assay/contracts';
import { inferenceConfig } from '@assay/inference';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { createLogger, loadConfigs } from '@assay/runtime';
import { trainingConfig } from '@assay/training';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { standaloneConfig } from './config.ts';
import { exactModel, flights, floatLinearModel, linearModel, treeModel } from './models-under-test.ts';
import { createStandalone, type Standalone } from './standalone.ts';

let dir: string;
let running: Standalone;
let monitoring: MonitoringClient;

function start(monitoringFlags: Record<string, unknown> = {}): Promise<Standalone> {
  const definitions = [
    standaloneConfig,
    registryConfig,
    trainingConfig,
    batchConfig,
    inferenceConfig,
    monitoringConfig,
  ] as const;
  const configs = loadConfigs(definitions, {
    flags: {
      standalone: { dataDir: join(dir, 'data') },
      registry: { port: 0 },
      training: { port: 0 },
      batch: { port: 0 },
      inference: { port: 0, logLevel: 'silent', predictionLogLingerMs: 20 },
      monitoring: { port: 0, ...monitoringFlags },
    },
  });
  return createStandalone(configs, { log: (service) => createLogger({ service, level: 'silent' }) });
}

async function post(path: string, body: string): Promise<{ readonly headers: Headers; readonly text: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(running.services.inference + path, { method: 'POST', headers, body });
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return { headers: response.headers, text };
}

async function score(endpoint: string, records: string): Promise<ScoreResponse> {
  const { text } = await post(`/v1/endpoints/${endpoint}/score`, `{"records":${records}}`);
  return decodeJson(text) as ScoreResponse; // what the route answers with 200
}

/** It takes a moment from the answer to the log. */
async function logged(id: string): Promise<LoggedPrediction> {
  let found: LoggedPrediction | undefined;
  await expect
    .poll(
      async () => {
        found = await monitoring.getPrediction(id).catch(() => undefined);
        return found?.id;
      },
      { timeout: 20_000 },
    )
    .toBe(id);
  if (found === undefined) throw new Error('unreachable: it was found');
  return found;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-predictions-'));
  running = await start({ rollAfterMs: 100, rollRows: 50, maxReplayModels: 2 });
  await running.start();
  monitoring = createMonitoringClient({ url: running.services.monitoring });
  await using registry = createRegistryClient({ url: running.services.registry });
  const models = {
    trees: await treeModel(dir),
    linear: await linearModel(dir),
    exact: await exactModel(dir),
    'float-linear': await floatLinearModel(dir),
  };
  for (const [name, folder] of Object.entries(models)) {
    await registry.createModel({ name });
    const { version } = await registry.uploadPackage(name, folder);
    await registry.moveAlias(name, 'champion', { version, expectedRevision: 0 });
    const ready = async () => {
      expect((await fetch(`${running.services.inference}/v2/models/${name}/ready`)).status).toBe(200);
    };
    await vi.waitFor(ready, { timeout: 60_000, interval: 50 });
  }
});
afterAll(async () => {
  await monitoring?.close();
  await running?.close();
  await rm(dir, { recursive: true, force: true });
});

describe('a logged prediction', () => {
  test.each(['trees', 'linear'])(
    'of the model "%s" has what was asked and answered, and gives the same bits again, whatever its company was',
    async (model) => {
      const records = flights(100);
      const answers: ScoreResponse['predictions'] = [];
      for (const [from, to] of [
        [0, 1],
        [1, 3],
        [3, 10],
        [10, 100],
      ] as const) {
        answers.push(...(await score(model, JSON.stringify(records.slice(from, to)))).predictions);
      }
      expect(answers).toHaveLength(100);
      for (const [i, answer] of answers.entries()) {
        const found = await logged(answer.id);
        expect(found).toMatchObject({ door: 'rest', endpointName: model, modelName: model, version: 1 });
        expect(found.record).toEqual(records[i]);
        expect(found.outputs).toEqual(answer.outputs);
        const replay = await monitoring.replay(answer.id);
        expect(replay).toMatchObject({ same: true, sameExecutionClass: true, batchInvariant: true, differences: [] });
        expect(replay.replayed).toEqual(answer.outputs);
      }
    },
  );

  test('of a model that is padded to be batch-invariant gives the same bits again', async () => {
    const records = Array.from({ length: 40 }, (_, i) => ({
      x: Array.from({ length: 30 }, (_, j) => Math.sin(i * 31 + j)),
    }));
    const { predictions } = await score('float-linear', JSON.stringify(records));
    for (const { id } of predictions) {
      await logged(id);
      expect(await monitoring.replay(id)).toMatchObject({ same: true, sameExecutionClass: true });
    }
    // The third model: no more than two stay.
    expect(await readdir(join(dir, 'data', 'monitoring', 'replay', 'packages'))).toHaveLength(2);
  });

  test.each([
    ['9223372036854775807', '2026-01-31T12:00:00.000001Z', '-0', ['NaN', '-Infinity']],
    ['-9223372036854775808', '0001-01-01T00:00:00Z', '0', ['NaN', 'Infinity']],
    ['9007199254740993', '9999-12-31T23:59:59.999999Z', '-3', [-0, Math.fround(-1 / 3)]],
  ])('keeps %s, %s and 1 / %s exactly', async (big, at, x, [zero, one]) => {
    const { predictions } = await score('exact', `[{"big":${big},"at":"${at}","x":${x}}]`);
    const found = await logged(predictions[0]?.id ?? '');
    const integer = BigInt(big);
    expect(found.record).toEqual({ big: integer, at, x: Number(x) });
    expect(found.outputs).toEqual({ big_out: integer, at_out: at, zero_by_x: zero, one_by_x: one });
    expect(await monitoring.replay(found.id)).toMatchObject({ same: true, sameExecutionClass: true });
  });

  test('of the Open Inference Protocol is a record like any other, by the id in the header', async () => {
    const body = {
      inputs: [
        { name: 'big', shape: [2, 1], datatype: 'INT64', data: [1, 2] },
        { name: 'at', shape: [2, 1], datatype: 'INT64', data: [1_000_001, 0] },
        { name: 'x', shape: [2, 1], datatype: 'FP32', data: [0.1, 4] },
      ],
    };
    const { headers } = await post('/v2/models/exact/infer', JSON.stringify(body));
    const id = headers.get('assay-prediction-id');
    const first = await logged(`${id}-0`);
    expect(first.record).toEqual({ big: 1, at: '1970-01-01T00:00:01.000001Z', x: Math.fround(0.1) });
    expect(first).toMatchObject({ door: 'oip' });
    await logged(`${id}-1`);
    for (const row of [0, 1]) expect(await monitoring.replay(`${id}-${row}`)).toMatchObject({ same: true });
  });

  test('is in a file soon, listed with the others of its endpoint, and found after a restart', async () => {
    const { predictions } = await score('trees', JSON.stringify(flights(120)));
    const ids = predictions.map(({ id }) => id);
    for (const id of ids) await logged(id);
    const folder = join(dir, 'data', 'monitoring', 'predictions');
    await expect.poll(async () => (await readdir(folder)).join(), { timeout: 20_000 }).toContain('date=');
    const { items } = await monitoring.listPredictions({ endpoint: 'trees', limit: 1000 });
    expect(items.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
    expect(items.every(({ endpointName }) => endpointName === 'trees')).toBe(true);
    expect(new Set(items.map(({ id }) => id)).size).toBe(items.length);

    // What was answered just before the stop is logged by it.
    const last = await score('linear', JSON.stringify(flights(5)));
    await monitoring.close();
    await running.close();
    running = await start({ rollAfterMs: 100 });
    await running.start();
    monitoring = createMonitoringClient({ url: running.services.monitoring });
    for (const { id } of last.predictions) await logged(id);
    for (const id of [ids[0], ids[60], last.predictions[4]?.id]) {
      expect(await monitoring.replay(id ?? '')).toMatchObject({ same: true });
    }
  });

  test('that is not there is NOT_FOUND, and a wrong query is refused', async () => {
    await expect(monitoring.getPrediction('prd_none-0')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(monitoring.replay('prd_none-0')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(monitoring.listPredictions({ from: 'yesterday' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(monitoring.listPredictions({ limit: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
