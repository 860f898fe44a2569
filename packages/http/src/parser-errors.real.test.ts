import { ErrorBody, matches } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { App } from './app.ts';
import { appUnderTest, connectRaw, lastAnswer } from './app-under-test.ts';
import type { HttpLimits } from './limits.ts';
import { listen } from './listen.ts';

const apps: App[] = [];
let url: string;
beforeEach(async () => {
  url = await start({ headerBytes: 2048, bodyBytes: 1000 });
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

async function start(limits: Partial<HttpLimits>): Promise<string> {
  const { app } = appUnderTest({ limits });
  apps.push(app);
  app.post('/v1/echo', async (request) => request.body);
  return listen(app, { host: '127.0.0.1', port: 0 });
}

/** What the server answers to these bytes before it closes; always one whole error in Assay's form. */
async function refusalOf(...pieces: string[]) {
  const connection = await connectRaw(url);
  for (const piece of pieces) connection.write(piece);
  const { status, headers, body } = lastAnswer(await connection.closed);
  expect(headers['content-type']).toBe('application/json');
  if (!matches(ErrorBody, body)) throw new Error(`not an error body: ${JSON.stringify(body)}`);
  expect(headers['assay-request-id']).toBe(body.error.requestId);
  return { status, code: body.error.code, message: body.error.message, headers };
}

const HEAD = 'POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

describe('what is no HTTP is answered in the one form and its connection ends', () => {
  test.each([
    ['nonsense', 'hello\r\n\r\n'],
    ['an unknown method', 'BREW /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a bad version', 'GET /livez HTTP/9.9\r\nHost: localhost\r\n\r\n'],
    ['no Host', 'GET /livez HTTP/1.1\r\n\r\n'],
    ['a space in a header name', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nbad name: x\r\n\r\n'],
    ['two lengths', `${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
    ['a length and chunks', `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`],
    ['a length that is no number', `${HEAD}Content-Length: two\r\n\r\n{}`],
    ['a bad chunk', `${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`],
    ['an expectation', `${HEAD}Expect: miracles\r\nContent-Length: 2\r\n\r\n{}`],
  ])('%s', async (_what, bytes) => {
    expect(await refusalOf(bytes)).toMatchObject({ status: 400, code: 'INVALID_ARGUMENT' });
  });

  test('too large a head', async () => {
    const answer = await refusalOf(`GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(4000)}\r\n\r\n`);
    expect(answer).toMatchObject({ status: 431, code: 'HEADERS_TOO_LARGE', headers: { connection: 'close' } });
  });

  test('CONNECT, which is a proxy’s', async () => {
    expect(await refusalOf('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n')).toMatchObject({
      status: 405,
    });
  });

  test('half a head', async () => {
    url = await start({ headersTimeoutMs: 200 });
    expect(await refusalOf('GET /livez HTTP/1.1\r\nHost: loc')).toMatchObject({ status: 408, code: 'REQUEST_TIMEOUT' });
  });

  test('half a body', async () => {
    url = await start({ requestTimeoutMs: 200 });
    expect(await refusalOf(`${HEAD}Content-Length: 100\r\n\r\n{"a":`)).toMatchObject({ status: 408 });
  });
});

test('a body over the limit is refused before it is sent, and in chunks when it is reached', async () => {
  for (const framing of ['Content-Length: 5000', 'Transfer-Encoding: chunked']) {
    const body = framing.startsWith('T') ? `7d0\r\n${' '.repeat(2000)}\r\n` : '';
    const answer = await refusalOf(`${HEAD}${framing}\r\n\r\n${body}`);
    expect(answer).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
  }
});

test('what was answered before a parser error on the same connection stays intact', async () => {
  const connection = await connectRaw(url);
  connection.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await connection.sees(/"status":"ok"\}/);
  connection.write('nonsense\r\n\r\n');
  const all = await connection.closed;
  expect(all.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
});

test('they are counted, and the server goes on', async () => {
  await refusalOf('nonsense\r\n\r\n');
  const answer = await fetch(`${url}/metrics`);
  expect(await answer.text()).toContain('assay_http_parser_errors_total{code="400"} 1');
});

test('pipelined requests are answered in order', async () => {
  const connection = await connectRaw(url);
  const request = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
  connection.write(request('/livez') + request('/nothing') + request('/livez', 'Connection: close\r\n'));
  expect((await connection.closed).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
});
