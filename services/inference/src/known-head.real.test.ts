import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveEveryWay } from './every-way-under-test.ts';
import { rememberHead, takeAsKnown } from './http/oip/known-head.ts';
import { readInferRequest } from './http/oip/read-infer-request.ts';
import { type InferenceUnderTest, temporaryFolder } from './inference-under-test.ts';
import { floatsModel } from './models-under-test.ts';

const resources = new AsyncDisposableStack();
let dir: string;
let inference: InferenceUnderTest;

beforeAll(async () => {
  const { path } = resources.use(await temporaryFolder());
  ({ dir } = await floatsModel(path));
  inference = resources.use(await serveEveryWay(path, [{ name: 'floats', path: dir }]));
});
afterAll(() => resources.disposeAsync());

interface Rows {
  readonly vector: readonly number[];
  readonly share: readonly number[];
  readonly other: readonly number[];
}

const bytesOf = (data: ArrayBufferView): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

function tensorsOf({ vector, share, other }: Rows): Buffer {
  return Buffer.concat([
    bytesOf(new Float64Array(share)),
    bytesOf(new Float32Array(vector)),
    bytesOf(new Float32Array(other)),
  ]);
}

function headOf(rows: number, more: object = { parameters: { binary_data_output: true } }): Buffer {
  const input = (name: string, datatype: string, shape: readonly number[], size: number) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: size },
  });
  return Buffer.from(
    JSON.stringify({
      // In another order than the signature's.
      inputs: [
        input('share', 'FP64', [rows], 8 * rows),
        input('vector', 'FP32', [rows, 3], 12 * rows),
        input('other', 'FP32', [rows, 1], 4 * rows),
      ],
      ...more,
    }),
  );
}

async function post(head: Buffer, tensors: Buffer) {
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
  };
  const { status, bytes } = await inference.post('/v2/models/floats/infer', Buffer.concat([head, tensors]), headers);
  return { status, text: bytes.toString('latin1').replace(/req_[0-9a-z]{26}/, 'req_*') };
}

test('a request with the JSON of the one before is answered as if its JSON were new', async () => {
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-45, 3.4028234663852886e38];
  const wide = fc.oneof({ weight: 8, arbitrary: fc.float({ noNaN: true }) }, fc.constantFrom(...odd));
  const share = fc.oneof(
    { weight: 12, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
    fc.constantFrom(...odd, 1.0000000000000002, -5e-324),
  );
  const listOf = (arbitrary: fc.Arbitrary<number>, length: number) =>
    fc.array(arbitrary, { minLength: length, maxLength: length });
  const cases = fc
    .integer({ min: 1, max: 4 })
    .chain((rows) =>
      fc.record({ vector: listOf(wide, 3 * rows), share: listOf(share, rows), other: listOf(wide, rows) }),
    );
  let [spaces, taken, refused] = [0, 0, 0];
  const property = async (rows: Rows): Promise<void> => {
    const tensors = tensorsOf(rows);
    const head = headOf(rows.share.length);
    // As many spaces as no request before had: read anew.
    const anew = await post(Buffer.concat([head, Buffer.alloc(++spaces, ' ')]), tensors);
    await post(head, tensors); // known from here on
    expect(await post(head, tensors)).toEqual(anew);
    if (anew.status === 200) taken++;
    else refused++;
  };
  await fc.assert(fc.asyncProperty(cases, property), { numRuns: 150, seed: 11 });
  expect(taken).toBeGreaterThan(20);
  expect(refused).toBeGreaterThan(20);
});

test('what the JSON asks for is known with it, and bytes that do not fit it are refused', async () => {
  const rows: Rows = { vector: [1, 2, 3], share: [0.25], other: [7] };
  const head = headOf(1, { outputs: [{ name: 'share_out' }] });
  const expected = { outputs: [{ name: 'share_out', datatype: 'FP64', shape: [1, 1], data: [0.25] }] };
  for (const _ of ['new', 'known', 'known']) {
    const { status, text } = await post(head, tensorsOf(rows));
    expect([status, JSON.parse(text)]).toEqual([200, expect.objectContaining(expected)]);
  }
  const short = await post(head, tensorsOf(rows).subarray(1));
  expect(short).toEqual({ status: 400, text: expect.stringContaining('is no number of the') });
  const long = await post(head, Buffer.concat([tensorsOf(rows), Buffer.alloc(1)]));
  expect(long).toEqual({ status: 400, text: expect.stringContaining('has 1 bytes behind the JSON') });
});

test('a head is known by its bytes, for its signature, where nothing but floats follows it', async () => {
  const scorer = await createScorer(await openPackage(dir));
  const { signature } = scorer;
  const head = headOf(2);
  const tensors = tensorsOf({ vector: [1, 2, 3, 4, 5, 6], share: [0, 1], other: [7, 8] });
  const batch = scorer.newBatch();
  expect(takeAsKnown(head, tensors, signature, batch)).toBeUndefined();
  rememberHead(signature, head, readInferRequest(JSON.parse(head.toString()), signature, 10, tensors));
  expect(takeAsKnown(head, tensors, signature, batch)).toMatchObject({ rows: 2 });
  expect(takeAsKnown(Buffer.concat([head, Buffer.from(' ')]), tensors, signature, batch)).toBeUndefined();
  expect(takeAsKnown(head, tensors.subarray(1), signature, batch)).toBeUndefined();
  expect(takeAsKnown(head, tensors, structuredClone(signature), batch)).toBeUndefined();
  tensors.writeFloatLE(Number.NaN, tensors.length - 4);
  expect(takeAsKnown(head, tensors, signature, batch)).toBeUndefined();
  expect(batch.rows).toBe(2);
  const outputs = await scorer.run(batch, 0, 2);
  expect(outputs.record(1)).toEqual({ vector_out: [4, 5, 6], share_out: 1, other_out: 8 });

  const mixed = { inputs: [{ name: 'share', datatype: 'FP64', shape: [1], data: [0.5] }] };
  const json = Buffer.from(JSON.stringify(mixed));
  const other = structuredClone(signature);
  rememberHead(other, json, readInferRequest(mixed, other, 10, Buffer.alloc(0)));
  expect(takeAsKnown(json, Buffer.alloc(0), other, batch)).toBeUndefined();

  const [named, whole] = [
    headOf(2, { id: 'mine' }),
    tensorsOf({ vector: [1, 2, 3, 4, 5, 6], share: [0, 1], other: [7, 8] }),
  ];
  rememberHead(signature, named, readInferRequest(JSON.parse(named.toString()), signature, 10, whole));
  expect(takeAsKnown(named, whole, signature, batch)).toBeUndefined();
  scorer.close();
});

test('each request has the id that it was sent with', async () => {
  const tensors = tensorsOf({ vector: [1, 2, 3], share: [0.25], other: [7] });
  for (const id of ['a', 'b', undefined, 'a', undefined]) {
    const { status, text } = await post(headOf(1, { id }), tensors);
    expect([status, JSON.parse(text).id]).toEqual([200, id]);
  }
});
