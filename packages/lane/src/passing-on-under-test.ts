/** What must hold of requests that are not the lane's and leave it their connection: a part of `conformance.ts`. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { drainAndClose } from '@assay/http';
import { beforeAll, describe, expect, test } from 'vitest';
import { CHUNK_BYTES } from './foreign-routes-under-test.ts';
import {
  atEveryCut,
  connectTo,
  type EchoApp,
  type EchoOptions,
  metricsOf,
  post,
  type RawClient,
  withoutChance,
} from './lane-under-test.ts';

const get = (path: string, headers: readonly string[] = [], method = 'GET'): string =>
  `${[`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;

/** The lane's own, behind which every test sees that the connection still is the lane's. */
const LAST = post('/echo/last', 'z');
const LAST_ANSWER = '{"name":"last","text":"z"}';

/** What arrived, up to so many answers to `LAST` or the end of the connection. */
async function untilLast(client: RawClient, times = 1, timeout = 2000): Promise<string> {
  let isClosed = false;
  void client.closed.then(() => {
    isClosed = true;
  });
  const isLast = () => client.received.endsWith(LAST_ANSWER) && client.received.split(LAST_ANSWER).length > times;
  await expect.poll(() => isClosed || isLast(), { interval: 2, timeout }).toBe(true);
  return withoutChance(client.received);
}

/** What an app answers to these texts on one connection, each sent when the one before is answered. */
async function answersInTurn(app: EchoApp, texts: readonly string[]): Promise<string> {
  using client = await connectTo(app);
  for (const [i, text] of texts.entries()) {
    client.write(Buffer.from(text, 'latin1'));
    await untilLast(client, i + 1);
  }
  return withoutChance(client.received);
}

async function answersTo(app: EchoApp, pieces: readonly string[]): Promise<string> {
  using client = await connectTo(app);
  for (const piece of pieces) {
    client.write(Buffer.from(piece, 'latin1'));
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return await untilLast(client);
}

const PASSED_ON: readonly (readonly [string, string])[] = [
  ['another route', get('/livez')],
  ['another method', get('/echo/a', [], 'DELETE')],
  ['a method with a body', post('/mirror', 'x').replace('POST', 'PUT')],
  ['HEAD', get('/livez', [], 'HEAD')],
  ['HEAD of a route of the lane', get('/alive', [], 'HEAD')],
  ['OPTIONS', get('/livez', [], 'OPTIONS')],
  ['a query', get('/alive?x=1&y=a,b')],
  ['percent-encoding', post('/echo/%61', 'x')],
  ['no length', get('/echo/a', [], 'POST')],
  ['a length of 0', post('/echo/a', '')],
  ['a body with GET', `${get('/alive', ['Content-Length: 1'])}x`],
  ['another content type', post('/echo/a', 'y').replace('application/json', 'text/plain')],
  ['an encoded body', post('/echo/a', 'y', ['Content-Encoding: gzip'])],
  ['a header of other characters', post('/echo/a', 'y', ['X: \xe9\xff'])],
  ['a header given twice', get('/alive', ['Accept: a', 'Accept: b'])],
  ['a key given twice', post('/echo/a', 'x', ['Authorization: Bearer x', 'Authorization: Bearer y'])],
  ['a kept connection', get('/livez', ['Connection: keep-alive'])],
  ['an id', get('/livez', ['X-Request-Id: mine'])],
  ['an answer without a body', get('/empty')],
  ['an answer that nothing changed', get('/unchanged', ['If-None-Match: "a"'])],
  ['a redirect', get('/redirect')],
  ['an answer in chunks', get('/chunks')],
  ['an answer that breaks off', get('/broken')],
  ['a body', post('/mirror', 'some text')],
  ['a path that no route takes', get('/nothing/here')],
  [
    'an answer that ends the connection',
    get('/livez', ['Host: x']).replace('Host: localhost\r\nHost: x', 'Host: evil.example'),
  ],
];

const LARGE: readonly (readonly [string, string])[] = [
  ['a large body', post('/mirror', 'b'.repeat(40_000))],
  ['a body that its route does not take', post('/mirror', 'b'.repeat(65_536))],
  ['a body that no route takes', post('/nothing/here', 'b'.repeat(65_536))],
];

/** @param start in the way that is to be tested @param apps that `start` made */
export function describePassingOn(
  start: (options: EchoOptions) => Promise<EchoApp>,
  apps: () => { readonly withLane: EchoApp; readonly without: EchoApp },
): void {
  let withLane: EchoApp;
  let without: EchoApp;
  beforeAll(() => {
    ({ withLane, without } = apps());
  });

  /** What the lane was told since. */
  const counted = () => {
    const [handedOver, passedOn] = [withLane.handovers.length, withLane.passedOn.length];
    return () => ({
      handedOver: withLane.handovers.length - handedOver,
      passedOn: withLane.passedOn.length - passedOn,
    });
  };

  describe('a request that is passed on', () => {
    test.each([...PASSED_ON, ...LARGE])('is answered byte for byte as by Node: %s', async (_what, bytes) => {
      const count = counted();
      const texts = [LAST, bytes + LAST, bytes + LAST];
      const theirs = await answersInTurn(without, texts);
      expect(await answersInTurn(withLane, texts)).toBe(theirs);
      expect(count()).toEqual({ handedOver: 0, passedOn: theirs.endsWith(LAST_ANSWER) ? 2 : 1 });
    });

    test.each(PASSED_ON)('is answered wherever the bytes were cut: %s', async (_what, bytes) => {
      const whole = await answersTo(without, [bytes + LAST]);
      const count = counted();
      await atEveryCut(bytes + LAST, async (pieces, cut) => {
        expect(await answersTo(withLane, pieces), `cut at ${cut}`).toBe(whole);
      });
      expect(count()).toEqual({ handedOver: 0, passedOn: (bytes + LAST).length - 1 });
    });

    test.each(LARGE)('is answered when its body trickles in: %s', async (_what, bytes) => {
      const pieces = (bytes + LAST).match(/[\s\S]{1,5000}/g) ?? [];
      expect(await answersTo(withLane, pieces)).toBe(await answersTo(without, pieces));
    });

    test('is answered in its turn, and waits for the answers before it', async () => {
      const count = counted();
      using client = await connectTo(withLane);
      client.write(post('/echo/a', 'hold') + post('/echo/b', 'x') + get('/livez') + LAST);
      await expect.poll(() => withLane.held).toBe(1);
      await delay(50);
      expect(count().passedOn).toBe(0);
      withLane.release();
      const bodies = (await untilLast(client)).match(/\{.*?\}/g);
      expect(bodies).toEqual(['{"name":"a","text":"hold"}', '{"name":"b","text":"x"}', '{"status":"ok"}', LAST_ANSWER]);
      expect(count()).toEqual({ handedOver: 0, passedOn: 1 });
    });

    test('is in its turn wherever the bytes of many were cut', async () => {
      const bytes =
        post('/echo/a', 'x') + get('/livez') + post('/mirror', 'y') + post('/echo/b', 'x') + get('/x') + LAST;
      const whole = await answersTo(without, [bytes]);
      const count = counted();
      await atEveryCut(bytes, async (pieces, cut) => {
        expect(await answersTo(withLane, pieces), `cut at ${cut}`).toBe(whole);
      });
      expect(count()).toEqual({ handedOver: 0, passedOn: 3 * (bytes.length - 1) });
    });

    test('goes the way of the last one, which is given up where none comes for a while', async () => {
      await using app = await start({ lane: true, limits: { headersTimeoutMs: 2000, keepAliveTimeoutMs: 20_000 } });
      using client = await connectTo(app);
      client.write(get('/way') + LAST + get('/way'));
      await expect.poll(() => client.received.match(/\{"way":\d\}/g)).toEqual(['{"way":1}', '{"way":1}']);
      await expect.poll(() => app.waits[0]?.end, { timeout: 5000 }).toBe('aborted');
      client.write(LAST + get('/way') + LAST);
      expect(await untilLast(client, 3)).toContain('{"way":2}');
      expect(app.handovers).toEqual([]);
      client.socket.destroy();
      await expect.poll(() => app.waits[1]?.end).toBe('aborted');
    });

    test('does not hold up the next one where its body is never read', async () => {
      await using app = await start({ lane: true });
      const bytes = post('/stuck', 'b'.repeat(65_536)).replace('application/json', 'text/stream');
      expect(await answersInTurn(app, [bytes + LAST, get('/way') + LAST])).toContain('{"way":1}');
      await expect.poll(() => app.waits[0]?.end).toBe('aborted');
      expect(app.passedOn).toHaveLength(2);
    });

    test('knows its caller', async () => {
      using client = await connectTo(withLane);
      client.write(get('/peer') + LAST);
      const peer = /\{"ip".*?\}/.exec(await untilLast(client))?.[0] ?? '';
      const { address, port } = client.socket.address() as { address: string; port: number };
      expect(JSON.parse(peer)).toEqual({
        ip: address,
        protocol: withLane.ca === undefined ? 'http' : 'https',
        remoteAddress: address,
        remoteFamily: 'IPv4',
        remotePort: port,
        localAddress: address,
        localPort: client.socket.remotePort,
      });
    });

    test('counts as one of its connection, and is measured by its route', async () => {
      const metrics = async (app: EchoApp) => {
        const requests = [get('/livez'), post('/echo/%61', 'x'), get('/nothing'), get('/metrics')];
        const received = await answersInTurn(
          app,
          requests.map((request) => request + LAST),
        );
        return received
          .split('\n')
          .filter((line) => /^assay_http_(requests|connections|parser)/.test(line))
          .sort();
      };
      await using fresh = await start({ lane: true });
      await using node = await start({ lane: false });
      const ours = await metrics(fresh);
      expect(ours).toEqual(await metrics(node));
      expect(ours).toContain('assay_http_connections 1');
      expect(ours).toContain('assay_http_requests_total{route="/livez",method="GET",code="200"} 1');
    });
  });

  describe('the client of a request that is passed on', () => {
    test.each(['in chunks: /wait/300/chunked', 'of a known size: /wait/300/sized'])(
      'gets a long answer as fast as it reads, and no faster is it made, %s',
      async (what) => {
        await using app = await start({ lane: true, limits: { requestTimeoutMs: 300 } });
        using client = await connectTo(app);
        client.socket.pause();
        client.write(get(what.split(': ')[1] ?? '') + LAST);
        await expect.poll(() => app.waits[0]?.produced ?? 0).toBeGreaterThan(1);
        await expect
          .poll(async () => {
            const before = app.waits[0]?.produced;
            await delay(200);
            return before === app.waits[0]?.produced;
          })
          .toBe(true);
        expect(app.waits[0]?.produced).toBeLessThan(250);
        await delay(600); // longer than a client of the lane may take for nothing; Node sets no limit
        client.socket.resume();
        const answer = await untilLast(client, 1, 10_000);
        expect(answer.length).toBeGreaterThan(300 * CHUNK_BYTES);
        expect(app.waits[0]).toEqual({ produced: 300, end: 'answered' });
        expect(app.passedOn).toHaveLength(1);
      },
      20_000,
    );

    test('may go away in the middle of the answer, which ends with it', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.write(get('/wait/Infinity/chunked'));
      await expect.poll(() => client.received.length).toBeGreaterThan(1_000_000);
      client.socket.destroy();
      await expect.poll(() => app.waits[0]?.end).toBe('aborted');
      await expect.poll(() => app.lane?.connections).toBe(0);
      const text = await metricsOf(app);
      expect(text, 'none but the scrape itself').toMatch(/assay_http_requests_in_flight [01]\n/);
      expect(text).toContain('assay_http_connections 1\n');
    });

    test('may go away before the answer, which is told', async () => {
      await using app = await start({ lane: true });
      const ends = ['destroy', 'end', ...(app.ca === undefined ? ['resetAndDestroy' as const] : [])] as const; // TLS has no reset
      for (const end of ends) {
        using client = await connectTo(app);
        client.write(get('/hang') + LAST);
        const count = app.waits.length;
        await expect.poll(() => app.waits.length).toBe(count + 1);
        client.socket[end]();
        await expect.poll(() => app.waits.at(-1)?.end, { message: end }).toBe('aborted');
      }
      await expect.poll(() => app.lane?.connections).toBe(0);
    });

    test('is closed when it half-closes before the answer, as by Node', async () => {
      for (const app of [withLane, without]) {
        using client = await connectTo(app, { halfOpen: true });
        const count = app.waits.length;
        client.write(get('/hang'));
        await expect.poll(() => app.waits.length).toBe(count + 1);
        client.socket.end();
        expect(await client.closed).toBe('');
      }
    });

    test('is told when it half-closes in the middle of a body, as by Node', async () => {
      const ends = async (app: EchoApp) => {
        using client = await connectTo(app, { halfOpen: true });
        client.write(post('/mirror', 'abc').slice(0, -1));
        client.socket.end();
        return withoutChance(await client.closed);
      };
      expect(await ends(withLane)).toBe(await ends(without));
    });

    test('is not read without end while it waits', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.write(get('/hang') + LAST.repeat(100_000));
      await expect.poll(() => app.waits.length).toBe(1);
      await delay(300);
      const [socket] = app.sockets;
      expect(socket?.isPaused()).toBe(true);
      expect(socket?.bytesRead).toBeLessThan(1_000_000);
    });

    test('has the times that it has with Node', async () => {
      const limits = { headersTimeoutMs: 300, requestTimeoutMs: 600, keepAliveTimeoutMs: 900 };
      await using lane = await start({ lane: true, limits });
      await using node = await start({ lane: false, limits });
      const ends = async (app: EchoApp, bytes: string) => {
        using client = await connectTo(app);
        const startMs = performance.now();
        client.write(bytes);
        return { answers: withoutChance(await client.closed), tookMs: performance.now() - startMs };
      };
      for (const [bytes, atLeastMs] of [
        [get('/livez').slice(0, -1), 300],
        [get('/livez') + get('/livez').slice(0, -1), 300],
        [post('/mirror', 'abc').slice(0, -1), 600],
        [post('/nothing', 'abc').slice(0, -1), 600],
        [LAST + post('/mirror', 'abc').slice(0, -1), 600],
        [get('/livez'), 900],
        [get('/livez') + LAST, 900],
        [get('/impatient'), 100],
      ] as const) {
        const [ours, theirs] = await Promise.all([ends(lane, bytes), ends(node, bytes)]);
        expect(ours.answers, JSON.stringify(bytes)).toBe(theirs.answers);
        expect(ours.tookMs).toBeGreaterThan(atLeastMs - 100);
        expect(ours.tookMs).toBeLessThan(atLeastMs + 2500);
      }
      expect(lane.handovers).toEqual([]);
    }, 20_000);
  });

  describe('the end of a server', () => {
    test('waits for a request that was passed on, and closes its connection behind it', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.write(post('/echo/%61', 'hold') + LAST);
      await expect.poll(() => app.held).toBe(1);
      const closed = drainAndClose(app.app, { drainDelayMs: 0, closeTimeoutMs: 5000 });
      await delay(400); // twice what an idle connection is left
      app.release();
      const received = await client.closed;
      expect(received).toMatch(/connection: close\r\n[\s\S]*"text":"hold"\}$/);
      expect(await closed).toEqual({ cutOff: 0 });
    });

    test('cuts off what takes too long, and counts it', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.write(get('/hang'));
      await expect.poll(() => app.waits.length).toBe(1);
      expect(await drainAndClose(app.app, { drainDelayMs: 0, closeTimeoutMs: 100 })).toEqual({ cutOff: 1 });
      expect(await client.closed).toBe('');
      expect(app.waits[0]?.end).toBe('aborted');
    });

    test('leaves a request of the lane to its answer, behind one that was passed on', async () => {
      await using app = await start({ lane: true });
      using client = await connectTo(app);
      client.write(get('/livez') + post('/echo/a', 'hold') + LAST);
      await expect.poll(() => app.held).toBe(1);
      app.app.server.closeIdleConnections();
      await delay(50);
      app.release();
      expect(await untilLast(client)).toContain('"text":"hold"');
      client.write(get('/livez') + LAST);
      expect((await untilLast(client, 2)).split('"status":"ok"')).toHaveLength(3);
    });

    test('leaves it to its answer when only idle connections are closed', async () => {
      await using app = await start({ lane: true });
      using busy = await connectTo(app);
      using idle = await connectTo(app);
      idle.write(get('/livez') + LAST);
      await untilLast(idle);
      busy.write(post('/echo/%61', 'hold'));
      await expect.poll(() => app.held).toBe(1);
      const closed = once(app.app.server, 'close');
      app.app.server.close();
      await idle.closed;
      app.release();
      expect(await busy.answers(1)).toContain('"text":"hold"');
      app.app.server.closeAllConnections();
      await busy.closed;
      await closed;
    });
  });
}
