import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { slowModel, versionModel } from './models-under-test.ts';

describe.each([true, false])('under load, by the lane: %s', (lane) => {
  const resources = new AsyncDisposableStack();
  let slow: InferenceUnderTest;

  beforeAll(async () => {
    const { path: dir } = resources.use(await temporaryFolder());
    const made = await slowModel(dir);
    const flags = { lane, maxQueueRows: 160, maxBatchRows: 32, maxRecords: 64 };
    slow = resources.use(await serveStatic(dir, [{ name: 'slow', path: made.dir }], flags));
  });
  afterAll(() => resources.disposeAsync());

  const records = (count: number) => ({ records: Array.from({ length: count }, (_, i) => ({ x: i })) });

  async function counted(inference: InferenceUnderTest, code: string): Promise<number> {
    const { text } = await inference.get('/metrics');
    return Number(new RegExp(`requests_total\\{endpoint="slow".*code="${code}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
  }

  interface RawAnswer {
    readonly status: number;
    readonly head: string;
    readonly body: string;
  }

  function request(path: string, body: unknown, headers: readonly string[] = []): string {
    const text = JSON.stringify(body);
    const { host } = new URL(slow.url);
    const lines = [
      `POST ${path} HTTP/1.1`,
      `Host: ${host}`,
      'Content-Type: application/json',
      `Content-Length: ${text.length}`,
    ];
    return `${[...lines, ...headers].join('\r\n')}\r\n\r\n${text}`;
  }

  /** A connection that has sent all of these at once: the service reads them in one turn, so that they wait for each other. */
  async function sendTogether(requests: readonly string[]): Promise<Socket> {
    const { hostname, port } = new URL(slow.url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(requests.join(''));
    return socket;
  }

  async function answers(socket: Socket, count: number): Promise<RawAnswer[]> {
    const found: RawAnswer[] = [];
    let text = '';
    for await (const chunk of socket.setEncoding('latin1')) {
      text += chunk;
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (text.length < end + 4 + length) break;
        found.push({ status: Number(head.slice(9, 12)), head, body: text.slice(end + 4, end + 4 + length) });
        text = text.slice(end + 4 + length);
      }
      if (found.length === count) break;
    }
    return found;
  }

  test('what the queue does not hold is refused at once with a time to come back, the rest is answered', async () => {
    const named = request('/v1/endpoints/slow/score', records(32));
    const data = Array.from({ length: 32 }, (_, i) => i);
    const tensors = request('/v2/models/slow/infer', { inputs: [{ name: 'x', datatype: 'FP32', shape: [32], data }] });
    const socket = await sendTogether([named, tensors, named, tensors, named, tensors, named, tensors, named, tensors]);
    const all = await answers(socket, 10);
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 503, 503, 503, 503, 503]);
    for (const [i, { head, body }] of all.entries()) {
      if (i < 5) continue;
      expect(head).toMatch(/retry-after: [1-9]/i);
      expect(JSON.parse(body)).toEqual(
        i % 2 === 0
          ? { error: expect.objectContaining({ code: 'OVERLOADED', retryable: true }) }
          : { error: expect.stringContaining('overloaded') },
      );
    }
    expect((await slow.post('/v1/endpoints/slow/score', records(1))).status).toBe(200);
  });

  test('what cannot be answered within its deadline is not run', async () => {
    const path = '/v1/endpoints/slow/score';
    const hurried = request(path, records(1), ['Assay-Timeout-Ms: 1']);
    const socket = await sendTogether([...Array(4).fill(request(path, records(32))), hurried, hurried]);
    const all = await answers(socket, 6);
    expect(all.slice(0, 4).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    for (const { status, body } of all.slice(4)) {
      expect([503, 504]).toContain(status);
      expect(['OVERLOADED', 'DEADLINE_EXCEEDED']).toContain(JSON.parse(body).error.code);
    }
  });

  test('requests of a caller that has gone are dropped before they run', async () => {
    const before = await counted(slow, 'CANCELLED');
    const socket = await sendTogether(
      Array.from({ length: 5 }, () => request('/v1/endpoints/slow/score', records(32))),
    );
    socket.destroy();
    await vi.waitFor(async () => expect(await counted(slow, 'CANCELLED')).toBeGreaterThan(before), { timeout: 10_000 });
  });

  test('a stop under load fails no request of a caller that watches readiness', async () => {
    await using folder = await temporaryFolder();
    const { dir } = await versionModel(folder.path, 1);
    const inference = await serveStatic(folder.path, [{ name: 'one', path: dir }], { lane, drainDelayMs: 500 });
    let requests = 0;
    let firstRound = Promise.withResolvers<void>();
    const client = async () => {
      while ((await inference.get('/readyz')).status === 200) {
        const { status, text } = await inference.post('/v1/endpoints/one/score', { records: [{ x: 1 }] });
        if (status !== 200) throw new Error(`${status} ${text}`);
        if (++requests > 50) firstRound.resolve();
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    await Promise.race([firstRound.promise, clients]);
    firstRound = Promise.withResolvers();
    const closed = inference.service.close();
    await clients;
    await closed;
    await expect(inference.get('/livez')).rejects.toThrow();
  });
});
