import { deflateSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveEveryWay } from './every-way-under-test.ts';
import { type Answer, type InferenceUnderTest, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';

const resources = new AsyncDisposableStack();
let inference: InferenceUnderTest;

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  const [identity, version] = [await identityModel(dir), await versionModel(dir, 7)];
  const models = [
    { name: 'identity', path: identity.dir },
    { name: 'seven', path: version.dir },
  ];
  inference = resources.use(await serveEveryWay(dir, models, { bodyLimitBytes: 100_000 }));
});
afterAll(() => resources.disposeAsync());

const bytesOf = (data: ArrayBufferView): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

function texts(...values: readonly string[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(value));
      return [length, Buffer.from(value)];
    }),
  );
}

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

/** Two rows of the identity model. */
const TENSORS: readonly Tensor[] = [
  { name: 'i64', datatype: 'INT64', shape: [2], bytes: bytesOf(new BigInt64Array([9007199254740993n, -(2n ** 63n)])) },
  { name: 'f64', datatype: 'FP64', shape: [2, 1], bytes: bytesOf(new Float64Array([0.1, Number.NaN])) },
  { name: 'f32', datatype: 'FP32', shape: [2], bytes: bytesOf(new Float32Array([0.1, -0])) },
  { name: 'text', datatype: 'BYTES', shape: [2], bytes: texts('é', '') },
  { name: 'flag', datatype: 'BOOL', shape: [2], bytes: Buffer.from([1, 0]) },
  { name: 'at', datatype: 'INT64', shape: [2], bytes: bytesOf(new BigInt64Array([1_769_860_800_000_001n, -1n])) },
  { name: 'vector', datatype: 'FP32', shape: [2, 3], bytes: bytesOf(new Float32Array([1, 2, 3, 4, 5, 6])) },
];

const describeInput = ({ bytes, ...input }: Tensor) => ({ ...input, parameters: { binary_data_size: bytes.length } });

/** A request whose tensors are bytes. */
function requestOf(tensors: readonly Tensor[], more: object = {}): { body: Buffer; headers: Record<string, string> } {
  const json = Buffer.from(JSON.stringify({ inputs: tensors.map(describeInput), ...more }));
  return {
    body: Buffer.concat([json, ...tensors.map(({ bytes }) => bytes)]),
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(json.length) },
  };
}

async function infer(model: string, tensors: readonly Tensor[], more: object = {}): Promise<Answer> {
  const { body, headers } = requestOf(tensors, more);
  return inference.post(`/v2/models/${model}/infer`, body, headers);
}

/** The outputs of an answer with bytes: each with its own. */
function outputsOf({ headers, bytes }: Answer) {
  const length = Number(headers.get('inference-header-content-length'));
  let at = length;
  const { outputs } = JSON.parse(bytes.toString('utf8', 0, length));
  const read = outputs.map(({ parameters, ...output }: { parameters?: { binary_data_size: number } }) => {
    if (parameters === undefined) return output;
    at += parameters.binary_data_size;
    return { ...output, bytes: bytes.subarray(at - parameters.binary_data_size, at) };
  });
  expect(at).toBe(bytes.length);
  return read;
}

describe('binary tensors', () => {
  test('of every type go through unchanged, bit for bit', async () => {
    const answer = await infer('identity', TENSORS, { id: 'r', parameters: { binary_data_output: true } });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    expect(outputsOf(answer)).toEqual(
      TENSORS.map(({ name, datatype, bytes, shape }) => ({
        name: `${name}_out`,
        datatype,
        shape: [2, shape[1] ?? 1],
        bytes,
      })),
    );
  });

  test('and JSON may be mixed in a request, and in an answer', async () => {
    const { bytes: _bytes, ...f64 } = TENSORS[1] as Tensor;
    const json = Buffer.from(
      JSON.stringify({
        inputs: TENSORS.map((tensor) =>
          tensor.name === 'f64' ? { ...f64, data: [0.1, null] } : describeInput(tensor),
        ),
        outputs: [{ name: 'text_out' }, { name: 'f32_out', parameters: { binary_data: true } }],
      }),
    );
    const body = Buffer.concat([json, ...TENSORS.filter(({ name }) => name !== 'f64').map(({ bytes }) => bytes)]);
    const headers = { 'inference-header-content-length': String(json.length) };
    const answer = await inference.post('/v2/models/identity/infer', body, headers);
    expect(outputsOf(answer)).toEqual([
      { name: 'text_out', datatype: 'BYTES', shape: [2, 1], data: ['é', ''] },
      { name: 'f32_out', datatype: 'FP32', shape: [2, 1], bytes: TENSORS[2]?.bytes },
    ]);
  });

  test('are asked for in a request of JSON alone', async () => {
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }];
    const answer = await inference.post('/v2/models/seven/infer', { inputs, parameters: { binary_data_output: true } });
    expect(outputsOf(answer)[0].bytes).toEqual(bytesOf(new BigInt64Array([7n, 7n])));
  });

  test('are the whole request where the header says that there is no JSON', async () => {
    const headers = { 'inference-header-content-length': '0', 'content-type': 'application/octet-stream' };
    const body = bytesOf(new Float32Array([1, 2, 3]));
    const answer = await inference.post('/v2/models/seven/infer', body, headers);
    expect(outputsOf(answer)[0]).toMatchObject({ shape: [3, 1], bytes: bytesOf(new BigInt64Array([7n, 7n, 7n])) });
    const odd = await inference.post('/v2/models/seven/infer', body.subarray(1), headers);
    expect([odd.status, odd.body.error]).toEqual([
      400,
      expect.stringContaining('has 11 bytes; a row of input "x" has 4'),
    ]);
    const many = await inference.post('/v2/models/identity/infer', body, headers);
    expect([many.status, many.body.error]).toEqual([400, expect.stringContaining('only a model of one input')]);
  });

  test.each([
    ['FP16', bytesOf(new Float16Array([0.5, -2])), [0.5, -2]],
    ['INT8', bytesOf(new Int8Array([-128, 127])), [-128, 127]],
    ['UINT16', bytesOf(new Uint16Array([0, 65_535])), [0, 65_535]],
  ])('may be narrower than the feature: %s', async (datatype, bytes, values) => {
    const tensors = TENSORS.map((tensor) => (tensor.name === 'f32' ? { ...tensor, datatype, bytes } : tensor));
    const { status, body } = await infer('identity', tensors, { outputs: [{ name: 'f32_out' }] });
    expect([status, body.outputs[0].data]).toEqual([200, values]);
  });

  const replaced = (name: string, change: Partial<Tensor>): Tensor[] =>
    TENSORS.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));

  test.each([
    [
      'too few bytes',
      replaced('f64', { bytes: Buffer.alloc(8) }),
      /inputs\[1\]: has 8 bytes; 2 elements of FP64 have 16/,
    ],
    ['a shape that overflows', replaced('vector', { shape: [2 ** 53 - 1, 3] }), /rows; one request may have 4096/],
    ['a byte that is no BOOL', replaced('flag', { bytes: Buffer.from([1, 2]) }), /the byte 2 for element 1/],
    ['text that is not UTF-8', replaced('text', { bytes: Buffer.from('01000000ff00000000', 'hex') }), /not UTF-8/],
    ['text that ends early', replaced('text', { bytes: Buffer.from('ffffffff', 'hex') }), /ends within element 0/],
    ['an element too many', replaced('text', { bytes: texts('a', 'b', 'c') }), /has more than 2 elements/],
    [
      'an infinite number',
      replaced('f32', { bytes: bytesOf(new Float32Array([1, Infinity])) }),
      /inputs\[2\]\.data\[1\]/,
    ],
    ['a number too wide', replaced('f32', { datatype: 'FP64', bytes: Buffer.alloc(16) }), /"FP64" is not taken/],
  ])('are refused with the place: %s', async (_what, tensors, message) => {
    const { status, body } = await infer('identity', tensors);
    expect([status === 400 || status === 413, body.error]).toEqual([true, expect.stringMatching(message)]);
  });

  test('are refused where the bytes and what is said of them do not agree', async () => {
    const { body, headers } = requestOf(TENSORS);
    const post = async (bytes: Buffer, length: string | undefined) => {
      const given = {
        'content-type': 'application/json',
        ...(length === undefined ? {} : { 'inference-header-content-length': length }),
      };
      const answer = await inference.post('/v2/models/identity/infer', bytes, given);
      return [answer.status, answer.body.error];
    };
    const length = headers['inference-header-content-length'] ?? '';
    const more = await post(Buffer.concat([body, Buffer.from([0])]), length);
    expect(more).toEqual([400, expect.stringContaining('has 1 bytes behind the JSON that are no input')]);
    const fewer = await post(body.subarray(0, -1), length);
    expect(fewer).toEqual([400, expect.stringContaining('24 is no number of the 23 bytes that are left')]);
    for (const wrong of ['-1', '1e1', String(body.length + 1), '']) {
      expect(await post(body, wrong)).toEqual([400, expect.stringContaining('no length of the JSON')]);
    }
    const json = body.subarray(0, Number(length));
    expect(await post(json, undefined)).toEqual([400, expect.stringContaining('does not say where')]);
    const fp16 = { inputs: [{ name: 'x', datatype: 'FP16', shape: [1], data: [1] }] };
    const inJson = await inference.post('/v2/models/seven/infer', fp16);
    expect([inJson.status, inJson.body.error]).toEqual([400, expect.stringContaining('FP16 has no form in JSON')]);
  });
});

describe('the classification extension', () => {
  test('gives the classes of highest value, as text or bytes', async () => {
    const outputs = (binary: boolean) => [
      { name: 'vector_out', parameters: { classification: 2, binary_data: binary } },
    ];
    const expected = ['3.000000:2', '2.000000:1', '6.000000:2', '5.000000:1'];
    const { body } = await infer('identity', TENSORS, { outputs: outputs(false) });
    expect(body.outputs).toEqual([{ name: 'vector_out', datatype: 'BYTES', shape: [2, 2], data: expected }]);
    const answer = await infer('identity', TENSORS, { outputs: outputs(true) });
    expect(outputsOf(answer)[0].bytes).toEqual(texts(...expected));
  });

  test('says where there are no classes', async () => {
    for (const [name, count, message] of [
      ['text_out', 1, /output "text_out" is string/],
      ['vector_out', 1.5, /1\.5 is no number of classes/],
    ] as const) {
      const { status, body } = await infer('identity', TENSORS, {
        outputs: [{ name, parameters: { classification: count } }],
      });
      expect([status, body.error]).toEqual([400, expect.stringMatching(message)]);
    }
  });
});

describe('compressed bodies', () => {
  const record = JSON.stringify({ records: [{ x: 1 }] });

  test('are read, by every door, binary tensors too', async () => {
    for (const [coding, encode] of [
      ['gzip', gzipSync],
      ['deflate', deflateSync],
    ] as const) {
      const named = await inference.post('/v1/endpoints/seven/score', encode(record), { 'content-encoding': coding });
      expect([named.status, named.body.predictions?.[0].outputs.version]).toEqual([200, 7]);
      const { body, headers } = requestOf(TENSORS, { outputs: [{ name: 'i64_out' }] });
      const answer = await inference.post('/v2/models/identity/infer', encode(body), {
        ...headers,
        'content-encoding': coding,
      });
      expect([answer.status, answer.text]).toEqual([
        200,
        expect.stringContaining('[9007199254740993,-9223372036854775808]'),
      ]);
    }
  });

  test('are refused when they are not what they say, are of another coding, or unfold to too much', async () => {
    const post = async (body: Buffer, coding: string) => {
      const { status } = await inference.post('/v1/endpoints/seven/score', body, { 'content-encoding': coding });
      return status;
    };
    expect(await post(Buffer.from(record), 'gzip')).toBe(400);
    expect(await post(gzipSync(record).subarray(0, 20), 'gzip')).toBe(400);
    for (const coding of ['br', 'constructor', 'toString', '__proto__', 'gzip, gzip']) {
      expect(await post(gzipSync(record), coding)).toBe(415);
    }
    expect(await post(gzipSync(record), 'GZIP')).toBe(200);
    expect(await post(gzipSync(Buffer.alloc(10_000_000, 32)), 'gzip')).toBe(413);
  });

  test('answer those who take them, when there is enough to compress', async () => {
    const { host, hostname, port } = new URL(inference.url);
    const { request } = await import('node:http');
    const ask = (rows: number, accepted: string) =>
      new Promise<{ coding: string | undefined; body: Buffer }>((resolve, reject) => {
        const body = JSON.stringify({ records: Array.from({ length: rows }, () => ({ x: 1 })) });
        const headers = { host, 'content-type': 'application/json', 'accept-encoding': accepted };
        const call = request({ hostname, port, path: '/v1/endpoints/seven/score', method: 'POST', headers });
        call.on('response', async (response) => {
          const parts: Buffer[] = [];
          for await (const part of response) parts.push(part);
          resolve({ coding: response.headers['content-encoding'], body: Buffer.concat(parts) });
        });
        call.on('error', reject);
        call.end(body);
      });
    expect((await ask(1, 'gzip')).coding).toBeUndefined();
    const long = await ask(300, 'br, gzip;q=0.5');
    expect([long.coding, JSON.parse(gunzipSync(long.body).toString()).predictions.length]).toEqual(['gzip', 300]);
    for (const accepted of ['gzip;q=0, identity', '__proto__', 'constructor, toString']) {
      expect((await ask(300, accepted)).coding).toBeUndefined();
    }
  });
});
