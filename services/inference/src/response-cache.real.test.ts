/** Answers that are used again, through every door: each row's answer carries the row's own identity. */
import type { EndpointCache } from '@assay/contracts';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ModelInferResponseSchema } from './grpc/gen/inference/inference_pb.ts';
import { grpcClient } from './grpc/grpc-under-test.ts';
import { type InferenceUnderTest, serveRegistry, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';
import { startRegistry } from './registry-under-test.ts';

const RUNS = Number(process.env.PROPERTY_RUNS ?? 25);
const within = { timeout: 20_000, interval: 10 };
const CACHE: EndpointCache = { maxBytes: 100_000, maxAgeMs: 600_000 };

/** Ids that differ in their last bits only, and the rows of an identity model that they make. */
const record = (id: number) => ({
  i64: `${2n ** 60n + BigInt(id)}`,
  f64: id % 3 === 0 ? null : id / 3,
  f32: id % 2 === 0 ? -0 : 0,
  text: `row ${id}`,
  flag: id % 2 === 0,
  at: `2026-01-31T12:00:00.${String(id).padStart(6, '0')}Z`,
  vector: [id, 1, 2],
});
const namedBody = (ids: readonly number[]): string =>
  JSON.stringify({ records: ids.map(record) }).replaceAll(/"(\d{19})"/g, '$1');
const columns = (ids: readonly number[]) => {
  const scalar = [ids.length];
  return [
    { name: 'i64', datatype: 'INT64', shape: scalar, data: ids },
    { name: 'f64', datatype: 'FP64', shape: scalar, data: ids.map((id) => id / 3) },
    { name: 'f32', datatype: 'FP32', shape: scalar, data: ids.map((id) => (id % 2) * 0.5) },
    { name: 'text', datatype: 'BYTES', shape: scalar, data: ids.map((id) => `row ${id}`) },
    { name: 'flag', datatype: 'BOOL', shape: scalar, data: ids.map((id) => id % 2 === 0) },
    { name: 'at', datatype: 'INT64', shape: scalar, data: ids },
    { name: 'vector', datatype: 'FP32', shape: [ids.length, 3], data: ids.flatMap((id) => [id, 1, 2]) },
  ];
};

const SCORE = '/v1/endpoints/identity/score';
const INFER = '/v2/models/identity/infer';

type Door = (served: Served, ids: readonly number[]) => Promise<string[]>;
interface Served {
  readonly inference: InferenceUnderTest;
  readonly grpc: ReturnType<typeof grpcClient>;
}

/** Each gives the texts of the rows that came back. */
const DOORS: Readonly<Record<string, Door>> = {
  async named({ inference }, ids) {
    const { body, text } = await inference.post(SCORE, namedBody(ids));
    ids.forEach((id, i) => {
      expect(text).toContain(`"i64_out":${2n ** 60n + BigInt(id)}`);
      expect(body.predictions[i].outputs.vector_out).toEqual([id, 1, 2]);
    });
    return body.predictions.map(({ outputs }: { outputs: { text_out: string } }) => outputs.text_out);
  },
  async tensors({ inference }, ids) {
    const { body } = await inference.post(INFER, { inputs: columns(ids), outputs: [{ name: 'text_out' }] });
    return body.outputs[0].data;
  },
  async binary({ inference }, ids) {
    const outputs = [{ name: 'vector_out', parameters: { binary_data: true } }];
    const { bytes, headers } = await inference.post(INFER, { inputs: columns(ids), outputs });
    const at = Number(headers.get('inference-header-content-length'));
    return ids.map((_, i) => `row ${bytes.readFloatLE(at + 12 * i)}`);
  },
  async grpc({ grpc }, ids) {
    const { messages } = await grpc.infer({
      modelName: 'identity',
      inputs: columns(ids).map(({ name, datatype, shape, data }) => ({
        name,
        datatype,
        shape: shape.map(BigInt),
        contents: contentsOf(datatype, data),
      })),
      outputs: [{ name: 'i64_out' }],
    });
    const [message] = messages;
    if (message === undefined) throw new Error('gRPC gave no answer');
    const raw = Buffer.from(fromBinary(ModelInferResponseSchema, message).rawOutputContents[0] ?? []);
    return ids.map((_, i) => `row ${raw.readBigInt64LE(8 * i)}`);
  },
};

function contentsOf(datatype: string, data: readonly unknown[]): object {
  if (datatype === 'INT64') return { int64Contents: data.map((value) => BigInt(Number(value))) };
  if (datatype === 'FP64') return { fp64Contents: data };
  if (datatype === 'FP32') return { fp32Contents: data };
  if (datatype === 'BOOL') return { boolContents: data };
  return { bytesContents: data.map((value) => Buffer.from(String(value))) };
}

describe.each([true, false])('answers used again, with lane: %s,', (lane) => {
  test('are those of the same row, whichever of many were asked for at the same time and at which door', async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    const made = await identityModel(folder.path);
    registry.route('identity', [{ made, weight: 10_000 }], { cache: CACHE });
    await using inference = await serveRegistry(folder.path, registry.url, { lane, grpcPort: 0 });
    await using grpc = grpcClient(inference.service.addresses.grpc);
    const served = { inference, grpc };
    await vi.waitFor(async () => expect((await inference.post(SCORE, namedBody([1]))).status).toBe(200), within);
    const request = fc.record({
      door: fc.constantFrom(...Object.keys(DOORS)),
      ids: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 24 }), async (requests) => {
        const answers = await Promise.all(requests.map(({ door, ids }) => DOORS[door]?.(served, ids)));
        expect(answers).toEqual(requests.map(({ ids }) => ids.map((id) => `row ${id}`)));
      }),
      { numRuns: RUNS },
    );
    const { text } = await inference.get('/metrics');
    const sampleOf = (name: string, more = '') => {
      const series = `${name}{endpoint="identity",model="identity",version="1"${more}} `;
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(series))
          ?.slice(series.length),
      );
    };
    for (const outcome of ['hit', 'coalesced', 'miss']) {
      expect(sampleOf('assay_inference_cache_rows_total', `,outcome="${outcome}"`)).toBeGreaterThan(0);
    }
    const bytes = sampleOf('assay_inference_cache_bytes');
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThanOrEqual(CACHE.maxBytes);
    expect(sampleOf('assay_inference_cache_entries')).toBeGreaterThan(0);
  });

  test('say so at each door, have their own prediction ids, and are counted by the statistics', async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    const made = await identityModel(folder.path);
    registry.route('identity', [{ made, weight: 10_000 }], { cache: CACHE });
    await using inference = await serveRegistry(folder.path, registry.url, { lane, grpcPort: 0 });
    await using grpc = grpcClient(inference.service.addresses.grpc);
    await vi.waitFor(async () => expect((await inference.post(SCORE, namedBody([1]))).status).toBe(200), within);
    const { predictions } = (await inference.post(SCORE, namedBody([1, 2, 2]))).body;
    expect(predictions.map(({ cached }: { cached?: boolean }) => cached)).toEqual([true, undefined, true]);
    expect(new Set(predictions.map(({ id }: { id: string }) => id)).size).toBe(3);

    const infer = () => inference.post(INFER, { inputs: columns([5, 6]) });
    const headersOf = async () => {
      const { headers } = await infer();
      return { cached: headers.get('assay-cached-rows'), id: headers.get('assay-prediction-id') };
    };
    const [first, second] = [await headersOf(), await headersOf()];
    expect([first.cached, second.cached]).toEqual([null, '2']);
    expect(first.id).not.toBe(second.id);

    const inputs = columns([5]).map(({ name, datatype, shape, data }) => ({
      name,
      datatype,
      shape: shape.map(BigInt),
      contents: contentsOf(datatype, data),
    }));
    const [message] = (await grpc.infer({ modelName: 'identity', inputs })).messages;
    if (message === undefined) throw new Error('gRPC gave no answer');
    expect(fromBinary(ModelInferResponseSchema, message).parameters.cached_rows?.parameterChoice).toEqual({
      case: 'int64Param',
      value: 1n,
    });
    const [{ inference_stats: statistics }] = (await inference.get('/v2/models/identity/stats')).body.model_stats;
    expect(statistics.success.count).toBe(5);
    expect([statistics.cache_hit.count, statistics.cache_miss.count, statistics.compute_infer.count]).toEqual([
      2, 3, 3,
    ]);
  });
});

test('no version answers for another, and an endpoint without a cache has none', async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const [one, two] = [await versionModel(folder.path, 1), await versionModel(folder.path, 2)];
  registry.route('flights', [{ made: one, weight: 10_000 }], { cache: CACHE });
  await using inference = await serveRegistry(folder.path, registry.url);
  const score = async () => {
    const { status, body } = await inference.post('/v1/endpoints/flights/score', { records: [{ x: 1 }] });
    return { status, ...body?.predictions?.[0] };
  };
  await vi.waitFor(async () => expect((await score()).status).toBe(200), within);
  expect(await score()).toMatchObject({ outputs: { version: 1 }, cached: true });
  expect((await inference.get('/v1/endpoints/flights')).body.cache).toEqual(CACHE);

  registry.route('flights', [{ made: two, weight: 10_000 }], { cache: CACHE });
  await vi.waitFor(async () => expect(await score()).toMatchObject({ outputs: { version: 2 } }), within);
  expect(await score()).toMatchObject({ outputs: { version: 2 }, cached: true });
  const held = async () => (await inference.get('/metrics')).text.match(/^assay_inference_cache_bytes\{.*/gm) ?? [];
  expect(await held()).toEqual([expect.stringContaining('version="2"')]);

  registry.route('flights', [{ made: two, weight: 10_000 }]);
  await vi.waitFor(async () => expect(await score()).not.toHaveProperty('cached'), within);
  expect(await held()).toEqual([]);
});
