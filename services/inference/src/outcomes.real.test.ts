import { createScoringClient } from '@assay/client';
import { type Event, TOPICS } from '@assay/contracts';
import { openEventBus } from '@assay/events';
import { createLogger, loadConfig } from '@assay/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inferenceConfig } from './config.ts';
import { serveStatic, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { createStaticModels } from './routing/static-source.ts';
import { createService } from './service.ts';

const resources = new AsyncDisposableStack();
const seen: Event[] = [];
let url: string;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const model = await versionModel(dir, 1);
  const log = createLogger({ service: 'inference', level: 'silent' });
  const bus = await openEventBus(`sqlite:${dir}/events.db`, { log, clientId: 'test' });
  resources.defer(() => bus.close());
  const stop = new AbortController();
  resources.defer(() => stop.abort());
  await bus.subscribe(
    { topics: [TOPICS.outcomes], delivery: { group: 'test' }, from: 'earliest', signal: stop.signal },
    async (event) => void seen.push(event),
  );
  const config = loadConfig(inferenceConfig, { flags: { port: 0, logLevel: 'silent', cacheDir: `${dir}/cache` } });
  const models = await createStaticModels([{ name: 'flights', path: model.dir }], { workDir: `${dir}/made` });
  const service = await createService(config, { models, log, predictions: bus });
  resources.defer(() => service.close());
  await service.start();
  url = service.addresses.http ?? '';
});
afterAll(() => resources.disposeAsync());

async function post(body: unknown) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/v1/outcomes`, { method: 'POST', body: JSON.stringify(body), headers });
  return { status: response.status, body: (await response.json()) as { error: { message: string } } };
}

test('outcomes become events of their predictions, and the same report twice one and the same event', async () => {
  await using client = createScoringClient({ url });
  const { predictions } = await client.score('flights', [{ x: 1 }, { x: 2 }]);
  const outcomes = predictions.map(({ id }, i) => ({ predictionId: id, value: i === 0, at: 1_769_860_800_000 }));
  expect(await client.reportOutcomes('flights', outcomes)).toEqual({ accepted: 2 });
  expect(await client.reportOutcomes('flights', outcomes)).toEqual({ accepted: 2 });
  await expect.poll(() => seen.length).toBeGreaterThanOrEqual(2);
  const ids = new Set(seen.map(({ id }) => id));
  expect(ids.size).toBe(2);
  expect(seen[0]).toMatchObject({
    type: 'assay.outcomes.reported.v1',
    subject: predictions[0]?.id,
    data: { predictionId: predictions[0]?.id, endpointName: 'flights', value: true, at: 1_769_860_800_000 },
  });
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^assay_inference_outcomes_total\{endpoint="flights"\} 4$/m);
});

test('what is wrong with a report is said, and nothing of it is passed on', async () => {
  const before = seen.length;
  for (const [body, status, words] of [
    [{ endpoint: 'flihgts', outcomes: [{ predictionId: 'p', value: 1 }] }, 404, /no endpoint "flihgts"/],
    [{ endpoint: 'flights', outcomes: [] }, 400, /outcomes/],
    [{ endpoint: 'flights', outcomes: [{ predictionId: 'p', value: null }] }, 400, /outcomes\[0\]\.value/],
    [{ endpoint: 'flights', outcomes: [{ predictionId: 'p', value: 1 }, { value: 1 }] }, 400, /outcomes\[1\]/],
    [{ endpoint: 'flights', outcomes: [{ predictionId: 'p', value: 1, at: 'now' }] }, 400, /outcomes\[0\]\.at/],
  ] as const) {
    const answer = await post(body);
    expect([answer.status, answer.body.error.message]).toEqual([status, expect.stringMatching(words)]);
  }
  expect(seen.length).toBe(before);
});

test('without an event log a report is refused, with what is missing', async () => {
  await using folder = await temporaryFolder();
  const { dir } = await versionModel(folder.path, 1);
  await using inference = await serveStatic(folder.path, [{ name: 'flights', path: dir }]);
  const report = { endpoint: 'flights', outcomes: [{ predictionId: 'p', value: 1 }] };
  const { status, body } = await inference.post('/v1/outcomes', report);
  expect([status, body.error.message]).toEqual([412, expect.stringMatching(/ASSAY_INFERENCE_EVENTS_URL/)]);
});
