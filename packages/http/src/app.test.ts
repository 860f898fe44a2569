import { setImmediate } from 'node:timers/promises';
import { AssayError, ErrorBody, matches } from '@assay/contracts';
import { childTrace, currentTrace } from '@assay/runtime';
import Type from 'typebox';
import { afterEach, describe, expect, test } from 'vitest';
import { renderErrorsUnder } from './app.ts';
import { appUnderTest } from './app-under-test.ts';
import { acceptRawJson } from './body-parsers.ts';
import { readyReport } from './health.ts';
import { passTracesOn } from './trace-calls.ts';

const Flight = Type.Object(
  { origin: Type.String(), distance: Type.Number(), note: Type.Optional(Type.Union([Type.String(), Type.Null()])) },
  { $id: 'Flight', additionalProperties: false },
);
const Flights = Type.Object(
  { records: Type.Array(Flight, { minItems: 1 }) },
  { $id: 'Flights', additionalProperties: false },
);
const Query = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10, default: 5 })),
    all: Type.Optional(Type.Boolean()),
    names: Type.Optional(Type.Array(Type.String())),
    which: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
  },
  { additionalProperties: false },
);

const apps: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

function start(options: Parameters<typeof appUnderTest>[0] = {}) {
  const made = appUnderTest(options);
  apps.push(made.app as { close(): Promise<void> }); // Fastify's close is overloaded; this form is one of them
  const { app } = made;
  app.post('/v1/flights', { schema: { body: Flights } }, async (request) => request.body);
  app.get('/v1/flights', { schema: { querystring: Query } }, async (request) => request.query);
  app.get(
    '/v1/flights/:number',
    { schema: { params: Type.Object({ number: Type.Integer({ minimum: 1 }) }) } },
    async (request) => request.params,
  );
  app.get('/v1/fails', async () => {
    throw new TypeError('secret of the implementation');
  });
  app.get('/v1/overloaded', async () => {
    throw new AssayError('OVERLOADED', 'too much', { retryAfterMs: 1500 });
  });
  return made;
}

async function errorOf(answer: { statusCode: number; headers: Record<string, unknown>; json(): unknown }) {
  expect(answer.headers['content-type']).toBe('application/json');
  const body: unknown = answer.json();
  if (!matches(ErrorBody, body)) throw new Error(`not an error body: ${JSON.stringify(body)}`);
  expect(body.error.requestId).toBe(answer.headers['assay-request-id']);
  return { status: answer.statusCode, ...body.error, places: body.error.details.map(({ place }) => place) };
}

const JSON_HEADERS = { 'content-type': 'application/json' };

describe('a body', () => {
  test('arrives as it was sent', async () => {
    const payload = { records: [{ origin: 'ABQ', distance: 300, note: null }] };
    const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual(payload);
    expect(answer.headers['content-type']).toBe('application/json');
  });

  test.each([
    ['null', { origin: 'A', distance: null }, 'records[0].distance'],
    ['true', { origin: 'A', distance: true }, 'records[0].distance'],
    ['a text', { origin: 'A', distance: '300' }, 'records[0].distance'],
    ['a number for a text', { origin: 1, distance: 300 }, 'records[0].origin'],
    ['an unknown key', { origin: 'A', distance: 300, distence: 1 }, 'records[0].distence'],
    ['a missing key', { origin: 'A' }, 'records[0].distance'],
  ])('is not coerced, completed or cleaned: %s is told with its place', async (_what, record, place) => {
    const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload: { records: [record] } });
    expect(await errorOf(answer)).toMatchObject({ status: 400, code: 'INVALID_ARGUMENT', places: [place] });
  });

  test.each([
    ['{"records":', 'line 1, column 12: expected a value, the body ends there'],
    ['{"records":\n [1,]}', 'line 2, column 5: expected a value, found "]"'],
    ['', 'the body is empty'],
    ['{"records":[],}', 'expected a key in double quotes'],
    ['{"a":NaN}', 'expected a value, found "N"'],
  ])('that is no JSON is told with the position: %j', async (payload, message) => {
    const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload, headers: JSON_HEADERS });
    const error = await errorOf(answer);
    expect(error).toMatchObject({ status: 400, code: 'INVALID_ARGUMENT' });
    expect(error.message).toContain(message);
  });

  test('that is absent is told', async () => {
    const error = await errorOf(await start().app.inject({ method: 'POST', url: '/v1/flights' }));
    expect(error).toMatchObject({ status: 400, places: ['body'] });
    expect(error.message).toContain('Content-Type: application/json');
  });

  test('that is not UTF-8 is refused', async () => {
    const payload = Buffer.from([0x22, 0xff, 0x22]);
    const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload, headers: JSON_HEADERS });
    expect((await errorOf(answer)).message).toContain('UTF-8');
  });

  test('that nests too deeply is refused before it is parsed', async () => {
    for (const depth of [65, 200_000]) {
      const payload = '['.repeat(depth) + ']'.repeat(depth);
      const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload, headers: JSON_HEADERS });
      expect((await errorOf(answer)).message).toContain('nested more than 64 levels deep, at byte 64');
    }
    const text = JSON.stringify({ records: [{ origin: '[{'.repeat(100), distance: 1 }] });
    const answer = await start().app.inject({
      method: 'POST',
      url: '/v1/flights',
      payload: text,
      headers: JSON_HEADERS,
    });
    expect(answer.statusCode).toBe(200);
  });

  test.each([
    '{"records":[{"__proto__":{"admin":true}}]}',
    '{"records":[{"\\u005f_proto__":{"admin":true}}]}',
    '{"records":[{"constructor":{"prototype":{"admin":true}}}]}',
  ])('that could reach a prototype is refused: %s', async (payload) => {
    const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload, headers: JSON_HEADERS });
    const error = await errorOf(answer);
    expect(error.message).toMatch(/^records\[0\]\.(__proto__|constructor): the key .* is not allowed/);
  });

  test('over the limit is refused, with the limit', async () => {
    const { app } = start({ limits: { bodyBytes: 100 } });
    const payload = { records: [{ origin: 'x'.repeat(200), distance: 1 }] };
    const error = await errorOf(await app.inject({ method: 'POST', url: '/v1/flights', payload }));
    expect(error).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
    expect(error.message).toContain('100 bytes');
  });

  test.each(['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'nonsense'])(
    'of type %s is refused, naming what is read',
    async (contentType) => {
      const headers = { 'content-type': contentType };
      const answer = await start().app.inject({ method: 'POST', url: '/v1/flights', payload: '{}', headers });
      const error = await errorOf(answer);
      expect(error).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
      expect(error.message).toContain('application/json');
    },
  );

  test('with a charset is JSON all the same, and an encoded one is refused', async () => {
    const { app } = start();
    const payload = JSON.stringify({ records: [{ origin: 'ABQ', distance: 1 }] });
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    expect((await app.inject({ method: 'POST', url: '/v1/flights', payload, headers })).statusCode).toBe(200);
    const encoded = { ...headers, 'content-encoding': 'gzip' };
    const answer = await app.inject({ method: 'POST', url: '/v1/flights', payload, headers: encoded });
    expect(await errorOf(answer)).toMatchObject({ status: 415, message: expect.stringContaining('"gzip"') });
  });

  test('reaches a scope with a reader of its own as bytes', async () => {
    const { app } = start();
    await app.register(async (scope) => {
      acceptRawJson(scope);
      scope.post('/v1/raw', async (request) => ({ bytes: Buffer.isBuffer(request.body) && request.body.toString() }));
    });
    const answer = await app.inject({ method: 'POST', url: '/v1/raw', payload: '{"a": 1 }', headers: JSON_HEADERS });
    expect(answer.json()).toEqual({ bytes: '{"a": 1 }' });
  });
});

describe('query and path', () => {
  test('are read as the types that the schema names, with its defaults', async () => {
    const { app } = start();
    expect((await app.inject('/v1/flights?all=true&names=a&which=7')).json()).toEqual({
      limit: 5,
      all: true,
      names: ['a'],
      which: 7,
    });
    expect((await app.inject('/v1/flights?limit=3&names=a&names=b&which=x')).json()).toEqual({
      limit: 3,
      names: ['a', 'b'],
      which: 'x',
    });
    expect((await app.inject('/v1/flights/17')).json()).toEqual({ number: 17 });
  });

  test.each([
    ['/v1/flights?limit=three', 'query.limit'],
    ['/v1/flights?limit=3.5', 'query.limit'],
    ['/v1/flights?limit=0x3', 'query.limit'],
    ['/v1/flights?limit=', 'query.limit'],
    ['/v1/flights?limit=11', 'query.limit'],
    ['/v1/flights?limit=1&limit=2', 'query.limit'],
    ['/v1/flights?all=1', 'query.all'],
    ['/v1/flights?limt=1', 'query.limt'],
    ['/v1/flights?__proto__=1', 'query.__proto__'],
    ['/v1/flights/x', 'path.number'],
    ['/v1/flights/0', 'path.number'],
    ['/v1/fails?typo=1', 'query.typo'],
  ])('%s is refused at %s', async (url, place) => {
    expect(await errorOf(await start().app.inject(url))).toMatchObject({ status: 400, places: [place] });
  });
});

describe('a miss', () => {
  test('names the nearest route', async () => {
    const error = await errorOf(await start().app.inject('/v1/fligths/17'));
    expect(error).toMatchObject({ status: 404, code: 'NOT_FOUND' });
    expect(error.message).toBe('there is no route GET /v1/fligths/17; did you mean /v1/flights/17?');
  });

  test('without a near route names the document that lists them', async () => {
    expect((await errorOf(await start().app.inject('/nothing/like/it'))).message).toContain('GET /openapi.json');
  });

  test('by method is 405 with Allow', async () => {
    const { app } = start();
    for (const method of ['DELETE', 'OPTIONS', 'PROPFIND', 'QUERY'] as const) {
      const answer = await app.inject({ method: method as 'DELETE', url: '/v1/flights' }); // inject's type lacks WebDAV
      expect(await errorOf(answer)).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' });
      expect(answer.headers.allow).toBe('GET, HEAD, POST');
    }
  });

  test('by method names the methods of the word, not those of a parameter in its place', async () => {
    const { app } = start();
    app.get('/v1/flights/latest', async () => ({}));
    app.patch('/v1/flights/:id', async () => ({}));
    const allowOf = async (url: string) => (await app.inject({ method: 'OPTIONS', url })).headers.allow;
    expect(await allowOf('/v1/flights/latest')).toBe('GET, HEAD');
    expect(await allowOf('/v1/flights/17')).toContain('PATCH');
  });

  test('by a malformed or endless path is a 400', async () => {
    const { app } = start();
    expect(await errorOf(await app.inject('/v1/flights/%zz'))).toMatchObject({ status: 400 });
    expect(await errorOf(await app.inject(`/v1/flights/${'1'.repeat(600)}`))).toMatchObject({ status: 400 });
  });
});

describe('an error', () => {
  test('that nobody expected gives nothing away, and the log has it under the request id', async () => {
    const { app, lines } = start();
    const answer = await app.inject('/v1/fails');
    const error = await errorOf(answer);
    expect(error).toMatchObject({ status: 500, code: 'INTERNAL', retryable: false });
    expect(answer.body).not.toContain('secret of the implementation');
    const line = lines.find(({ level }) => level === 'error');
    expect(line).toMatchObject({
      requestId: error.requestId,
      err: { cause: { message: 'secret of the implementation' } },
    });
  });

  test('that passes by itself says when to come back', async () => {
    const answer = await start().app.inject('/v1/overloaded');
    expect(await errorOf(answer)).toMatchObject({ status: 503, code: 'OVERLOADED', retryable: true });
    expect(answer.headers['retry-after']).toBe('2');
  });

  test('is logged at most so often', async () => {
    const { app, lines } = start();
    for (let i = 0; i < 100; i++) await app.inject('/v1/overloaded');
    const warnings = lines.filter(({ level }) => level === 'warn').length;
    expect(warnings).toBeGreaterThan(0);
    expect(warnings).toBeLessThan(100);
  });

  test('under an adapter has the form of its protocol, wherever it arises', async () => {
    const { app } = start();
    renderErrorsUnder(app, '/v2', (error) => ({ statusCode: error.kind.httpStatus, body: { error: error.message } }));
    app.post('/v2/infer', { schema: { body: Flights } }, async () => ({}));
    const answers = [
      await app.inject('/v2/nothing'),
      await app.inject({ method: 'POST', url: '/v2/infer', payload: '{', headers: JSON_HEADERS }),
      await app.inject({ method: 'POST', url: '/v2/infer', payload: {} }),
      await app.inject('/v2/%zz'),
      await app.inject('/v2/infer'),
    ];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 400, 400, 400, 405]);
    for (const answer of answers) {
      expect(answer.json()).toEqual({ error: expect.any(String) });
      expect(answer.headers['content-type']).toBe('application/json');
    }
    await errorOf(await app.inject('/v20'));
  });
});

describe('a request id', () => {
  test.each(['assay-request-id', 'x-request-id'])('that is sane is taken over from %s', async (name) => {
    const answer = await start().app.inject({ url: '/livez', headers: { [name]: 'my-id.7' } });
    expect(answer.headers['assay-request-id']).toBe('my-id.7');
    expect(answer.headers[name]).toBe('my-id.7');
  });

  test.each(['', 'has space', 'x'.repeat(129), 'naïve', '"'])('%j is replaced by a new one', async (id) => {
    const answer = await start().app.inject({ url: '/livez', headers: { 'x-request-id': id } });
    expect(answer.headers['assay-request-id']).toMatch(/^req_[0-9a-z]{26}$/);
  });
});

describe('the trace of the caller', () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
  const child = expect.stringMatching(new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));

  test('is there to be passed on with its state, and in the log', async () => {
    const { app, lines } = start({ requestLogRatio: 1 });
    app.get('/v1/trace', async (request) => childTrace(request.traceContext));
    const headers = { traceparent, tracestate: 'a=1,b=2' };
    const answer = await app.inject({ url: '/v1/trace', headers });
    expect(answer.json()).toEqual({ traceparent: child, tracestate: 'a=1,b=2' });
    expect(lines.at(-1)).toMatchObject({ traceId, route: '/v1/trace', statusCode: 200 });
  });

  test('is in the log of what fails', async () => {
    const { app, lines } = start({ requestLogRatio: 0 });
    await app.inject({ url: '/v1/fails', headers: { traceparent } });
    await app.inject({ url: '/v1/fails', headers: { traceparent: 'malformed' } });
    const failures = lines.filter(({ msg }) => msg === 'request failed');
    expect(failures.map((line) => line.traceId)).toEqual([traceId, undefined]);
  });

  test('goes on to the calls of a handler where the service passes traces on, behind a body too', async () => {
    const { app } = start();
    passTracesOn(app);
    app.post('/v1/calls', async ({ body }) => {
      await setImmediate();
      return { body, ...currentTrace() };
    });
    const headers = { traceparent, tracestate: 'a=1' };
    const traced = await app.inject({ method: 'POST', url: '/v1/calls', headers, payload: { x: 1 } });
    expect(traced.json()).toEqual({ body: { x: 1 }, traceparent: child, tracestate: 'a=1' });
    expect((await app.inject({ method: 'POST', url: '/v1/calls', payload: {} })).json()).toEqual({ body: {} });
  });
});

describe('requests are logged', () => {
  test('each at debug', async () => {
    const { app, lines } = start({ level: 'debug', requestLogRatio: 0 });
    await app.inject('/livez');
    expect(lines).toEqual([
      expect.objectContaining({ route: '/livez', requestId: expect.any(String), msg: 'answered' }),
    ]);
  });

  test('in a sample at info', async () => {
    const { app, lines } = start({ requestLogRatio: 0 });
    await app.inject('/livez');
    expect(lines).toEqual([]);
  });
});

describe('an operator', () => {
  test('sees that the process lives', async () => {
    const answer = await start().app.inject('/livez');
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }]);
  });

  test('sees which need is not met', async () => {
    const { app } = start({ ready: () => readyReport({ database: true, snapshot: 'none was received yet' }) });
    const answer = await app.inject('/readyz');
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toEqual({
      ready: false,
      checks: { database: { ready: true }, snapshot: { ready: false, message: 'none was received yet' } },
    });
  });

  test('sees a check that throws as not ready', async () => {
    const { app } = start({ ready: () => Promise.reject(new Error('database is locked')) });
    const answer = await app.inject('/readyz');
    expect([answer.statusCode, answer.json().checks.checks.message]).toEqual([503, 'database is locked']);
  });

  test('sees requests by route pattern, never by path', async () => {
    const { app } = start();
    await app.inject('/v1/flights/17');
    await app.inject('/v1/flights/18');
    for (let i = 0; i < 5; i++) await app.inject(`/nothing/${i}`);
    const answer = await app.inject('/metrics');
    expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
    expect(answer.body).toContain('assay_http_requests_total{route="/v1/flights/:number",method="GET",code="200"} 2');
    expect(answer.body).toContain('assay_http_requests_total{route="unmatched",method="GET",code="404"} 5');
    expect(answer.body).toContain(
      'assay_http_request_duration_seconds_count{route="/v1/flights/:number",method="GET"} 2',
    );
    expect(answer.body).not.toContain('/nothing');
  });
});

describe('a route', () => {
  test('whose body or query says nothing about unknown keys cannot be declared', () => {
    const { app } = start();
    const open = Type.Object({ a: Type.String() });
    expect(() => app.post('/v1/open', { schema: { body: open } }, async () => ({}))).toThrow('additionalProperties');
    expect(() => app.get('/v1/open', { schema: { querystring: open } }, async () => ({}))).toThrow(
      'additionalProperties',
    );
  });

  test('that answers what its schema does not say fails in tests, and is sent whole elsewhere', async () => {
    const Answer = Type.Object({ a: Type.Integer() }, { additionalProperties: false });
    const answers: [number, string][] = [];
    for (const checksResponses of [true, false]) {
      const { app } = start({ checksResponses });
      const wrong: object = { a: 1, b: 2 };
      app.get('/v1/wrong', { schema: { response: { 200: Answer } } }, async () => wrong as { a: number }); // on purpose
      const answer = await app.inject('/v1/wrong');
      answers.push([answer.statusCode, answer.body]);
    }
    expect(answers).toEqual([
      [500, expect.stringContaining('GET /v1/wrong answers what its schema does not say: b: unknown key')],
      [200, '{"a":1,"b":2}'],
    ]);
  });
});
