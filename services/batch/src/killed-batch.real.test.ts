import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from './batch-under-test.ts';
import type { BatchJobInput } from './job/run-job.ts';
import { flightModel, flightRecords, lcg, type MadeModel, writeCsv } from './models-under-test.ts';

/** A soak sets more. */
const KILLS = Number(process.env.SOAK_KILLS ?? 3);
const ROWS = 30_000;
const SHARD_ROWS = 2000;
const PROGRAM = fileURLToPath(new URL('./run-job-to-kill.ts', import.meta.url));

const opened = new AsyncDisposableStack();
let folder: string;
let model: MadeModel;
let path: string;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  model = await flightModel(folder);
  // Rows that fail and rows that are broken are among them.
  const records = flightRecords(ROWS).map((record, i) => (i % 97 === 5 ? { ...record, hour: 70 + (i % 7) } : record));
  path = await writeCsv(join(folder, 'rows.csv'), records);
  const lines = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, lines.map((line, i) => (i % 211 === 9 ? `${line},"more"` : line)).join('\n'));
});
afterAll(() => opened.disposeAsync());

function inputOf(baseDir: string, format: 'csv' | 'parquet'): BatchJobInput {
  return {
    jobId: 'job_killed',
    baseDir,
    spec: {
      model: 'flights',
      input: { path, select: { distance: 'distance * 1.5' } },
      output: { path: 'out', format, columns: ['origin', 'distance'] },
      shardRows: SHARD_ROWS,
    },
    version: { modelName: 'flights', version: 1, versionId: 'ver_1', digest: model.digest },
    threads: 2,
    tableMemoryBytes: 256_000_000,
  };
}

interface Attempt {
  readonly wasKilled: boolean;
  readonly log: string;
  readonly exitCode: number | null;
}

/** Runs an attempt; it is killed so long after its first shard is begun, if it has not ended by then. */
async function attempt(input: BatchJobInput, killAfterMs?: number): Promise<Attempt> {
  const child = spawn(process.execPath, [PROGRAM, model.dir, JSON.stringify(input)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let log = '';
  const begun = new Promise<void>((resolve) => {
    child.stdout.on('data', (text) => {
      log += text;
      if (log.includes('score: ')) resolve();
    });
    child.once('exit', () => resolve());
  });
  if (killAfterMs !== undefined) {
    await begun;
    await Promise.race([delay(killAfterMs), exited]);
    child.kill('SIGKILL');
  }
  await exited;
  return { wasKilled: child.signalCode === 'SIGKILL', log, exitCode: child.exitCode };
}

async function filesOf(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(join(dir, 'out'))).sort();
  const contents = await Promise.all(names.map((name) => readFile(join(dir, 'out', name), 'base64')));
  return Object.fromEntries(names.map((name, i) => [name, contents[i] ?? '']));
}

test.each(['parquet', 'csv'] as const)(
  `a job that is killed at any moment, ${KILLS} times, leaves the same %s files to the byte`,
  async (format) => {
    const [undisturbed, killed] = [join(folder, `undisturbed-${format}`), join(folder, `killed-${format}`)];
    await mkdir(undisturbed);
    await mkdir(killed);
    const begin = performance.now();
    const whole = await attempt(inputOf(undisturbed, format));
    expect(whole.exitCode).toBe(0);
    const wholeMs = performance.now() - begin;
    const expected = await filesOf(undisturbed);
    expect(Object.keys(expected).filter((name) => name.startsWith('results'))).toHaveLength(ROWS / SHARD_ROWS);
    expect(Object.keys(expected).filter((name) => name.startsWith('errors'))).toHaveLength(ROWS / SHARD_ROWS);

    const random = lcg(Number(process.env.SOAK_SEED ?? 7));
    let kills = 0;
    let resumed = 0;
    let rounds = 0;
    while (kills < KILLS) {
      // Short lives, so that one job is killed many times; when it ends nevertheless, another one is begun.
      const { wasKilled, log, exitCode } = await attempt(inputOf(killed, format), (random() * wholeMs) / 6);
      if (/goes on behind shard \d+/.test(log)) resumed++;
      if (wasKilled) kills++;
      else {
        expect(exitCode).toBe(0);
        expect(await filesOf(killed)).toEqual(expected);
        await rm(join(killed, 'out'), { recursive: true });
      }
      if (++rounds > 10 * KILLS + 10) throw new Error(`${rounds} attempts gave ${kills} kills only`);
    }
    expect((await attempt(inputOf(killed, format))).exitCode).toBe(0);
    expect(await filesOf(killed)).toEqual(expected);
    expect(resumed).toBeGreaterThan(0);
  },
  Math.max(120_000, KILLS * 15_000),
);
