import { createServer } from 'node:http';
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type HeadDialect, OWN, PASSED, RequestHeadReader } from './request-head.ts';

const HEADER_LIMIT = 4096;

function read(text: string | Uint8Array) {
  const bytes = Buffer.from(text as string, 'latin1'); // text or bytes: both are taken
  return new RequestHeadReader(HEADER_LIMIT).read(bytes, 0, bytes.length);
}

const HEAD = 'POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nX-Y:  z \t\r\n\r\n';

describe('the head of a request', () => {
  test('is read with its headers by lower-case name', () => {
    expect(read(HEAD)).toMatchObject({
      method: 'POST',
      path: '/v2/models/m/infer',
      headers: { host: 'a', 'content-length': '12', 'x-y': 'z' },
      contentLength: 12,
      hasContentLength: true,
      sizeBytes: HEAD.length,
    });
  });

  test('is read alike wherever its bytes were cut', () => {
    const whole = read(HEAD);
    const bytes = Buffer.from(`${HEAD}body`);
    for (let cut = 0; cut < HEAD.length; cut++) {
      const reader = new RequestHeadReader(HEADER_LIMIT);
      expect(reader.read(bytes, 0, cut)).toBeUndefined();
      expect(reader.read(bytes, 0, bytes.length)).toEqual(whole);
      expect(reader.read(bytes, 0, bytes.length), 'and the reader is as new').toEqual(whole);
    }
    const slowly = new RequestHeadReader(HEADER_LIMIT);
    for (let end = 0; end < HEAD.length; end++) expect(slowly.read(bytes, 0, end)).toBeUndefined();
    expect(slowly.read(bytes, 0, HEAD.length)).toEqual(whole);
  });

  const line = 'POST /a HTTP/1.1\r\n';
  test.each([
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'request_line'],
    ['a PROXY line', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n', 'request_line'],
    ['a PROXY header of version 2', '\r\n\r\n\0\r\nQUIT\n', 'request_line'],
    ['a TLS hello', '\x16\x03\x01\x02\x00', 'request_line'],
    ['an empty line first', '\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n', 'request_line'],
    ['HTTP/1.0', 'GET /a HTTP/1.0\r\nHost: a\r\n\r\n', 'request_line'],
    ['HTTP/0.9', 'GET /a\r\n', 'request_line'],
    ['another method', 'DELETE /a HTTP/1.1\r\n', 'request_line'],
    ['a method in lower case', 'post /a HTTP/1.1\r\n', 'request_line'],
    ['a bare line feed behind the request line', 'GET /a HTTP/1.1\nHost: a\n\n', 'request_line'],
    ['two spaces', 'GET  /a HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['the absolute form', 'GET http://a/a HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['the asterisk form', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['percent-encoding', 'GET /%61 HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['a query', 'GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['no Host', `${line}Content-Length: 1\r\n\r\n`, 'host'],
    ['an empty Host', `${line}Host: \r\n\r\n`, 'host'],
    ['two Hosts', `${line}Host: a\r\nHost: a\r\n\r\n`, 'header'],
    ['a folded header', `${line}Host: a\r\nX: y\r\n z\r\n\r\n`, 'header'],
    ['a folded first header', `${line} Host: a\r\n\r\n`, 'header'],
    ['a bare line feed behind a header', `${line}Host: a\nX: y\r\n\r\n`, 'header'],
    ['a bare carriage return in a header', `${line}Host: a\rX: y\r\n\r\n`, 'header'],
    ['a space before the colon', `${line}Host : a\r\n\r\n`, 'header'],
    ['no colon', `${line}Host\r\n\r\n`, 'header'],
    ['no name', `${line}: a\r\n\r\n`, 'header'],
    ['a character that is no part of a name', `${line}H(st: a\r\n\r\n`, 'header'],
    ['a NUL in a value', `${line}Host: a\0\r\n\r\n`, 'header'],
    ['other bytes than ASCII in a value', `${line}Host: \xe9\r\n\r\n`, 'header'],
    ['two lengths', `${line}Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n`, 'length'],
    ['a list of lengths', `${line}Host: a\r\nContent-Length: 1, 1\r\n\r\n`, 'length'],
    ['a length with a sign', `${line}Host: a\r\nContent-Length: +1\r\n\r\n`, 'length'],
    ['a negative length', `${line}Host: a\r\nContent-Length: -1\r\n\r\n`, 'length'],
    ['a hexadecimal length', `${line}Host: a\r\nContent-Length: 0x1\r\n\r\n`, 'length'],
    ['a length with leading zeros', `${line}Host: a\r\nContent-Length: 01\r\n\r\n`, 'length'],
    ['no digits in a length', `${line}Host: a\r\nContent-Length:\r\n\r\n`, 'length'],
    ['a length beyond all bounds', `${line}Host: a\r\nContent-Length: 99999999999\r\n\r\n`, 'length'],
    ['Transfer-Encoding', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n`, 'protocol'],
    ['Transfer-Encoding in disguise', `${line}Host: a\r\ntransfer-ENCODING:\tchunked\r\n\r\n`, 'protocol'],
    ['Expect', `${line}Host: a\r\nExpect: 100-continue\r\n\r\n`, 'protocol'],
    ['Upgrade', `${line}Host: a\r\nUpgrade: h2c\r\n\r\n`, 'protocol'],
    ['Connection: close', `${line}Host: a\r\nConnection: close\r\n\r\n`, 'protocol'],
    ['a list of connection options', `${line}Host: a\r\nConnection: keep-alive, te\r\n\r\n`, 'protocol'],
    ['a content encoding', `${line}Host: a\r\nContent-Encoding: gzip\r\n\r\n`, 'protocol'],
    ['a long line', `${line}Host: ${'a'.repeat(HEADER_LIMIT)}`, 'header_size'],
    ['many headers', `${line}Host: a\r\n${'a: b\r\n'.repeat(2)}${'c: d\r\n'.repeat(99)}`, 'header'],
    [
      'more headers than are read',
      `${line}${Array.from({ length: 99 }, (_, i) => `h${i}: v\r\n`).join('')}`,
      'header_size',
    ],
  ])('%s is not read', (_what, text, reason) => {
    expect(read(text)).toBe(reason);
  });

  test('is refused as soon as it can be known', () => {
    expect(read('P')).toBeUndefined();
    expect(read('PO')).toBeUndefined();
    expect(read('PR')).toBe('request_line');
    expect(read('GET /a HTTP/1.1\n')).toBe('request_line');
    expect(read(`${line}Host: a\n`)).toBe('header');
  });

  test('names of Object.prototype are headers like others', () => {
    const head = read(`${line}Host: a\r\n__proto__: b\r\nconstructor: c\r\n\r\n`);
    expect(typeof head === 'object' ? Object.entries(head.headers) : head).toEqual([
      ['host', 'a'],
      ['__proto__', 'b'],
      ['constructor', 'c'],
    ]);
  });
});

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

/** The requests that Node's own server sees in these bytes, up to the first that it refuses; at least `atLeast` are waited for. */
async function seenByNode(bytes: Buffer, atLeast: number): Promise<Seen[]> {
  const seen: Seen[] = [];
  let arrived = 0;
  const server = createServer({ requireHostHeader: false });
  server.on('request', (request, response) => {
    const at = arrived++;
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      seen[at] = { method, path: url, headers: { ...headers }, body: Buffer.concat(chunks).toString('latin1') };
      response.end();
    });
  });
  server.on('clientError', () => {});
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  server.emit('connection', socket);
  socket.push(bytes);
  // A request is parsed, and its body delivered, within a few turns of the event loop.
  for (let turn = 0; turn < 6 || (seen.filter(Boolean).length < atLeast && turn < 100); turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.destroy();
  return seen;
}

/** The requests that the lane would take, or pass on, of these bytes before it hands over or waits. */
function seenByLane(bytes: Buffer, cut: number, dialect: HeadDialect): Seen[] {
  const reader = new RequestHeadReader(HEADER_LIMIT, dialect);
  const seen: Seen[] = [];
  let from = 0;
  for (;;) {
    if (cut > from && cut < bytes.length) {
      const early = reader.read(bytes, from, cut);
      if (typeof early === 'string') return seen;
      if (early !== undefined) reader.reset();
    }
    const head = reader.read(bytes, from, bytes.length);
    if (typeof head !== 'object') return seen;
    const bodyFrom = from + head.sizeBytes;
    const end = bodyFrom + head.contentLength;
    if (end > bytes.length) return seen;
    const { method, path, headers } = head;
    seen.push({ method, path, headers: { ...headers }, body: bytes.toString('latin1', bodyFrom, end) });
    from = end;
  }
}

const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: b\r\n\r\n';
/** What is known to be read differently by different servers. */
const trick = fc.constantFrom(
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  '\x0b',
  '\x0c',
  '\x85',
  '\xa0',
  ':',
  ',',
  '0',
  '1',
  '+',
  '-',
  '%0d%0a',
  'chunked',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding : chunked\r\n',
  'Transfer-Encoding:\x0bchunked\r\n',
  'Transfer-Encoding: identity\r\n',
  'Transfer_Encoding: chunked\r\n',
  'X: y\r\n Transfer-Encoding: chunked\r\n',
  'X: y\nTransfer-Encoding: chunked\r\n',
  'X: y\rContent-Length: 0\r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 5, 5\r\n',
  'Content-Length: 0x5\r\n',
  'Content-Length:\r\n 5\r\n',
  'Content-Length : 5\r\n',
  'Content-Length: 5 \r\n',
  'Content-Length: 00005\r\n',
  'Content_Length: 5\r\n',
  'Connection: Content-Length\r\n',
  'Connection: close\r\n',
  'Proxy-Connection: close\r\n',
  'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  'Host: b\r\n',
  'Expect: 100-continue\r\n',
  '0\r\n\r\n',
  '5;x=y\r\nabcde\r\n0\r\n\r\n',
  SMUGGLED,
);

const mostly = (usual: string, ...others: readonly string[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const request = fc
  .record({
    method: mostly('POST', 'GET', 'PUT', 'post', 'HEAD'),
    path: mostly('/v2/models/m/infer', '/a', '/a?b', '/%61', 'http://x/a', '*'),
    version: mostly('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'http/1.1'),
    names: fc.array(fc.constantFrom('X-A', 'accept', 'COOKIE', 'traceparent', 'connection'), { maxLength: 3 }),
    body: fc.constantFrom('', 'abcde', SMUGGLED, '0\r\n\r\n'),
    lies: fc.integer({ min: -2, max: 2 }),
  })
  .map(({ method, path, version, names, body, lies }) => {
    const headers = names.map((name) => `${name}: ${name === 'connection' ? 'keep-alive' : 'v'}\r\n`).join('');
    const length = Math.max(0, body.length + (lies === 2 ? 1 : lies === -2 ? -1 : 0));
    return `${method} ${path} ${version}\r\nHost: a\r\n${headers}Content-Length: ${length}\r\n\r\n${body}`;
  });

/** Some requests one after another, with tricks put anywhere. */
const stream = fc
  .record({
    requests: fc.array(request, { minLength: 1, maxLength: 3 }),
    edits: fc.array(fc.tuple(fc.nat(), trick, fc.nat(3)), { maxLength: 3 }),
    cut: fc.nat(),
  })
  .map(({ requests, edits, cut }) => {
    let text = requests.join('');
    for (const [where, what, drops] of edits) {
      // As often as not between two lines, where a header may stand.
      const lines = [...text.matchAll(/\r\n/g)].map(({ index }) => index + 2);
      const at = where % 2 === 0 ? (lines[where % lines.length] ?? 0) : where % (text.length + 1);
      text = text.slice(0, at) + what + text.slice(at + drops);
    }
    const bytes = Buffer.from(text, 'latin1');
    return { bytes, cut: cut % bytes.length };
  });

describe('what the lane takes', () => {
  test('is what Node reads in the same bytes, whatever was put into them', async () => {
    let taken = 0;
    let left = 0;
    await fc.assert(
      fc.asyncProperty(stream, async ({ bytes, cut }) => {
        const ours = seenByLane(bytes, cut, OWN);
        taken += ours.length;
        const theirs = await seenByNode(bytes, ours.length);
        if (theirs.length > ours.length) left++;
        expect(theirs.slice(0, ours.length)).toEqual(ours);
      }),
      { numRuns: 5000 },
    );
    expect(taken, 'requests were taken').toBeGreaterThan(1000);
    expect(left, 'and others left to Node').toBeGreaterThan(1000);
  });

  test('is what Node reads of requests that are passed on too, but for the meaning of their headers', async () => {
    const frame = ({ method, path, body }: Seen) => ({ method, path, body });
    let passed = 0;
    let left = 0;
    await fc.assert(
      fc.asyncProperty(stream, async ({ bytes, cut }) => {
        const ours = seenByLane(bytes, cut, PASSED).map(frame);
        passed += ours.length;
        const theirs = (await seenByNode(bytes, ours.length)).map(frame);
        if (theirs.length > ours.length) left++;
        expect(theirs.slice(0, ours.length)).toEqual(ours);
      }),
      { numRuns: 5000 },
    );
    expect(passed, 'requests were passed on').toBeGreaterThan(1000);
    expect(left, 'and others left to Node').toBeGreaterThan(500);
  });
});

describe('the head of a request that is passed on', () => {
  const passed = (text: string) => {
    const bytes = Buffer.from(text, 'latin1');
    return new RequestHeadReader(HEADER_LIMIT, PASSED).read(bytes, 0, bytes.length);
  };
  test.each([
    ['another method', 'DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n', 0],
    ['a query with escapes', 'GET /a%20b?c=d&e=f,g HTTP/1.1\r\nHost: a\r\n\r\n', 0],
    ['other characters in a value', 'GET /a HTTP/1.1\r\nHost: a\r\nX: \x80\xff\r\n\r\n', 0],
    ['a header given twice', 'GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\nx: c\r\n\r\n', 0],
    ['an encoded body', 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n', 5],
  ])('is read: %s', (_what, text, contentLength) => {
    expect(passed(text)).toMatchObject({ sizeBytes: text.length, contentLength });
  });
  const line = 'PUT /a?b HTTP/1.1\r\n';
  test.each([
    ['a method that is rarely one', 'QUERY /a HTTP/1.1\r\nHost: a\r\n\r\n', 'request_line'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'request_line'],
    ['HTTP/1.0', 'GET /a?b HTTP/1.0\r\nHost: a\r\n\r\n', 'request_line'],
    ['the absolute form', 'GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['other bytes than ASCII in the target', 'GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n', 'route'],
    ['no Host', `${line}X: a\r\n\r\n`, 'host'],
    ['two Hosts', `${line}Host: a\r\nHost: a\r\n\r\n`, 'header'],
    ['two lengths', `${line}Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n`, 'length'],
    ['a signed length', `${line}Host: a\r\nContent-Length: +1\r\n\r\n`, 'length'],
    ['chunks', `${line}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n`, 'protocol'],
    ['Expect', `${line}Host: a\r\nExpect: 100-continue\r\n\r\n`, 'protocol'],
    ['Upgrade', `${line}Host: a\r\nUpgrade: h2c\r\n\r\n`, 'protocol'],
    ['Connection: close', `${line}Host: a\r\nConnection: close\r\n\r\n`, 'protocol'],
    ['connection options twice', `${line}Host: a\r\n${'Connection: keep-alive\r\n'.repeat(2)}\r\n`, 'header'],
    ['a folded header', `${line}Host: a\r\nX: y\r\n z\r\n\r\n`, 'header'],
    ['a bare line feed', `${line}Host: a\nX: y\r\n\r\n`, 'header'],
    ['a bare carriage return', `${line}Host: a\rX: y\r\n\r\n`, 'header'],
    ['a NUL in a value', `${line}Host: a\0\r\n\r\n`, 'header'],
    ['a deletion character in a value', `${line}Host: a\x7f\r\n\r\n`, 'header'],
    ['a space before the colon', `${line}Host : a\r\n\r\n`, 'header'],
  ])('is none: %s', (_what, text, reason) => {
    expect(passed(text)).toBe(reason);
  });
});
