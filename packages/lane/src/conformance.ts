/** What the lane must do on any connection, in plain text or encrypted: each door's test runs it on the real thing. */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { drainAndClose } from '@assay/http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  atEveryCut,
  BODY_LIMIT,
  connectTo,
  type EchoApp,
  type EchoOptions,
  metricsOf,
  post,
  splitAnswers,
} from './lane-under-test.ts';
import { describePassingOn } from './passing-on-under-test.ts';

/** What an app answers to bytes that arrive in these pieces, on one connection. */
async function answersTo(app: EchoApp, pieces: readonly string[], count: number): Promise<string[]> {
  using client = await connectTo(app);
  for (const piece of pieces) {
    client.write(Buffer.from(piece, 'latin1'));
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return splitAnswers(await client.answers(count));
}

const GET = 'GET /alive HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** Requests that the lane hands over, each with how many answers Node gives. */
const HANDED_OVER: readonly (readonly [string, string, number])[] = [
  ['the absolute form', 'GET http://localhost/alive HTTP/1.1\r\nHost: localhost\r\n\r\n', 1],
  ['HTTP/1.0', 'GET /alive HTTP/1.0\r\nHost: localhost\r\n\r\n', 1],
  ['no Host', 'GET /alive HTTP/1.1\r\nX: y\r\n\r\n', 1],
  ['Connection: close', 'GET /alive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 1],
  ['chunks', 'POST /echo/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n', 1],
  ['Expect', post('/echo/a', 'x', ['Expect: 100-continue']), 2],
  ['a body too large', post('/echo/a', 'y').replace('h: 1', `h: ${BODY_LIMIT + 1}`), 1],
  ['a signed length', post('/echo/a', 'y').replace('h: 1', 'h: +1'), 1],
  ['two lengths', post('/echo/a', 'y', ['Content-Length: 1']), 1],
  ['a length beside chunks', post('/echo/a', '0\r\n\r\n', ['Transfer-Encoding: chunked']), 1],
  ['a folded header', post('/echo/a', 'y', ['X: y', ' z']), 1],
  ['a bare line feed', 'GET /alive HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n', 1],
  ['a space before the colon', post('/echo/a', 'y', ['X : y']), 1],
  ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 1],
  ['a PROXY line', 'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /alive HTTP/1.1\r\nHost: localhost\r\n\r\n', 1],
  ['a TLS hello', '\x16\x03\x01\x00\x05hello', 1],
  ['an empty line first', '\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n', 1],
  ['Upgrade', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n', 1],
  ['CONNECT', 'CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n', 1],
  ['two hosts', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n', 1],
  ['a NUL', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n', 1],
  ['trailers', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n\r\n', 1],
  ['another route, two lengths', post('/mirror', 'y', ['Content-Length: 1']), 1],
  ['another route, a length beside chunks', post('/mirror', '0\r\n\r\n', ['Transfer-Encoding: chunked']), 1],
  ['another route, a folded header', post('/mirror', 'y', ['X: y', ' z']), 1],
  ['another route, a folded length', post('/mirror', 'y').replace('Length: 1', 'Length:\r\n 1'), 1],
  ['another route, a bare line feed', post('/mirror', 'y', ['X: y\nZ: z']), 1],
  ['another route, a space before the colon', post('/mirror', 'y').replace('Length:', 'Length :'), 1],
  ['another route, a body too large to be passed on', post('/mirror', 'y'.repeat(65_537)), 1],
  ['headers beyond the limit', `GET /alive HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, 1],
];

/** @param start in the way that is to be tested */
export function describeLane(start: (options: EchoOptions) => Promise<EchoApp>): void {
  let withLane: EchoApp;
  let without: EchoApp;

  beforeAll(async () => {
    withLane = await start({ lane: true });
    without = await start({ lane: false });
  });
  afterAll(async () => {
    await withLane[Symbol.asyncDispose]();
    await without[Symbol.asyncDispose]();
  });

  describe('answers of the lane', () => {
    test.each([
      ['a request', post('/echo/a', '{"x":1}')],
      ['a request without a content type', 'POST /echo/a HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 2\r\n\r\n{}'],
      ['a request with ids and a trace', post('/echo/a', 'x', ['X-Request-Id: me', 'traceparent: 00-1-2-3'])],
      ['an id that is none', post('/echo/a', 'x', ['Assay-Request-Id: a b'])],
      ['health', GET],
      ['a failure', post('/echo/a', 'fail')],
      ['a foreign Host', post('/echo/a', 'x').replace('localhost', 'evil.example')],
      ['a key where there are none', post('/echo/a', 'x', ['Authorization: Bearer x'])],
    ])('are byte for byte those of Fastify: %s', async (_what, bytes) => {
      const handedOver = withLane.handovers.length;
      const ours = await answersTo(withLane, [bytes], 1);
      expect(ours).toEqual(await answersTo(without, [bytes], 1));
      expect(ours).toHaveLength(1);
      expect(withLane.handovers.length, 'it was the lane that answered').toBe(handedOver);
    });

    test('come in the order of the requests, whichever is ready first', async () => {
      using client = await connectTo(withLane);
      client.write(post('/echo/a', 'hold') + post('/echo/b', 'x') + GET);
      await expect.poll(() => withLane.held).toBe(1);
      expect(client.received).toBe('');
      withLane.release();
      const [first, second, third] = splitAnswers(await client.answers(3));
      expect([first, second, third].map((answer) => answer?.split('\r\n\r\n')[1])).toEqual([
        '{"name":"a","text":"hold"}',
        '{"name":"b","text":"x"}',
        '{"alive":true}',
      ]);
    });

    test('are told whether another request can come in the same turn', async () => {
      await using server = await start({ lane: true });
      using client = await connectTo(server);
      const isAlone = async (requests: number): Promise<unknown[]> => {
        const before = splitAnswers(client.received).length;
        client.write(post('/echo/a', 'alone').repeat(requests));
        const answers = splitAnswers(await client.answers(before + requests)).slice(before);
        return answers.map((answer) => JSON.parse(answer.split('\r\n\r\n')[1] ?? ''));
      };
      expect(await isAlone(1)).toEqual([true]);
      expect(await isAlone(2), 'another one stands behind it').toEqual([false, false]);
      {
        using other = await connectTo(server);
        await expect.poll(() => server.lane?.connections).toBe(2);
        expect(await isAlone(1), 'there is another connection').toEqual([false]);
        other.socket.destroy();
      }
      await expect.poll(() => server.lane?.connections).toBe(1);
      expect(await isAlone(1)).toEqual([true]);
    });

    test('come wherever the bytes of a request were cut', async () => {
      const bytes = post('/echo/a', '{"x":1}') + GET;
      const expected = await answersTo(without, [bytes], 2);
      const handedOver = withLane.handovers.length;
      await atEveryCut(bytes, async (pieces, cut) => {
        expect(await answersTo(withLane, pieces, 2), `cut at ${cut}`).toEqual(expected);
      });
      expect(withLane.handovers.length).toBe(handedOver);
    });

    test('come for a body that trickles in, and for one of the largest size', async () => {
      using client = await connectTo(withLane);
      const body = 'y'.repeat(BODY_LIMIT);
      const bytes = Buffer.from(post('/echo/a', body));
      client.write(bytes.subarray(0, 200));
      for (let at = 200; at < bytes.length; at += 10_000) {
        await new Promise((resolve) => setImmediate(resolve));
        client.write(bytes.subarray(at, at + 10_000));
      }
      expect(await client.answers(1)).toContain(`"text":"${body}"`);
    });
  });

  describePassingOn(start, () => ({ withLane, without }));

  describe('handing over', () => {
    test.each(HANDED_OVER)('leaves the answer to Node: %s', async (_what, bytes, count) => {
      const handedOver = withLane.handovers.length;
      const ours = await answersTo(withLane, [bytes], count);
      expect(ours).toEqual(await answersTo(without, [bytes], count));
      expect(ours).toHaveLength(count);
      expect(withLane.handovers.length).toBe(handedOver + 1);
    });

    test.each(HANDED_OVER.filter(([, bytes]) => bytes.length < 300))(
      'works wherever the bytes were cut: %s',
      async (_what, bytes, count) => {
        const whole = await answersTo(without, [bytes], count);
        await atEveryCut(bytes, async (pieces, cut) => {
          expect(await answersTo(withLane, pieces, count), `cut at ${cut}`).toEqual(whole);
        });
      },
    );

    test('works behind requests of the lane, and in front of more, wherever the bytes were cut', async () => {
      const bytes = post('/echo/a', '{"x":1}') + GET.replace('/alive', '/alive?x') + post('/echo/b', 'z') + GET;
      const expected = await answersTo(without, [bytes], 4);
      expect(expected).toHaveLength(4);
      await atEveryCut(bytes, async (pieces, cut) => {
        expect(await answersTo(withLane, pieces, 4), `cut at ${cut}`).toEqual(expected);
      });
    });

    test('waits for the answers before it', async () => {
      const handedOver = withLane.handovers.length;
      using client = await connectTo(withLane);
      client.write(
        post('/echo/a', 'hold') +
          post('/echo/b', 'x') +
          GET.replace('/alive HTTP', '/livez HTTP').replace('Host', 'TE: trailers\r\nHost'),
      );
      await expect.poll(() => withLane.held).toBe(1);
      await delay(50);
      expect(withLane.handovers.length).toBe(handedOver);
      withLane.release();
      const answers = splitAnswers(await client.answers(3));
      expect(answers.map((answer) => answer.split('\r\n\r\n')[1])).toEqual([
        '{"name":"a","text":"hold"}',
        '{"name":"b","text":"x"}',
        '{"status":"ok"}',
      ]);
      expect(withLane.handovers.length).toBe(handedOver + 1);
    });
  });

  describe('bounds', () => {
    test('of one connection 64 requests wait, and what comes behind is not read', async () => {
      using client = await connectTo(withLane);
      client.write(post('/echo/a', 'hold').repeat(100));
      await expect.poll(() => withLane.held).toBe(64);
      await delay(50);
      expect(withLane.held).toBe(64);
      const released = setInterval(() => withLane.release(), 5);
      expect(splitAnswers(await client.answers(100))).toHaveLength(100);
      clearInterval(released);
    });

    test('a client that does not read its answers is not read from either', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.socket.pause();
      client.write(post('/echo/a', 'large 100000').repeat(300));
      const unwritten = () => Math.max(...[...app.sockets].map((socket) => socket.writableLength));
      await expect.poll(unwritten).toBeGreaterThan(0);
      await delay(300);
      expect(unwritten(), 'no more than the answers of the requests that may wait').toBeLessThan(65 * 100_300);
      client.socket.resume();
      await expect.poll(() => client.received.length, { timeout: 20_000 }).toBeGreaterThan(300 * 100_000);
    });

    test('a client that does not take its answer in time is closed', async () => {
      await using app = await start({ lane: true, limits: { requestTimeoutMs: 300 } });
      using client = await connectTo(app);
      client.socket.pause();
      client.write(post('/echo/a', 'large 100000').repeat(300));
      await expect.poll(() => app.lane?.connections).toBe(1);
      await expect.poll(() => app.lane?.connections, { timeout: 5000 }).toBe(0);
      expect(app.handovers).toEqual([]);
    });

    test('heads, bodies and silence take no longer than they may, as with Node', async () => {
      const limits = { headersTimeoutMs: 300, requestTimeoutMs: 600, keepAliveTimeoutMs: 900 };
      await using lane = await start({ lane: true, limits });
      await using node = await start({ lane: false, limits });
      const request = post('/echo/a', 'abc');
      const ends = async (app: EchoApp, bytes: string) => {
        using client = await connectTo(app);
        const startMs = performance.now();
        if (bytes !== '') client.write(bytes);
        return { answers: splitAnswers(await client.closed), tookMs: performance.now() - startMs };
      };
      for (const [bytes, atLeastMs] of [
        ['', 300],
        [request.slice(0, 10), 300],
        [request.slice(0, 40), 300],
        [request.slice(0, -1), 600],
        [request + request.slice(0, -1), 600],
        [request, 900],
      ] as const) {
        const [ours, theirs] = await Promise.all([ends(lane, bytes), ends(node, bytes)]);
        expect(ours.answers, JSON.stringify(bytes)).toEqual(theirs.answers);
        expect(ours.tookMs).toBeGreaterThan(atLeastMs - 100);
        expect(ours.tookMs).toBeLessThan(atLeastMs + 2500);
      }
      expect(lane.handovers).toEqual([]);
    });

    test('who ends in the middle of a request is told so, as by Node', async () => {
      for (const bytes of [post('/echo/a', 'abc').slice(0, -1), post('/echo/a', 'abc').slice(0, 30), '']) {
        const ends = async (app: EchoApp) => {
          using client = await connectTo(app, { halfOpen: true });
          client.write(bytes);
          client.socket.end();
          return splitAnswers(await client.closed);
        };
        expect(await ends(withLane)).toEqual(await ends(without));
      }
    });

    test('a half-closed connection whose request waits is closed, as by Node', async () => {
      using client = await connectTo(withLane, { halfOpen: true });
      client.write(post('/echo/a', 'hold'));
      await expect.poll(() => withLane.held).toBe(1);
      client.socket.end();
      expect(await client.closed).toBe('');
      withLane.release();
    });

    test('a client that goes away leaves nothing behind', async () => {
      await using app = await start({ lane: true });
      const clients = await Promise.all(Array.from({ length: 20 }, () => connectTo(app)));
      for (const [i, { socket }] of clients.entries())
        socket.write(post('/echo/a', 'hold').slice(0, i % 2 === 0 ? -1 : undefined));
      await expect.poll(() => app.held).toBe(10);
      for (const { socket } of clients) socket.destroy();
      await expect.poll(() => app.lane?.connections).toBe(0);
      app.release();
      const text = await metricsOf(app);
      expect(text, 'none but the scrape itself').toMatch(/assay_http_requests_in_flight [01]\n/);
      expect(text).toContain('assay_http_connections 1\n');
    });
  });

  describe('the end', () => {
    test('a drain answers what is there, with Connection: close, and closes idle connections', async () => {
      await using app = await start({ lane: true });
      using busy = await connectTo(app);
      using idle = await connectTo(app);
      idle.write(GET);
      await idle.answers(1);
      busy.write(post('/echo/a', 'hold'));
      await expect.poll(() => app.held).toBe(1);
      const closed = drainAndClose(app.app, { drainDelayMs: 0, closeTimeoutMs: 5000 });
      await idle.closed;
      app.release();
      expect(await busy.closed).toMatch(/connection: close\r\n(.*\r\n)+\r\n.*"text":"hold"/);
      expect(await closed).toEqual({ cutOff: 0 });
      expect(app.lane?.connections).toBe(0);
    });

    test('a drain cuts off what takes too long, and counts it', async () => {
      await using app = await start({ lane: true });
      using busy = await connectTo(app);
      busy.write(post('/echo/a', 'hold'));
      await expect.poll(() => app.held).toBe(1);
      expect(await drainAndClose(app.app, { drainDelayMs: 0, closeTimeoutMs: 100 })).toEqual({ cutOff: 1 });
      await busy.closed;
    });

    test('the server closes the connections of the lane when it closes its own', async () => {
      await using app = await start({ lane: true });
      using idle = await connectTo(app);
      using busy = await connectTo(app);
      idle.write(GET);
      await idle.answers(1);
      busy.write(post('/echo/a', 'hold'));
      await expect.poll(() => app.held).toBe(1);
      const closed = once(app.app.server, 'close');
      app.app.server.close();
      await idle.closed;
      app.release();
      await busy.answers(1);
      app.app.server.closeAllConnections();
      await busy.closed;
      await closed;
    });

    test('keep-alive clients get their connection again and again', async () => {
      const { ca } = withLane;
      const { Agent, get } = ca === undefined ? http : https;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const before = withLane.lane?.connections ?? 0;
      for (let i = 0; i < 50; i++) {
        const [response] = await once(get(`${withLane.url}/alive`, { agent, ca }), 'response');
        for await (const _chunk of response);
      }
      expect(withLane.lane?.connections).toBe(before + 1);
      agent.destroy();
    });
  });
}
