/**
 * Hostile requests at the doors of JSON and of binary tensors, beside honest ones that must not notice. Each honest row
 * carries its own number through an identity model. Seconds here; `PROPERTY_RUNS=20000` for hours by hand.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { identityModel } from './models-under-test.ts';

const RUNS = Number(process.env.PROPERTY_RUNS ?? 150);
const resources = new AsyncDisposableStack();
const doors: InferenceUnderTest[] = [];

beforeAll(async () => {
  for (const lane of [true, false]) {
    const { path: dir } = resources.use(await temporaryFolder());
    const identity = await identityModel(dir);
    const flags = { lane, bodyLimitBytes: 200_000, maxRecords: 500 };
    doors.push(resources.use(await serveStatic(dir, [{ name: 'identity', path: identity.dir }], flags)));
  }
});
afterAll(() => resources.disposeAsync());

interface Hostile {
  readonly path: string;
  readonly body: Buffer;
  readonly headers: Record<string, string>;
}

const NAMED = '/v1/endpoints/identity/score';
const INFER = '/v2/models/identity/infer';

const record = (id: number) => ({
  i64: id,
  f64: id / 3,
  f32: 0.5,
  text: `row ${id}`,
  flag: id % 2 === 0,
  at: '2026-01-31T12:00:00Z',
  vector: [id, 1, 2],
});

/** A value where another was expected. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(null, true, -1, 2 ** 53, 1e308, 1e-320, '', '\u0000', '\ud800', [], {}, [[[[[]]]]]),
);

/** Named records with something wrong in them, and now and then with nothing wrong. */
const named: fc.Arbitrary<Hostile> = fc
  .tuple(fc.constantFrom(...Object.keys(record(0)), 'records', 'unknown', '__proto__'), anything, fc.nat(3))
  .map(([key, value, rows]) => {
    const records = Array.from({ length: rows + 1 }, (_, i) => record(i));
    const body = key === 'records' ? { records: value } : { records: records.map((one) => ({ ...one, [key]: value })) };
    return { path: NAMED, body: Buffer.from(JSON.stringify(body)), headers: { 'content-type': 'application/json' } };
  });

const datatype = fc.constantFrom(
  'BOOL',
  'INT8',
  'UINT16',
  'INT64',
  'UINT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
  'BF16',
  '',
);
const dimension = fc.oneof(fc.integer({ min: -2, max: 4 }), fc.constantFrom(2 ** 31, 2 ** 53 - 1, 0.5, 1e300));

/** Tensors whose shapes, types, data and sizes need not agree. */
const tensors: fc.Arbitrary<Hostile> = fc
  .record({
    names: fc.uniqueArray(fc.constantFrom(...Object.keys(record(0)), 'unknown'), { minLength: 1, maxLength: 7 }),
    shape: fc.array(dimension, { maxLength: 4 }),
    datatype,
    data: fc.option(fc.array(anything, { maxLength: 4 }), { nil: undefined }),
    binary: fc.uint8Array({ maxLength: 64 }),
    claimed: fc.oneof(fc.integer({ min: -1, max: 80 }), fc.constantFrom(2 ** 53, 0.5)),
    headerOffset: fc.constantFrom(0, 0, 0, 0, 1, -1, 1000),
    outputs: fc.option(fc.array(fc.record({ name: fc.constantFrom('i64_out', 'nothing'), parameters: anything })), {
      nil: undefined,
    }),
  })
  .map(({ names, shape, datatype, data, binary, claimed, headerOffset, outputs }) => {
    const inputs = names.map((name) => ({
      name,
      shape,
      datatype,
      ...(data === undefined ? { parameters: { binary_data_size: claimed } } : { data }),
    }));
    const json = Buffer.from(JSON.stringify({ inputs, ...(outputs === undefined ? {} : { outputs }) }));
    const length = { 'inference-header-content-length': String(json.length + headerOffset) };
    const headers = { 'content-type': 'application/json', ...(data === undefined ? length : {}) };
    return { path: INFER, body: Buffer.concat([json, binary]), headers };
  });

/** A right request with a few bytes changed, cut off or doubled. */
const mangled: fc.Arbitrary<Hostile> = fc
  .tuple(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.nat(), fc.boolean())
  .map(([changes, cut, isCut]) => {
    const body = Buffer.from(JSON.stringify({ records: [record(1), record(2)] }));
    for (const [at, byte] of changes) body[at % body.length] = byte;
    const part = isCut ? body.subarray(0, cut % body.length) : body;
    return { path: NAMED, body: part, headers: { 'content-type': 'application/json' } };
  });

const garbage: fc.Arbitrary<Hostile> = fc
  .tuple(
    fc.uint8Array({ maxLength: 200 }),
    fc.constantFrom(NAMED, INFER),
    fc.constantFrom('gzip', 'deflate', 'identity', 'toString', '__proto__', undefined),
    fc.constantFrom(undefined, '0', '5', '99999'),
  )
  .map(([bytes, path, coding, length]) => ({
    path,
    body: Buffer.from(bytes),
    headers: {
      'content-type': 'application/json',
      ...(coding === undefined ? {} : { 'content-encoding': coding }),
      ...(length === undefined ? {} : { 'inference-header-content-length': length }),
    },
  }));

function honestAnswer({ status, body }: Answer, ids: readonly number[]): void {
  expect(status).toBe(200);
  const outputs = body.predictions.map((each: { outputs: Record<string, unknown> }) => each.outputs);
  expect(outputs).toEqual(
    ids.map((id) => expect.objectContaining({ i64_out: id, text_out: `row ${id}`, vector_out: [id, 1, 2] })),
  );
}

test('whatever is sent is answered with 2xx or 4xx, and who sends right rows in the same moment gets their own', async () => {
  let next = 1;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(named, tensors, mangled, garbage), { minLength: 1, maxLength: 6 }),
      async (requests) => {
        for (const door of doors) {
          const honest = [1, 2, 3].map(async (rows) => {
            const ids = Array.from({ length: rows }, () => next++);
            honestAnswer(await door.post(NAMED, { records: ids.map(record) }), ids);
          });
          const hostile = requests.map(async ({ path, body, headers }) => {
            const { status, text } = await door.post(path, body, headers);
            expect([status, text.length > 0]).toEqual([
              expect.toSatisfy((s: number) => s < 300 || (s >= 400 && s < 500)),
              true,
            ]);
          });
          await Promise.all([...honest, ...hostile]);
        }
      },
    ),
    { numRuns: RUNS },
  );
});
