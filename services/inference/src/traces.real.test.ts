import { type Event, PredictionsLogged, parse, TOPICS } from '@assay/contracts';
import { createLogger, loadConfig } from '@assay/runtime';
import { describe, expect, test } from 'vitest';
import { inferenceConfig } from './config.ts';
import { temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { createStaticModels } from './routing/static-source.ts';
import { createService } from './service.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const TRACED = { traceparent: `00-${TRACE_ID}-${SPAN_ID}-01`, tracestate: 'congo=t61rcWkgMzE,rojo=1' };

/** The service with what it publishes. */
async function serve(dir: string, lane: boolean) {
  const model = await versionModel(dir, 1);
  const models = await createStaticModels([{ name: 'flights', path: model.dir }], { workDir: `${dir}/made` });
  const flags = { port: 0, cacheDir: `${dir}/cache`, lane, predictionLogLingerMs: 1 };
  const published: Event[] = [];
  const service = await createService(loadConfig(inferenceConfig, { flags }), {
    models,
    log: createLogger({ service: 'test', level: 'silent' }),
    predictions: {
      async publish(topic, events) {
        if (topic === TOPICS.predictions || topic === TOPICS.outcomes) published.push(...events);
      },
    },
  });
  await service.start();
  return {
    published,
    async post(path: string, body: unknown, headers: Record<string, string>): Promise<number> {
      const response = await fetch(`${service.addresses.http}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      await response.arrayBuffer();
      return response.status;
    },
    [Symbol.asyncDispose]: () => service.close(),
  };
}

describe.each([true, false])('with the lane: %s', (lane) => {
  test.each([
    ['named records', '/v1/endpoints/flights/score', { records: [{ x: 1 }, { x: 2 }] }],
    [
      'the Open Inference Protocol',
      '/v2/models/flights/infer',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 1], data: [1, 2] }] },
    ],
  ])('a prediction by %s has the trace that asked for it in the log', async (_, path, body) => {
    await using folder = await temporaryFolder();
    await using service = await serve(folder.path, lane);
    const requests: Record<string, string>[] = [TRACED, {}, { traceparent: 'malformed', tracestate: 'a=1' }];
    for (const headers of requests) expect(await service.post(path, body, headers)).toBe(200);
    const logged = () => service.published.flatMap(({ data }) => parse(PredictionsLogged, data, 'data').predictions);
    await expect.poll(() => logged().length).toBe(6);
    const none = [undefined, undefined];
    expect(logged().map(({ traceId }) => traceId)).toEqual([TRACE_ID, TRACE_ID, ...none, ...none]);
  });
});

test('an outcome that is reported as part of a trace goes on as part of it', async () => {
  await using folder = await temporaryFolder();
  await using service = await serve(folder.path, true);
  const report = { endpoint: 'flights', outcomes: [{ predictionId: 'p', value: 1 }] };
  for (const headers of [TRACED, {}]) expect(await service.post('/v1/outcomes', report, headers)).toBe(202);
  expect(service.published).toEqual([
    expect.objectContaining({
      traceparent: expect.stringMatching(new RegExp(`^00-${TRACE_ID}-(?!${SPAN_ID})[0-9a-f]{16}-01$`)),
      tracestate: TRACED.tracestate,
    }),
    expect.not.objectContaining({ traceparent: expect.anything() }),
  ]);
});
