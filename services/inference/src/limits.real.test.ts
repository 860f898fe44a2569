import type { EndpointLimits } from '@assay/contracts';
import { describe, expect, test, vi } from 'vitest';
import { grpcClient } from './grpc/grpc-under-test.ts';
import { type InferenceUnderTest, serveRegistry, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const within = { timeout: 20_000, interval: 10 };
const SCORE = '/v1/endpoints/flights/score';
const INFER = '/v2/models/flights/infer';
const records = (count: number) => ({ records: Array.from({ length: count }, () => ({ x: 1 })) });
const tensors = (rows: number) => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [rows], data: Array.from({ length: rows }, () => 1) }],
});

describe.each([true, false])('limits of an endpoint, with lane: %s,', (lane) => {
  test('hold on every door, are told with the time to come back, counted, and changed by routing', async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    const made = await versionModel(folder.path, 1);
    const limit = (limits: EndpointLimits) => registry.route('flights', [{ made, weight: 10_000 }], { limits });
    limit({ rowsPerRequest: 3, bytesPerRequest: 300 });
    await using inference = await serveRegistry(folder.path, registry.url, { lane, grpcPort: 0 });
    await using grpc = grpcClient(inference.service.addresses.grpc);
    const grpcStatus = async (rows: number) => {
      const inputs = [
        { name: 'x', datatype: 'FP32', shape: [BigInt(rows)], contents: { fp32Contents: Array<number>(rows).fill(1) } },
      ];
      return (await grpc.infer({ modelName: 'flights', inputs })).status;
    };
    await vi.waitFor(async () => expect((await inference.post(SCORE, records(1))).status).toBe(200), within);

    expect((await inference.post(SCORE, records(3))).status).toBe(200);
    expect((await inference.post(INFER, tensors(3))).status).toBe(200);
    expect(await grpcStatus(3)).toBe(0);
    const four = await inference.post(SCORE, records(4));
    expect([four.status, four.body.error.message]).toEqual([
      413,
      '4 rows are more than the 3 that endpoint "flights" takes in one request',
    ]);
    expect((await inference.post(INFER, tensors(4))).status).toBe(413);
    expect(await grpcStatus(4)).toBe(8);
    const long = await inference.post(SCORE, `${JSON.stringify(records(1))}${' '.repeat(300)}`);
    expect([long.status, long.body.error.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);

    limit({ requestsPerSecond: 0.01 });
    await vi.waitFor(async () => expect((await inference.post(INFER, tensors(1))).status).toBe(429), within);
    const refused = await inference.post(SCORE, records(1));
    expect(refused.body.error).toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringContaining('0.01 requests'),
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1);
    expect(await grpcStatus(1)).toBe(8);
    const { text } = await inference.get('/metrics');
    const counted = (name: string) =>
      Number(new RegExp(`limited_total\\{endpoint="flights",limit="${name}"\\} (\\d+)`).exec(text)?.[1]);
    expect(counted('rows')).toBe(3);
    expect(counted('bytes')).toBe(1);
    expect(counted('requests_per_second')).toBeGreaterThanOrEqual(3);
    expect((await inference.get('/v1/endpoints/flights')).body.limits).toEqual({ requestsPerSecond: 0.01 });

    registry.route('flights', [{ made, weight: 10_000 }]);
    await vi.waitFor(async () => expect((await inference.post(SCORE, records(100))).status).toBe(200), within);
  });
});

test('at most so many requests are answered at once, and who waits gets its answer', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const made = await versionModel(folder.path, 1);
  registry.route('flights', [{ made, weight: 10_000 }], { limits: { concurrency: 4 } });
  await using inference = await serveRegistry(folder.path, registry.url, { maxQueueRows: 1_000_000 });
  await vi.waitFor(async () => expect((await inference.post(SCORE, records(1))).status).toBe(200), within);
  const burst = async (from: InferenceUnderTest) => {
    const answers = await Promise.all(Array.from({ length: 64 }, () => from.post(SCORE, records(200))));
    return answers.map(({ status }) => status);
  };
  const statuses = (await Promise.all(Array.from({ length: 4 }, () => burst(inference)))).flat();
  expect(new Set(statuses)).toEqual(new Set([200, 429]));
  expect((await inference.post(SCORE, records(1))).status).toBe(200);
});

test('what a newer registry says besides of an endpoint is passed over, now and from the cache', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const made = await versionModel(folder.path, 1);
  registry.route('flights', [{ made, weight: 10_000 }], { unknown: { mirror: { to: 'elsewhere' } } });
  const served = async () => {
    await using inference = await serveRegistry(folder.path, registry.url);
    await vi.waitFor(async () => expect((await inference.post(SCORE, records(1))).status).toBe(200), within);
    return (await inference.get('/v1/endpoints/flights')).body.revision;
  };
  expect(await served()).toBe(1);
  await registry.goAway();
  expect(await served()).toBe(1);
  await registry.comeBack();
});
