import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inferenceConfig } from '@assay/inference';
import { createLogger, loadConfig } from '@assay/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { createInferenceThread, type InferenceThread } from './inference-thread.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Watched {
  readonly thread: InferenceThread;
  readonly reports: string[];
}

/** A thread whose starts go as the words say; see fixtures/scripted-thread.ts. */
async function scripted(...words: string[]): Promise<Watched> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-thread-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const script = join(dir, 'script');
  await writeFile(script, words.join('\n'));
  const reports: string[] = [];
  const thread = createInferenceThread({
    config: { ...loadConfig(inferenceConfig), port: 0, cacheDir: script },
    log: createLogger({ service: 'test', level: 'silent' }),
    events: { publish: async () => undefined },
    restartFirstMs: 5,
    restartMaxMs: 20,
    report: (text) => reports.push(text),
    entry: new URL('./fixtures/scripted-thread.ts', import.meta.url),
  });
  cleanups.push(() => thread.close().catch(() => undefined));
  return { thread, reports };
}

async function until(condition: () => boolean): Promise<void> {
  const untilMs = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error('it did not happen within 30 s');
    await delay(5);
  }
}

const answers = async (url: string | undefined): Promise<boolean> =>
  fetch(url ?? '').then(
    (response) => response.ok,
    () => false,
  );

describe('the inference thread', () => {
  test('listens once it has started, and is gone once it is closed', async () => {
    const { thread, reports } = await scripted('serve');
    await thread.start();
    const url = thread.addresses.http;
    expect(await answers(url)).toBe(true);
    await thread.close();
    expect(await answers(url)).toBe(false);
    expect([thread.restarts, reports]).toEqual([0, []]);
  });

  test('that cannot start gives the reason of the service', async () => {
    const { thread } = await scripted('refuse');
    await expect(thread.start()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'the port is taken' });
  });

  test('that dies while it starts says so', async () => {
    const { thread } = await scripted('die');
    await expect(thread.start()).rejects.toMatchObject({ message: expect.stringContaining('ended with code 7') });
  });

  test('is started again at the same address after a crash, and a person is told', async () => {
    const { thread, reports } = await scripted('serve', 'serve');
    await thread.start();
    const url = thread.addresses.http;
    await fetch(`${url}/crash`);
    await until(() => reports.includes('inference runs again'));
    expect(thread.restarts).toBe(1);
    expect(thread.addresses.http).toBe(url);
    expect(await answers(url)).toBe(true);
    expect(reports[0]).toMatch(/inference stopped unexpectedly \(out of luck\); it starts again in 5 ms/);
  });

  test('is tried again, with growing pauses, until it starts', async () => {
    const { thread, reports } = await scripted('crash', 'refuse', 'die', 'refuse', 'serve');
    await thread.start();
    await until(() => reports.includes('inference runs again'));
    expect(await answers(thread.addresses.http)).toBe(true);
    expect(reports.map((text) => /in (\d+) ms/.exec(text)?.[1])).toEqual(['5', '10', '20', '20', undefined]);
  });

  test('can be closed while it waits to start again', async () => {
    const { thread, reports } = await scripted('crash', ...Array.from({ length: 50 }, () => 'refuse'));
    await thread.start();
    await until(() => reports.length > 1);
    await thread.close();
    expect(reports.length).toBeLessThan(50);
    expect(reports).not.toContain('inference runs again');
  });
});
