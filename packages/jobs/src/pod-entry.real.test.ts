/** The program of a job's container, run as the container runtime does: with what it is given in files. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { entryUrl } from '@assay/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Behaviour } from './conformance-job.ts';
import { readLaunchWord } from './launch-word.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-pod-'));
  await mkdir(join(dir, 'launch'));
  await mkdir(join(dir, 'work'));
});
afterEach(() => rm(dir, { recursive: true }));

async function give(spec: unknown, environment: Record<string, string> = {}): Promise<void> {
  await writeFile(join(dir, 'launch', 'spec.json'), JSON.stringify(spec));
  await writeFile(join(dir, 'launch', 'environment.json'), JSON.stringify(environment));
}

function start(entry = new URL('./conformance-job.ts', import.meta.url).href) {
  const child = spawn(process.execPath, [fileURLToPath(entryUrl('packages/jobs', 'pod')), entry], {
    env: {
      PATH: process.env.PATH,
      ASSAY_LAUNCH_ID: 'job_a.1',
      ASSAY_LAUNCH_DIR: join(dir, 'launch'),
      ASSAY_WORK_DIR: join(dir, 'work'),
      ASSAY_WORD_FILE: join(dir, 'word'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const ended = once(child, 'close').then(async ([exitCode, signal]) => {
    const word = await readFile(join(dir, 'word'), 'utf8').catch(() => undefined);
    return { exitCode, signal, output, word: readLaunchWord(word) };
  });
  return { child, ended, output: () => output };
}

async function run(behaviour: Behaviour, environment?: Record<string, string>) {
  await give(behaviour, environment);
  return start().ended;
}

describe("the program of a job's container", () => {
  it('runs the job with its spec and id, and says that it succeeded', async () => {
    const { exitCode, output, word } = await run({ do: 'print', text: 'hello' });
    expect(exitCode).toBe(0);
    expect(output).toContain('hello\n');
    expect(output).toContain('id job_a.1\n');
    expect(word).toMatchObject({ outcome: 'succeeded', endedAtMs: expect.any(Number) });
  });

  it('gives the job its environment, which was on no command line', async () => {
    const { output } = await run({ do: 'print-environment' }, { ASSAY_JOB_TOKEN: 'token-of-this-job' });
    const [environment, argv] = output.split('\n');
    expect(environment).toContain('"ASSAY_JOB_TOKEN":"token-of-this-job"');
    expect(argv).not.toContain('token-of-this-job');
  });

  it('takes the trace of the job from there', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const { output } = await run({ do: 'print-trace' }, { TRACEPARENT: `00-${traceId}-00f067aa0ba902b7-01` });
    const [first, call] = output.split('\n');
    expect(first).toContain(`Z trace ${traceId}`);
    expect(call).toContain(`"traceparent":"00-${traceId}-`);
  });

  it.each([
    ['configuration', 64, 'configuration'],
    ['data', 65, 'data'],
    ['bug', 70, 'internal'],
    ['unheard-promise', 70, 'internal'],
    ['unavailable', 75, 'internal'],
  ] as const)('tells by exit code and word why it failed: %s', async (as, code, kind) => {
    const { exitCode, word } = await run({ do: 'fail', as });
    expect(exitCode).toBe(code);
    expect(word).toMatchObject({ outcome: 'failed', failure: { kind } });
  });

  it('does not let a job that ends early pass for one that succeeded', async () => {
    expect(await run({ do: 'exit', code: 0 })).toMatchObject({ exitCode: 70, word: undefined });
    expect(await run({ do: 'exit', code: 3 })).toMatchObject({ exitCode: 3, word: undefined });
  });

  it('stops the job at SIGTERM', async () => {
    await give({ do: 'wait' });
    const { child, ended, output } = start();
    await expect.poll(output, { timeout: 20_000 }).toContain('waiting');
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ exitCode: 143, word: undefined });
  });

  it('says that it was given nothing', async () => {
    const { exitCode, word } = await start().ended;
    expect(exitCode).toBe(64);
    expect(word).toHaveProperty('failure.message', expect.stringContaining('spec.json'));
  });

  it('says that the image holds no such job', async () => {
    await give({});
    const { exitCode, word } = await start('file:///nowhere/job.mjs').ended;
    expect(exitCode).toBe(70);
    expect(word).toHaveProperty('failure.message', expect.stringContaining('/nowhere/job.mjs'));
  });
});
