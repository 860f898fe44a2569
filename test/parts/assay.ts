/** Starts the real `assay up` in a process of its own, on a data folder of its own, and waits until it says it is ready. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODE = join(ROOT, 'tools/node');
const COMMAND = join(ROOT, 'cli/bin/assay.mjs');

export interface RunFile {
  readonly pid: number;
  readonly version: string;
  readonly services: Readonly<
    Record<'registry' | 'inference' | 'training' | 'batch' | 'monitoring', { readonly http: string }>
  >;
}

export interface StartedAssay extends AsyncDisposable {
  readonly dataDir: string;
  readonly run: RunFile;
  readonly process: ChildProcess;
  /** All that it printed so far. */
  output(): string;
  /** Stops it as Ctrl-C does and gives its exit code. */
  stop(): Promise<number | null>;
  /** kill -9. */
  kill(): Promise<void>;
}

export interface StartOptions {
  /** Default: a new one, removed with the process. */
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The first start trains the example. */
  readonly readyWithinMs?: number;
}

/** A folder for one test, removed when it goes out of scope. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'assay-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

export async function startAssay(options: StartOptions = {}): Promise<StartedAssay> {
  const owned = options.dataDir === undefined ? await temporaryFolder() : undefined;
  const dataDir = options.dataDir ?? owned?.path ?? '';
  let output = '';
  const child = spawn(NODE, [COMMAND, 'up'], {
    cwd: ROOT,
    env: {
      ...process.env,
      ASSAY_DATA_DIR: dataDir,
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_INFERENCE_PORT: '0',
      ASSAY_TRAINING_PORT: '0',
      ASSAY_BATCH_PORT: '0',
      ASSAY_MONITORING_PORT: '0',
      // Fetched once for all tests, not once a data folder.
      ASSAY_TRAINING_LIBRARY_CACHE_DIR: join(ROOT, '.cache/libraries'),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output += text;
    });
  }
  const exited = once(child, 'close');
  const finish = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    await exited;
    return child.exitCode;
  };
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await finish('SIGTERM');
    await owned?.[Symbol.asyncDispose]();
  };
  try {
    const run = await untilReady(dataDir, child, options.readyWithinMs ?? 120_000, () => output);
    return {
      dataDir,
      run,
      process: child,
      output: () => output,
      stop: () => finish('SIGINT'),
      kill: async () => {
        process.kill(run.pid, 'SIGKILL');
        await exited;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** `run.json` of a process that was killed is still there: only the one that this child wrote counts. */
async function untilReady(
  dataDir: string,
  child: ChildProcess,
  limitMs: number,
  output: () => string,
): Promise<RunFile> {
  const path = join(dataDir, 'run.json');
  const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  const deadline = Date.now() + limitMs;
  for (;;) {
    const ended = child.exitCode ?? child.signalCode;
    if (ended !== null) throw new Error(`assay up ended with ${ended}:\n${output()}`);
    if (existsSync(path)) {
      const text = readFileSync(path, 'utf8');
      if (text !== before) return JSON.parse(text);
    }
    if (Date.now() > deadline) throw new Error(`assay up was not ready within ${limitMs} ms:\n${output()}`);
    await delay(50);
  }
}
