/** Metrics by the names of other servers, after real requests. */
import { expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveRegistry, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { slowModel, versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const within = { timeout: 20_000, interval: 10 };
const SCORE = '/v1/endpoints/flights/score';

/** Each series that is not our own, the process's or Node's, with its value. */
async function foreignSeries(inference: InferenceUnderTest): Promise<Map<string, number>> {
  const { text } = await inference.get('/metrics');
  const lines = text.split('\n').filter((line) => /^(nv_|request_)/.test(line));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test("Triton's and KServe's names tell what was measured, where they are asked for", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const made = await versionModel(folder.path, 1);
  const cache = { maxBytes: 100_000, maxAgeMs: 600_000 };
  registry.route('flights', [{ made, weight: 10_000 }], { cache });
  await using inference = await serveRegistry(folder.path, registry.url, { metricsCompatibility: 'all' });
  await vi.waitFor(async () => expect((await inference.post(SCORE, { records: [{ x: 1 }] })).status).toBe(200), within);
  await inference.post(SCORE, { records: [{ x: 1 }, { x: 2 }, { x: 3 }] });
  await inference.post(SCORE, { records: [{ x: 2 }] });
  await inference.post('/v2/models/flights/infer', { inputs: [] });

  const series = await foreignSeries(inference);
  const triton = (name: string, more = '') => series.get(`${name}{model="flights",version="1"${more}}`);
  expect(triton('nv_inference_request_success')).toBe(3);
  expect(triton('nv_inference_count')).toBe(3);
  expect(triton('nv_inference_exec_count')).toBe(2);
  expect(triton('nv_cache_num_hits_per_model')).toBe(1);
  expect(triton('nv_cache_num_misses_per_model')).toBe(2);
  expect(triton('nv_inference_request_failure', ',reason="OTHER"')).toBe(1);
  expect(triton('nv_inference_request_failure', ',reason="REJECTED"')).toBe(0);
  const parts = ['queue', 'compute_input', 'compute_infer', 'compute_output'].map(
    (part) => triton(`nv_inference_${part}_duration_us`) ?? Number.NaN,
  );
  const whole = parts.reduce((sum, us) => sum + us, triton('nv_cache_hit_duration_per_model') ?? Number.NaN);
  expect(triton('nv_inference_request_duration_us')).toBeCloseTo(whole, 3);

  expect(series.get('request_predict_seconds_count{model_name="flights"}')).toBe(3);
  expect(series.get('request_predict_seconds_bucket{model_name="flights",le="+Inf"}')).toBe(3);
  expect(series.get('request_predict_seconds_sum{model_name="flights"}')).toBeGreaterThan(0);
});

test('requests that wait for a run are pending, by model and version, until they were run', async () => {
  await using folder = await temporaryFolder();
  const { dir } = await slowModel(folder.path);
  // In a thread of its own, so that a scrape is answered while it runs.
  const flags = { metricsCompatibility: 'triton', placement: 'thread', maxBatchRows: 1 } as const;
  await using inference = await serveStatic(folder.path, [{ name: 'slow', path: dir }], flags);
  const pending = async () =>
    (await foreignSeries(inference)).get('nv_inference_pending_request_count{model="slow",version="1"}');
  expect(await pending()).toBe(0);
  const seen = new AbortController();
  const callers = Array.from({ length: 8 }, async () => {
    const statuses = new Set<number>();
    while (!seen.signal.aborted) {
      statuses.add((await inference.post('/v1/endpoints/slow/score', { records: [{ x: 1 }] })).status);
    }
    return [...statuses];
  });
  try {
    await vi.waitFor(async () => expect(await pending()).toBeGreaterThanOrEqual(2), within);
  } finally {
    seen.abort();
  }
  expect(await Promise.all(callers)).toEqual(callers.map(() => [200]));
  expect(await pending()).toBe(0);
});

test.each([
  ['none', []],
  ['triton', ['nv']],
  ['kserve', ['request']],
] as const)('with %s there are those and no others', async (metricsCompatibility, expected) => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  registry.route('flights', [{ made: await versionModel(folder.path, 1), weight: 10_000 }]);
  await using inference = await serveRegistry(folder.path, registry.url, { metricsCompatibility });
  await vi.waitFor(async () => expect((await inference.post(SCORE, { records: [{ x: 1 }] })).status).toBe(200), within);
  const families = [...(await foreignSeries(inference)).keys()].map((name) => name.split('_')[0]);
  expect([...new Set(families)]).toEqual(expected);
});
