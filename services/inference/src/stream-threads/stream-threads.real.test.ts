/** Stream threads as the main thread keeps them: real threads, which do what a script says. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { createLogger, createMetrics, loadConfig, Registry } from '@assay/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { inferenceConfig } from '../config.ts';
import { routedEndpoint, snapshot } from '../domain/fake-versions.ts';
import { inferenceMetrics } from '../metrics.ts';
import { sharePackages } from './shared-packages.ts';
import { createStreamThreads, defaultThreads } from './stream-threads.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Threads whose starts go as the words say; see fixtures/scripted-stream-thread.ts. */
async function scripted(streamThreads: number, ...words: string[]) {
  const dir = await mkdtemp(join(tmpdir(), 'assay-stream-threads-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const script = join(dir, 'script');
  await writeFile(script, words.join('\n'));
  const lines: { level: string; msg: string }[] = [];
  const retained: string[][] = [];
  const registry = new Registry();
  createMetrics(inferenceMetrics, { registry });
  const threads = createStreamThreads({
    config: { ...loadConfig(inferenceConfig), streamThreads, cacheDir: script, retryFirstMs: 5, retryMaxMs: 20 },
    pipelines: [
      { name: 'p', endpoint: 'a', input: 'i', output: 'o', deadLetters: 'd', group: 'g', maxBatchRecords: 500 },
    ],
    kafka: { brokers: ['127.0.0.1:1'], clientId: 'test' },
    provider: { provider: 'cpu', fallback: false },
    packages: sharePackages({
      fetch: async ({ digest }) => {
        if (digest.endsWith('2')) throw new AssayError('UNAVAILABLE', 'the registry is away');
        return `/packages/${digest.slice(-1)}`;
      },
      retain: (digests) => retained.push([...digests].map((digest) => digest.slice(-1)).toSorted()),
    }),
    predictions: undefined,
    registry,
    log: createLogger({ service: 'test', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
    entry: new URL('./fixtures/scripted-stream-thread.ts', import.meta.url),
  });
  cleanups.push(() => threads.close());
  const scrape = async () => (await registry.metrics()).split('\n');
  return { threads, lines, retained, scrape };
}

const until = (condition: () => unknown) => expect.poll(condition, { timeout: 30_000 }).toBe(true);

describe('stream threads', () => {
  test('are ready once every pipeline has run, and are gone once they are closed', async () => {
    const { threads, scrape } = await scripted(2, 'serve');
    expect(threads.readiness()).toEqual({ ready: false, message: 'pipeline "p" is starting' });
    threads.start();
    await until(() => threads.readiness().ready);
    const running = await scrape();
    expect(running).toContain('assay_stream_records_total{pipeline="p",outcome="result"} 2');
    expect(running).toContain('assay_stream_thread_restarts_total 0');
    await threads.close();
    const closed = await scrape();
    expect(closed).toContain('assay_stream_records_total{pipeline="p",outcome="result"} 2');
    expect(closed.filter((line) => line.startsWith('assay_stream_lag_records{'))).toEqual([]);
  });

  test('that fail are started again; readiness says so meanwhile, and no counter falls', async () => {
    const { threads, lines, scrape } = await scripted(1, 'crash', 'refuse', 'serve');
    threads.start();
    await until(() => threads.readiness().ready);
    expect(await scrape()).toContain('assay_stream_records_total{pipeline="p",outcome="result"} 1');
    await until(() => lines.filter(({ level }) => level === 'error').length === 2);
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      { err: { message: 'out of luck' }, streamThread: 1 },
      { err: { message: 'no luck' } },
    ]);
    expect(threads.readiness().ready).toBe(true);
    await until(() => threads.readiness().message === undefined);
    const again = await scrape();
    expect(again).toContain('assay_stream_records_total{pipeline="p",outcome="result"} 2');
    expect(again).toContain('assay_stream_lag_records{pipeline="p",partition="0"} 7');
    expect(again).toContain('assay_stream_thread_restarts_total 2');
  });

  test('say why while they cannot be started', async () => {
    const { threads } = await scripted(1, ...Array.from({ length: 100 }, () => 'refuse'));
    threads.start();
    await until(() => threads.readiness().message?.includes('stream thread 1 failed and is started again: no luck'));
    expect(threads.readiness().ready).toBe(false);
    await threads.close(); // while one of them waits
  });

  test('are given the endpoints of their pipelines, and fetch packages through the main thread', async () => {
    const { threads, lines, retained } = await scripted(1, 'serve');
    const first = snapshot(1, routedEndpoint('a', 1, [1, 2]), routedEndpoint('other', 1, [3]));
    threads.route(first, first);
    threads.start();
    await until(() => lines.length === 3);
    expect(lines.slice(1).map(({ msg }) => msg)).toEqual(['package /packages/1', 'no package: the registry is away']);
    await until(() => retained.length === 1);
    expect(retained).toEqual([['1', '2']]);
    // Another endpoint's change is no news.
    threads.route(snapshot(2, routedEndpoint('a', 1, [1, 2]), routedEndpoint('other', 2, [4])), first);
    threads.route(snapshot(3, routedEndpoint('a', 2, [5])), first);
    await until(() => lines.some(({ msg }) => msg === 'package /packages/5'));
    expect(lines.length).toBe(4);
    expect(retained.at(-1)).toEqual(['5']);
    await threads.close();
    expect(retained.at(-1)).toEqual([]);
  });
});

test('by itself there is a thread a core but one, and not more than four', () => {
  expect([1, 2, 4, 64].map((cores) => defaultThreads(cores))).toEqual([1, 1, 3, 4]);
});
