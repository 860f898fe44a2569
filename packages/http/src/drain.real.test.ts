import { Agent, request } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { App } from './app.ts';
import { appUnderTest, connectRaw } from './app-under-test.ts';
import { drainAndClose } from './drain.ts';
import { listen } from './listen.ts';

let app: App;
let url: string;
/** Requests of `/v1/slow` wait for this. */
let release: () => void;
let slowArrived: Promise<void>;

beforeEach(async () => {
  ({ app } = appUnderTest());
  const gate = Promise.withResolvers<void>();
  const arrival = Promise.withResolvers<void>();
  release = gate.resolve;
  slowArrived = arrival.promise;
  app.get('/v1/slow', async () => {
    arrival.resolve();
    await gate.promise;
    return { done: true };
  });
  app.get('/v1/fast', async () => ({ done: true }));
  url = await listen(app, { host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  release();
  await app.close();
});

interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly body: string;
}

function get(path: string, agent: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}${path}`, { agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode, connection: response.headers.connection, body }));
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
}

test('under load no request of a keep-alive connection fails', async () => {
  const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  const answers: Answer[] = [];
  const failures: unknown[] = [];
  let isOver = false;
  const clients = agents.map(async (agent) => {
    // A client goes on until it is told to close, as one behind a load balancer does.
    for (let isTold = false; !isTold && !isOver; ) {
      try {
        const answer = await get('/v1/fast', agent);
        answers.push(answer);
        isTold = answer.connection === 'close';
      } catch (error) {
        failures.push(error);
        isTold = true;
      }
    }
  });
  await expect.poll(() => answers.length, { timeout: 20_000 }).toBeGreaterThan(100);
  const outcome = await drainAndClose(app, { drainDelayMs: 50, closeTimeoutMs: 60_000 });
  isOver = true;
  await Promise.all(clients);
  for (const agent of agents) agent.destroy();
  expect(failures).toEqual([]);
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(answers.filter(({ connection }) => connection === 'close')).toHaveLength(agents.length);
  expect(outcome).toEqual({ cutOff: 0 });
});

test('during the delay it is not ready and answers as before, on new connections too', async () => {
  const hurry = new AbortController();
  const drained = drainAndClose(app, { drainDelayMs: 600_000, closeTimeoutMs: 60_000, signal: hurry.signal });
  const agent = new Agent({ keepAlive: true });
  const readiness = await get('/readyz', agent);
  const answer = await get('/v1/fast', new Agent());
  expect([readiness.status, readiness.connection, answer.status]).toEqual([503, 'keep-alive', 200]);
  expect(readiness.body).toContain('the process is stopping');
  hurry.abort();
  expect(await drained).toEqual({ cutOff: 0 });
  agent.destroy();
});

test('what is in flight is waited for, and nothing new is accepted meanwhile', async () => {
  const agent = new Agent({ keepAlive: true });
  const slow = get('/v1/slow', agent);
  await slowArrived;
  const drained = drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 5000 });
  const tryNew = () => get('/v1/fast', new Agent()).catch((error) => error.code);
  await expect.poll(tryNew, { timeout: 20_000 }).toBe('ECONNREFUSED');
  release();
  expect(await slow).toEqual({ status: 200, connection: 'close', body: '{"done":true}' });
  expect(await drained).toEqual({ cutOff: 0 });
  agent.destroy();
});

test('what takes too long is cut off and counted', async () => {
  const slow = get('/v1/slow', new Agent()).catch((error) => error.code);
  await slowArrived;
  expect(await drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 50 })).toEqual({ cutOff: 1 });
  expect(await slow).toBe('ECONNRESET');
});

test('an abort skips the delay and the wait', async () => {
  const slow = get('/v1/slow', new Agent()).catch((error) => error.code);
  await slowArrived;
  const hurry = new AbortController();
  const drained = drainAndClose(app, { drainDelayMs: 60_000, closeTimeoutMs: 60_000, signal: hurry.signal });
  hurry.abort();
  expect(await drained).toEqual({ cutOff: 1 });
  expect(await slow).toBe('ECONNRESET');
});

test('idle, half open and untouched connections do not hold it up', async () => {
  const idle = await connectRaw(url);
  idle.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await idle.sees(/"ok"/);
  const halfOpen = await connectRaw(url);
  halfOpen.write('POST /v1/fast HTTP/1.1\r\nHost: loc');
  const untouched = await connectRaw(url);
  const outcome = await drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 60_000 });
  expect(outcome).toEqual({ cutOff: 0 });
  const received = await Promise.all([idle.closed, halfOpen.closed, untouched.closed]);
  expect(received.map((text) => text.length > 0)).toEqual([true, false, false]);
});

test('an app that never listened closes too', async () => {
  const { app: other } = appUnderTest();
  await other.ready();
  expect(await drainAndClose(other, { drainDelayMs: 0, closeTimeoutMs: 1000 })).toEqual({ cutOff: 0 });
});
