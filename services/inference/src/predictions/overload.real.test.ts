import { join } from 'node:path';
import { createLogger, loadConfig } from '@assay/runtime';
import { expect, test } from 'vitest';
import { inferenceConfig } from '../config.ts';
import { temporaryFolder } from '../inference-under-test.ts';
import { versionModel } from '../models-under-test.ts';
import { createStaticModels } from '../routing/static-source.ts';
import { createService } from '../service.ts';

const REQUESTS = 60;
const QUEUE_ROWS = 20;

test('while predictions cannot be logged every request is answered, and what is dropped is counted', async () => {
  await using folder = await temporaryFolder();
  const models = await createStaticModels([{ name: 'flights', path: (await versionModel(folder.path, 7)).dir }], {
    workDir: join(folder.path, 'made'),
  });
  const flags = {
    port: 0,
    cacheDir: join(folder.path, 'cache'),
    predictionLogQueueRows: QUEUE_ROWS,
    predictionLogLingerMs: 1,
    closeTimeoutMs: 300,
  };
  let asked = 0;
  const service = await createService(loadConfig(inferenceConfig, { flags }), {
    models,
    log: createLogger({ service: 'test', level: 'silent' }),
    predictions: {
      publish() {
        asked++;
        return new Promise(() => undefined); // never, whatever it is told
      },
    },
  });
  await service.start();
  const url = service.addresses.http ?? '';
  let text = '';
  try {
    for (let i = 0; i < REQUESTS; i++) {
      const response = await fetch(`${url}/v1/endpoints/flights/score`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"records":[{"x":1}]}',
      });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ predictions: [{ outputs: { version: 7 } }] });
    }
    text = await (await fetch(`${url}/metrics`)).text();
  } finally {
    await service.close();
  }
  expect(asked).toBeGreaterThan(0);
  expect(text).toContain(`assay_inference_predictions_queued_rows ${QUEUE_ROWS}\n`);
  expect(text).toContain(`assay_inference_predictions_dropped_total{reason="queue_full"} ${REQUESTS - QUEUE_ROWS}\n`);
});
