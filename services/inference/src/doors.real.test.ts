import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveEveryWay } from './every-way-under-test.ts';
import { type InferenceUnderTest, temporaryFolder } from './inference-under-test.ts';
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

describe('named records', () => {
  test('are answered with predictions that name their version', async () => {
    const { status, headers, body } = await inference.post('/v1/endpoints/seven/score', {
      records: [{ x: 1 }, { x: 2 }],
    });
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json');
    expect(body).toMatchObject({ model: 'seven', version: 1, versionId: 'seven:1', routingRevision: 1 });
    expect(body.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(body.predictions).toEqual([
      { id: expect.stringMatching(/^prd_[0-9a-z]{26}-0$/), outputs: { version: 7 } },
      { id: expect.stringMatching(/^prd_[0-9a-z]{26}-1$/), outputs: { version: 7 } },
    ]);
  });

  test('keep every value of every type', async () => {
    const records =
      '[{"i64":9007199254740993,"f64":0.1,"f32":null,"text":"é\\n\\"","flag":false,"at":"2026-01-31T13:00:00.000001+01:00","vector":[1.5,2,-0]},' +
      '{"i64":-9223372036854775808,"f64":1.7976931348623157e308,"text":"","flag":true,"at":"1969-12-31T23:59:59Z","vector":[0.1,2,3]}]';
    const { status, text } = await inference.post('/v1/endpoints/identity/score', `{"records":${records}}`);
    expect(status).toBe(200);
    expect(text).toContain(
      '"outputs":{"i64_out":9007199254740993,"f64_out":0.1,"f32_out":null,"text_out":"é\\n\\"","flag_out":false,"at_out":"2026-01-31T12:00:00.000001Z","vector_out":[1.5,2,',
    );
    expect(text).toContain('"i64_out":-9223372036854775808,"f64_out":1.7976931348623157e+308,"f32_out":null');
  });

  test('are refused all together, each bad place named', async () => {
    const records = [RECORD, { ...RECORD, f64: '300', flag: 1 }, { ...RECORD, i64: null }, { ...RECORD, speed: 1 }];
    const { status, body } = await inference.post('/v1/endpoints/identity/score', { records });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 'INVALID_ARGUMENT', retryable: false });
    expect(body.error.details.map((detail: { place: string }) => detail.place)).toEqual([
      'records[1].f64',
      'records[1].flag',
      'records[2].i64',
      'records[3].speed',
    ]);
  });

  test.each([
    ['an empty body', '', 400],
    ['no JSON', '{"records":[', 400],
    ['another value', '[]', 400],
    ['no records', '{}', 400],
    ['an empty list', '{"records":[]}', 400],
    ['an unknown key', '{"records":[{"x":1}],"modle":1}', 400],
    ['records that are none', '{"records":[1,null,[]]}', 400],
    ['a missing feature', '{"records":[{}]}', 400],
    ['NaN', '{"records":[{"x":NaN}]}', 400],
    ['true for a number', '{"records":[{"x":true}]}', 400],
    ['a number beyond float32', '{"records":[{"x":1e39}]}', 400],
    ['a prototype', '{"records":[{"x":1,"__proto__":{"x":2}}]}', 400],
    ['deep nesting', `{"records":[${'['.repeat(200_000)}${']'.repeat(200_000)}]}`, 400],
    ['too many records', JSON.stringify({ records: Array.from({ length: 5000 }, () => ({ x: 1 })) }), 413],
    ['a body over the limit', `{"records":[{"x":1}${' '.repeat(17 * 1024 * 1024)}]}`, 413],
  ])('%s is refused', async (_what, body, status) => {
    const answer = await inference.post('/v1/endpoints/seven/score', body);
    expect([answer.status, answer.body.error.details]).toEqual([status, expect.any(Array)]);
  });

  test('what is not UTF-8 is refused, not replaced', async () => {
    const body = Buffer.from(JSON.stringify({ records: [RECORD] }).replace('"a"', '"?"'));
    body[body.indexOf('?')] = 0xff;
    expect((await inference.post('/v1/endpoints/identity/score', body)).status).toBe(400);
  });

  test('other content types and encodings are refused', async () => {
    for (const headers of [{ 'content-type': 'text/plain' }, { 'content-encoding': 'br' }] as Record<
      string,
      string
    >[]) {
      const answer = await inference.post('/v1/endpoints/seven/score', { records: [{ x: 1 }] }, headers);
      expect([answer.status, answer.body.error.code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    }
  });

  test('an unknown endpoint is not found, with the nearest name', async () => {
    const { status, body } = await inference.post('/v1/endpoints/sevn/score', { records: [{ x: 1 }] });
    expect([status, body.error.message]).toEqual([404, 'there is no endpoint "sevn"; did you mean "seven"?']);
  });

  test('a deadline and a routing key that make no sense are refused', async () => {
    const send = (headers: Record<string, string>) =>
      inference.post('/v1/endpoints/seven/score', { records: [{ x: 1 }] }, headers);
    expect((await send({ 'assay-timeout-ms': '1000', 'assay-routing-key': 'k' })).status).toBe(200);
    for (const timeout of ['0', '-1', '1.5', 'soon', '1e3', '600001']) {
      expect((await send({ 'assay-timeout-ms': timeout })).status).toBe(400);
    }
    expect((await send({ 'assay-routing-key': 'k'.repeat(2000) })).status).toBe(400);
  });
});

describe('what describes an endpoint', () => {
  test('lists the endpoints with their variants', async () => {
    const { body } = await inference.get('/v1/endpoints');
    expect(body.items.map((item: { name: string }) => item.name)).toEqual(['identity', 'seven']);
    expect(body.items[1]).toMatchObject({
      revision: 1,
      wantedRevision: 1,
      variants: [{ versionId: 'seven:1', weight: 10_000, live: true, scorer: { batchInvariant: true } }],
    });
    expect((await inference.get('/v1/endpoints/seven')).body.contract.outputs[0].name).toBe('version');
    expect((await inference.get('/v1/endpoints/eight')).status).toBe(404);
  });

  test('gives the JSON Schema of a request', async () => {
    const { status, body } = await inference.get('/v1/endpoints/seven/signature');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      type: 'object',
      required: ['records'],
      properties: { records: { items: { additionalProperties: false, required: ['x'] } } },
      $defs: { record: { properties: { x: { type: 'number' } } } },
    });
  });

  test('says that it is ready, and lists its routes', async () => {
    expect((await inference.get('/readyz')).body).toEqual({
      ready: true,
      checks: { routing: { ready: true }, endpoints: { ready: true } },
    });
    expect(Object.keys((await inference.get('/openapi.json')).body.paths)).toEqual(
      expect.arrayContaining(['/v1/endpoints/{name}/score', '/v2/models/{model}/versions/{version}/infer']),
    );
  });

  test('measures by endpoint, version and outcome', async () => {
    await inference.post('/v1/endpoints/seven/score', { records: [{ x: 1 }, { x: 1 }] });
    await inference.post('/v1/endpoints/seven/score', { records: [{ x: 'no' }] });
    await inference.post('/v1/endpoints/nobody/score', { records: [{ x: 1 }] });
    const { text } = await inference.get('/metrics');
    for (const line of [
      /assay_inference_requests_total\{endpoint="seven",model="seven",version="1",code="OK"\} [1-9]/,
      /assay_inference_requests_total\{endpoint="seven",model="seven",version="1",code="INVALID_ARGUMENT"\} [1-9]/,
      /assay_inference_requests_total\{endpoint="",model="",version="",code="NOT_FOUND"\} [1-9]/,
      /assay_inference_request_seconds_count\{door="rest",endpoint="seven",model="seven",version="1"\} [1-9]/,
      /assay_inference_batch_rows_bucket\{endpoint="seven",model="seven",version="1",le="2"\} [1-9]/,
      /assay_inference_loaded_versions 2/,
      /assay_inference_routing_revision 1/,
    ]) {
      expect(text).toMatch(line);
    }
  });
});

describe('the Open Inference Protocol', () => {
  const input = { name: 'x', datatype: 'FP32', shape: [2, 1], data: [1, 2] };

  test('answers as clients read it', async () => {
    const { status, headers, body } = await inference.post('/v2/models/seven/infer', { id: '42', inputs: [input] });
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(body).toEqual({
      model_name: 'seven',
      model_version: '1',
      id: '42',
      outputs: [{ name: 'version', datatype: 'INT64', shape: [2, 1], data: [7, 7] }],
    });
    expect('id' in (await inference.post('/v2/models/seven/infer', { inputs: [input] })).body).toBe(false);
    expect((await inference.post('/v2/models/seven/versions/1/infer', { inputs: [input] })).status).toBe(200);
  });

  test('keeps every value of every type, flat and nested', async () => {
    const inputs =
      '[{"name":"i64","datatype":"INT64","shape":[2,1],"data":[[9007199254740993],[-9223372036854775808]]},' +
      '{"name":"f64","datatype":"FP64","shape":[2],"data":[0.1,null]},' +
      '{"name":"text","datatype":"BYTES","shape":[2,1],"data":["é",""]},' +
      '{"name":"flag","datatype":"BOOL","shape":[2,1],"data":[true,false]},' +
      '{"name":"at","datatype":"INT64","shape":[2,1],"data":[1769860800000001,-1]},' +
      '{"name":"vector","datatype":"FP32","shape":[2,3],"data":[[0.1,2,3],[4,5,6]]}]';
    const { status, text } = await inference.post('/v2/models/identity/infer', `{"inputs":${inputs}}`);
    expect(status).toBe(200);
    const float = Math.fround(0.1);
    for (const part of [
      '{"name":"i64_out","datatype":"INT64","shape":[2,1],"data":[9007199254740993,-9223372036854775808]}',
      '{"name":"f64_out","datatype":"FP64","shape":[2,1],"data":[0.1,null]}',
      '{"name":"f32_out","datatype":"FP32","shape":[2,1],"data":[null,null]}',
      '{"name":"text_out","datatype":"BYTES","shape":[2,1],"data":["é",""]}',
      '{"name":"flag_out","datatype":"BOOL","shape":[2,1],"data":[true,false]}',
      '{"name":"at_out","datatype":"INT64","shape":[2,1],"data":[1769860800000001,-1]}',
      `{"name":"vector_out","datatype":"FP32","shape":[2,3],"data":[${float},2,3,4,5,6]}`,
    ]) {
      expect(text).toContain(part);
    }
  });

  test('gives the outputs that are asked for, in their order', async () => {
    const named = { i64: 'INT64', text: 'BYTES', flag: 'BOOL', at: 'INT64' } as const;
    const values = { i64: 1, text: 'a', flag: true, at: 0 };
    const inputs = [
      ...Object.entries(named).map(([name, datatype]) => ({
        name,
        datatype,
        shape: [1],
        data: [values[name as keyof typeof values]], // the keys of both are the same
      })),
      { name: 'vector', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] },
    ];
    const outputs = [{ name: 'text_out' }, { name: 'i64_out' }];
    const { body } = await inference.post('/v2/models/identity/infer', { inputs, outputs });
    expect(body.outputs.map((output: { name: string }) => output.name)).toEqual(['text_out', 'i64_out']);
  });

  test.each([
    ['a body that is no JSON', '{', 400],
    ['an unknown output', { inputs: [input], outputs: [{ name: 'y' }] }, 400],
    ['a shape that overflows', { inputs: [{ ...input, shape: [2 ** 63, 30] }] }, 400],
    ['too many rows', { inputs: [{ ...input, shape: [1_000_000, 1] }] }, 413],
    ['inputs of unlike rows', { inputs: [{ ...input, shape: [3, 1] }] }, 400],
    ['a string for a number', { inputs: [{ ...input, data: ['1', '2'] }] }, 400],
    ['another datatype', { inputs: [{ ...input, datatype: 'FP64' }] }, 400],
    ['300 as UINT8', { inputs: [{ ...input, datatype: 'UINT8', data: [1, 300] }] }, 400],
    ['null for a value that must be there', { inputs: [{ ...input, data: [1, null] }] }, 400],
  ])('%s is refused in its own form', async (_what, body, status) => {
    const answer = await inference.post('/v2/models/seven/infer', body);
    expect([answer.status, answer.headers.get('content-type'), answer.body]).toEqual([
      status,
      'application/json',
      { error: expect.any(String) },
    ]);
  });

  test('takes JSON without a content type, and says what it does not speak', async () => {
    const text = await inference.post('/v2/models/seven/infer', 'x', { 'content-type': 'text/plain' });
    expect([text.status, text.body.error]).toEqual([415, expect.stringContaining('Inference-Header-Content-Length')]);
    const url = `${inference.url}/v2/models/seven/infer`;
    const untyped = await fetch(url, { method: 'POST', body: Buffer.from(JSON.stringify({ inputs: [input] })) });
    expect(untyped.headers.get('content-type')).toBe('application/json');
    expect(untyped.status).toBe(200);
  });

  test('tells about the server and its models', async () => {
    expect((await inference.get('/v2')).body).toEqual({
      name: 'assay',
      version: expect.any(String),
      extensions: ['binary_tensor_data', 'classification', 'model_configuration', 'model_repository', 'statistics'],
    });
    expect((await inference.get('/v2/health/live')).text).toBe('{"live":true}');
    expect((await inference.get('/v2/health/ready')).text).toBe('{"ready":true}');
    expect((await inference.get('/v2/models')).body).toEqual({ models: ['identity', 'seven'] });
    expect((await inference.get('/v2/models/seven/ready')).body).toEqual({ name: 'seven', ready: true });
    expect((await inference.get('/v2/models/seven/versions/1')).body).toEqual({
      name: 'seven',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }],
      outputs: [{ name: 'version', datatype: 'INT64', shape: [-1, 1] }],
    });
    for (const path of ['/v2/models/eight', '/v2/models/eight/ready', '/v2/models/seven/versions/2', '/v2/nowhere']) {
      const { status, body } = await inference.get(path);
      expect([path, status, body]).toEqual([path, 404, { error: expect.any(String) }]);
    }
  });
});
