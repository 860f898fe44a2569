/**
 * SIGTERM to `assay serve` while real clients ask it without a pause, and another server stands by: no request fails, and
 * nothing is left. `make soak` has a drain delay that is longer than what a stop may take by default (SOAK_DRAIN_MS).
 */

import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { versionModel } from '../../services/inference/src/models-under-test.ts';
import { descendantsOf, type InferenceProcess, startProgram } from '../../services/inference/src/process-under-test.ts';
import { ROOT, temporaryFolder } from '../parts/assay.ts';
import {
  type Address,
  agentClient,
  fetchClient,
  grpcClient,
  grpcStreamClient,
  type KeepAliveClient,
  rawClient,
} from './keep-alive-clients.ts';

const DRAIN_DELAY_MS = Number(process.env.SOAK_DRAIN_MS ?? 1500);
const CLOSE_TIMEOUT_MS = 10_000;
/** How often a load balancer asks. The delay must be longer than it takes to hear of it. */
const PROBE_MS = 100;
const EACH = 4;
const ENOUGH = 100;

const resources = new AsyncDisposableStack();
let dir: string;
beforeAll(async () => {
  dir = resources.use(await temporaryFolder()).path;
  await Promise.all([1, 2].map((number) => versionModel(dir, number)));
});
afterAll(() => resources.disposeAsync());

/** Its model gives `number`: an answer says which server it is of. */
function serve(number: number, lane: boolean, tmp: string): Promise<InferenceProcess> {
  const model = `number=${join(dir, `version-${number}`)}`;
  const args = [join(ROOT, 'cli/src/main.ts'), 'serve', model, '--http', '0', '--grpc-port', '0', '--json'];
  const settings = { LANE: lane, DRAIN_DELAY_MS, CLOSE_TIMEOUT_MS };
  return startProgram(args, settings, { TMPDIR: tmp }, (line) => {
    const { http, grpc } = JSON.parse(line) as { http: string; grpc: string }; // what serve prints with --json
    return { url: http, grpc };
  });
}

/** On a connection of its own; undefined where nobody listens. */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    request(url, { agent: false, timeout: 5000 }, (response) => resolve(response.resume().statusCode))
      .once('error', () => resolve(undefined))
      .end();
  });
}

/** What a load balancer does: asks each server whether it is ready, and sends who comes to the first that is. */
async function balance(addresses: readonly Address[]) {
  const stopping = new AbortController();
  let ready = addresses;
  const probe = async () => {
    const statuses = await Promise.all(addresses.map(({ url }) => statusOf(`${url}/v2/health/ready`)));
    ready = addresses.filter((_, i) => statuses[i] === 200);
  };
  await probe();
  const probing = (async () => {
    while (!stopping.signal.aborted) {
      await delay(PROBE_MS);
      await probe();
    }
  })();
  return {
    pick(): Address {
      const [first] = ready;
      if (first === undefined) throw new Error('no server is ready');
      return first;
    },
    ready: () => ready,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await probing;
    },
  };
}

/** Each client asks one thing after another; how often each was answered by which server. */
function ask(clients: readonly KeepAliveClient[]) {
  let isOver = false;
  const answered = clients.map(() => new Map<number, number>());
  const work = Promise.all(
    clients.map(async (client, i) => {
      try {
        while (!isOver) {
          const number = await client.ask();
          answered[i]?.set(number, (answered[i]?.get(number) ?? 0) + 1);
        }
      } catch (cause) {
        throw new Error(`a request of ${client.name} failed`, { cause });
      } finally {
        client.close();
      }
    }),
  );
  work.catch(() => undefined); // told by `stop`
  return {
    /** How many of its answers the client that was served least by this server has of it. */
    least: (number: number) => Math.min(...answered.map((counts) => counts.get(number) ?? 0)),
    total: () => answered.reduce((sum, counts) => sum + [...counts.values()].reduce((a, b) => a + b, 0), 0),
    async stop() {
      isOver = true;
      await work;
    },
    failed: work,
  };
}

describe.each([true, false])('by the lane: %s', (lane) => {
  test('a stop under load fails no request, ends in time and leaves nothing', { timeout: 120_000 }, async () => {
    await using tmp = await temporaryFolder();
    await using first = await serve(1, lane, tmp.path);
    await using second = await serve(2, lane, tmp.path);
    const addresses = [first, second].map(({ url, grpc = '' }) => ({ url, grpc }));
    await using balancer = await balance(addresses);
    expect(balancer.ready()).toHaveLength(2);
    const ways = [fetchClient, agentClient, rawClient, grpcStreamClient];
    const byReadiness = ways.flatMap((way) => Array.from({ length: EACH }, () => way(balancer.pick)));
    const load = ask([...byReadiness, ...Array.from({ length: EACH }, () => grpcClient(addresses))]);
    const until = (done: () => boolean) => expect.poll(done, { timeout: 60_000, interval: 20 }).toBe(true);
    await Promise.race([until(() => load.least(1) > ENOUGH), load.failed]);
    expect(load.least(2)).toBe(0);

    const startMs = performance.now();
    const stopped = first.stop();
    // It says so, and is there for whoever has not heard yet.
    await until(() => balancer.ready().length === 1);
    expect(performance.now() - startMs).toBeLessThan(DRAIN_DELAY_MS);
    expect(await statusOf(`${first.url}/v2/health/live`)).toBe(200);

    expect(await stopped).toBe(0);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeGreaterThan(DRAIN_DELAY_MS);
    expect(tookMs).toBeLessThan(DRAIN_DELAY_MS + CLOSE_TIMEOUT_MS / 2);
    const before = load.least(2);
    await Promise.race([until(() => load.least(2) > before + ENOUGH), load.failed]);
    await load.stop();
    console.log(`by the lane: ${lane}: ${load.total()} requests, none failed; the stop took ${tookMs.toFixed(0)} ms`);

    expect(first.log()).toBe('');
    expect(await statusOf(`${first.url}/v2/health/live`)).toBeUndefined();
    expect(descendantsOf(second.pid)).toEqual([]);
    const left = async () => (await readdir(tmp.path)).filter((name) => name.startsWith('assay-serve-'));
    expect(await left()).toHaveLength(1);
    expect(await second.stop()).toBe(0);
    expect(await left()).toEqual([]);
  });
});
