import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { serveEveryWay } from './every-way-under-test.ts';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';

const resources = new AsyncDisposableStack();
let inference: InferenceUnderTest;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const [identity, version] = [await identityModel(dir), await versionModel(dir, 7)];
  inference = resources.use(
    await serveEveryWay(dir, [
      { name: 'identity', path: identity.dir },
      { name: 'seven', path: version.dir },
    ]),
  );
});
afterAll(() => resources.disposeAsync());

const RECORD = { i64: 1, f64: 0.1, f32: 0.5, text: 'a', flag: true, at: '2026-01-31T12:00:00Z', vector: [1, 2, 3] };
const INPUTS = [
  { name: 'i64', datatype: 'INT64', shape: [1, 1], data: [1] },
  { name: 'f64', datatype: 'FP64', shape: [1], data: [0.1] },
  { name: 'f32', datatype: 'FP32', shape: [1, 1], data: [0.5] },
  { name: 'text', datatype: 'BYTES', shape: [1, 1], data: ['a'] },
  { name: 'flag', datatype: 'BOOL', shape: [1, 1], data: [true] },
  { name: 'at', datatype: 'INT64', shape: [1, 1], data: [1] },
  { name: 'vector', datatype: 'FP32', shape: [1, 3], data: [[1, 2, 3]] },
];
const DOORS = [
  { path: '/v1/endpoints/identity/score', valid: { records: [RECORD] } },
  { path: '/v2/models/identity/infer', valid: { id: 'x', inputs: INPUTS, outputs: [{ name: 'i64_out' }] } },
];

/** What a careless or hostile caller may put anywhere. */
const nasty = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    null,
    '',
    '300',
    'NaN',
    -0,
    1e308,
    -1e300,
    2 ** 53,
    2 ** 63,
    0.1,
    true,
    [],
    {},
    [[]],
    '\u0000',
    '\ud800',
    '__proto__',
    'constructor',
  ),
  fc.integer(),
  fc.double(),
  fc.array(fc.integer(), { maxLength: 5 }),
);

/** `value` with something else in one of its places, or with a key too many or too few. */
function mutated(value: unknown): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.nat(), nasty, fc.constantFrom('replace', 'remove', 'add'), fc.string({ maxLength: 8 }))
    .map(([pick, replacement, how, key]) => {
      const copy: unknown = structuredClone(value);
      const places: { holder: Record<string, unknown>; key: string }[] = [];
      const visit = (holder: unknown) => {
        if (typeof holder !== 'object' || holder === null) return;
        for (const key of Object.keys(holder)) {
          places.push({ holder: holder as Record<string, unknown>, key }); // an object or a list, by its keys
          visit((holder as Record<string, unknown>)[key]);
        }
      };
      visit(copy);
      const place = places[pick % places.length];
      if (place === undefined) return copy;
      if (how === 'remove') delete place.holder[place.key];
      else if (how === 'add' && !Array.isArray(place.holder))
        Object.defineProperty(place.holder, key, { value: replacement, enumerable: true, configurable: true });
      else place.holder[place.key] = replacement;
      return copy;
    });
}

/** `text` with a few of its bytes changed, added or cut off. */
function damaged(text: string): fc.Arbitrary<Uint8Array> {
  return fc
    .array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom(0, 1, 2)), { minLength: 1, maxLength: 4 })
    .map((edits) => {
      let bytes = Buffer.from(text);
      for (const [at, byte, how] of edits) {
        const i = at % (bytes.length + 1);
        if (how === 0 && i < bytes.length) bytes[i] = byte;
        else if (how === 1) bytes = Buffer.concat([bytes.subarray(0, i), Buffer.from([byte]), bytes.subarray(i)]);
        else bytes = bytes.subarray(0, i);
      }
      return bytes;
    });
}

describe.each(DOORS)('$path', ({ path, valid }) => {
  const isAnswered = async (body: unknown) => {
    const { status, text, body: answer } = await inference.post(path, body);
    expect(answer, text.slice(0, 200)).toBeTypeOf('object');
    expect(status === 200 || (status >= 400 && status < 500), `${status} ${text.slice(0, 500)}`).toBe(true);
    return status;
  };

  test('answers a valid body', async () => {
    expect(await isAnswered(valid)).toBe(200);
  });

  test('answers a body with something wrong in it with 2xx or 4xx, never otherwise', async () => {
    const seen = new Set<number>();
    const body = mutated(valid).chain((once) => fc.oneof(fc.constant(once), mutated(once)));
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        seen.add(await isAnswered(value === undefined ? 'undefined' : JSON.stringify(value)));
      }),
      { numRuns: 600 },
    );
    expect(seen.has(400)).toBe(true);
  });

  test('answers bytes that are hardly JSON with 2xx or 4xx, never otherwise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged(JSON.stringify(valid)), fc.uint8Array({ maxLength: 50 })), async (bytes) => {
        await isAnswered(bytes);
      }),
      { numRuns: 600 },
    );
  });

  test.each([
    ['nested lists', '['.repeat(300_000)],
    ['nested objects', '{"a":'.repeat(300_000)],
    [
      'closed nested lists as data',
      `{"inputs":[{"name":"f64","datatype":"FP64","shape":[1],"data":${'['.repeat(200_000)}1${']'.repeat(200_000)}}]}`,
    ],
    [
      'nested lists with long integers, which are read another way',
      `{"records":[12345678901234567890,${'['.repeat(200_000)}${']'.repeat(200_000)}]}`,
    ],
    ['a long list', `{"records":[${'1,'.repeat(1_000_000)}1]}`],
    ['many keys', `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join()}}`],
    ['a long number', `{"records":[{"i64":${'9'.repeat(1_000_000)}}]}`],
  ])('refuses %s', async (_what, body) => {
    expect(await isAnswered(body)).toBeGreaterThanOrEqual(400);
  });
});

test('hundreds of requests at once each get their own rows back, also beside poisoned ones', async () => {
  const outputs = { i64_out: 0, f64_out: 0, text_out: '' };
  const score = async (request: number) => {
    const rows = (request % 7) + 1;
    const ids = Array.from({ length: rows }, (_, row) => request * 100 + row);
    const isPoisoned = request % 5 === 0;
    const records = ids.map((id) => ({ ...RECORD, i64: id, f64: id / 3, text: `row ${id}` }));
    if (isPoisoned) Object.assign(records[rows - 1] ?? {}, { flag: 'maybe' });
    if (request % 2 === 0) {
      const { status, body } = await inference.post('/v1/endpoints/identity/score', { records });
      if (isPoisoned) return expect(status).toBe(400);
      return expect(body.predictions.map((p: { outputs: typeof outputs }) => p.outputs)).toEqual(
        records.map((r) => expect.objectContaining({ i64_out: r.i64, f64_out: r.f64, text_out: r.text })),
      );
    }
    const column = (name: keyof typeof RECORD, datatype: string, width = 1) => ({
      name,
      datatype,
      shape: [rows, width],
      data: records.flatMap((record) => record[name]),
    });
    const { status, body } = await inference.post('/v2/models/identity/infer', {
      inputs: [
        column('i64', 'INT64'),
        column('f64', 'FP64'),
        column('text', 'BYTES'),
        column('flag', 'BOOL'),
        { ...column('i64', 'INT64'), name: 'at' },
        column('vector', 'FP32', 3),
      ],
      outputs: [{ name: 'text_out' }, { name: 'i64_out' }, { name: 'f64_out' }],
    });
    if (isPoisoned) return expect(status).toBe(400);
    return expect(body.outputs.map((output: { data: unknown }) => output.data)).toEqual([
      records.map((record) => record.text),
      records.map((record) => record.i64),
      records.map((record) => record.f64),
    ]);
  };
  await Promise.all(Array.from({ length: 600 }, (_, request) => score(request)));
});

test('a caller that goes away in the middle of its body leaves nothing behind', async () => {
  const { host, hostname, port } = new URL(inference.url);
  const sockets = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write(
        `POST /v1/endpoints/seven/score HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"rec`,
      );
      return socket;
    }),
  );
  for (const socket of sockets) socket.destroy();
  await vi.waitFor(async () => {
    const inFlight = /assay_http_requests_in_flight (\d+)\n/.exec((await inference.get('/metrics')).text)?.[1];
    expect(Number(inFlight), 'none but the scrape itself').toBeLessThanOrEqual(1);
  });
  expect((await inference.post('/v1/endpoints/seven/score', { records: [{ x: 1 }] })).status).toBe(200);
});

test.each([true, false])('a body that does not come whole in time is refused, with lane: %s', async (lane) => {
  await using folder = await temporaryFolder();
  const { dir: path } = await versionModel(folder.path, 7);
  await using impatient = await serveStatic(folder.path, [{ name: 'seven', path }], { lane, requestTimeoutMs: 300 });
  const { host, hostname, port } = new URL(impatient.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /v1/endpoints/seven/score HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"rec`,
  );
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(answer).toContain('"code":"REQUEST_TIMEOUT"');
});
