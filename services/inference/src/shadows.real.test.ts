import { describe, expect, test, vi } from 'vitest';
import { grpcClient } from './grpc/grpc-under-test.ts';
import { serveRegistry, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const within = { timeout: 20_000, interval: 10 };
const SCORE = '/v1/endpoints/flights/score';
const records = (count: number) => ({ records: Array.from({ length: count }, (_, i) => ({ x: i })) });
const floats = (rows: number) => Array.from({ length: rows }, (_, i) => i);
const inputs = (rows: number) => [{ name: 'x', datatype: 'FP32', shape: [rows], data: floats(rows) }];

describe.each([true, false])('a shadow, with lane: %s,', (lane) => {
  test('is given the rows of every door, answers none, and its registry learns all sums', async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    const [one, two] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2)];
    registry.route('flights', [{ made: one, weight: 10_000 }], { shadows: [{ made: two, ratio: 1 }] });
    {
      await using inference = await serveRegistry(folder.path, registry.url, { lane, grpcPort: 0, shadowReportMs: 50 });
      await using grpc = grpcClient(inference.service.addresses.grpc);
      const status = async () => (await inference.get('/v1/endpoints/flights')).body.shadows?.[0];
      await vi.waitFor(async () => expect(await status()).toMatchObject({ live: true, ratio: 1 }), within);

      const named = (await inference.post(SCORE, records(3))).body;
      expect(named.predictions.map((each: { outputs: unknown }) => each.outputs)).toEqual(
        Array.from({ length: 3 }, () => ({ version: one.manifest.golden.outputs[0]?.version })),
      );
      expect((await inference.post('/v2/models/flights/infer', { inputs: inputs(4) })).status).toBe(200);
      const head = JSON.stringify({
        inputs: [{ name: 'x', datatype: 'FP32', shape: [5], parameters: { binary_data_size: 20 } }],
      });
      const binary = Buffer.concat([Buffer.from(head), Buffer.from(new Float32Array(floats(5)).buffer)]);
      const answer = await inference.post('/v2/models/flights/infer', binary, {
        'inference-header-content-length': String(head.length),
      });
      expect(answer.status).toBe(200);
      const called = await grpc.infer({
        modelName: 'flights',
        inputs: [{ name: 'x', datatype: 'FP32', shape: [6n], contents: { fp32Contents: floats(6) } }],
      });
      expect(called.status).toBe(0);
      expect((await inference.post(SCORE, { records: [{ x: 'wrong' }] })).status).toBe(400);

      await vi.waitFor(() => expect(registry.shadowReports.at(-1)?.comparisons[0]?.counts.rows).toBe(18), within);
      const last = registry.shadowReports.at(-1);
      expect(last).toMatchObject({ endpointId: 'ept_flights' });
      expect(last?.comparisons).toMatchObject([
        {
          versionId: two.digest.slice(0, 26),
          primaryVersionId: one.digest.slice(0, 26),
          counts: {
            failedRows: 0,
            droppedRows: 0,
            outputs: [{ name: 'version', values: 18, differingRows: 18, disagreeingRows: 18, maxAbsDifference: 1 }],
          },
        },
      ]);
      const { text } = await inference.get('/metrics');
      expect(text).toMatch(/shadow_rows_total\{endpoint="flights",model="flights",version="2",outcome="compared"\} 18/);
      await inference.post(SCORE, records(1));
      await vi.waitFor(() => expect(registry.shadowReports.at(-1)?.comparisons[0]?.counts.rows).toBe(19), within);
    }
    const sequences = registry.shadowReports.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(new Set(registry.shadowReports.map(({ replica }) => replica)).size).toBe(1);
  });
});

test('a stop tells the registry what no report has told yet', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const [one, two] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2)];
  registry.route('flights', [{ made: one, weight: 10_000 }], { shadows: [{ made: two, ratio: 1 }] });
  {
    await using inference = await serveRegistry(folder.path, registry.url, { shadowReportMs: 3_600_000 });
    const isLive = async () => (await inference.get('/v1/endpoints/flights')).body.shadows?.[0]?.live;
    await vi.waitFor(async () => expect(await isLive()).toBe(true), within);
    expect((await inference.post(SCORE, records(7))).status).toBe(200);
    const compared = async () => (await inference.get('/metrics')).text.includes('outcome="compared"} 7');
    await vi.waitFor(async () => expect(await compared()).toBe(true), within);
    expect(registry.shadowReports).toEqual([]);
  }
  expect(registry.shadowReports).toMatchObject([{ sequence: 1, comparisons: [{ counts: { rows: 7 } }] }]);
});
