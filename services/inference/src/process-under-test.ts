/** For the tests of this service: the service as a process of its own, as the images run it, and what the kernel says of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { entryUrl, nodeArguments } from '@assay/runtime';

/** What a process holds now. */
export interface Usage {
  /** Its resident memory; of a process that was not told to free memory, what its allocator keeps too. */
  readonly residentBytes: number;
  readonly openFiles: number;
  readonly threads: number;
}

export interface InferenceProcess extends AsyncDisposable {
  readonly url: string;
  /** Host and port, where it was given a port for gRPC. */
  readonly grpc: string | undefined;
  readonly pid: number;
  usage(): Usage;
  /** All that it logged, as text. */
  log(): string;
  /** Sends SIGTERM. Resolves with its exit code; null where a signal ended it. */
  stop(): Promise<number | null>;
}

export interface ProcessOptions {
  readonly dir: string;
  readonly registryUrl: string;
  readonly settings?: Settings;
  /** Instead of the sources: the bundle, whose memory is that of the images. */
  readonly entry?: string;
}

/** By the names that follow `ASSAY_INFERENCE_`. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

/** As the images set it (dockerfiles/Dockerfile). Without it what models held stays with the allocator. */
const ALLOCATOR = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '65536' };

/** Resolves when it listens. */
export function startInference(options: ProcessOptions): Promise<InferenceProcess> {
  const { dir, registryUrl, settings = {} } = options;
  const entry = options.entry ?? fileURLToPath(entryUrl('services/inference', 'inference'));
  const env = { ASSAY_REGISTRY_URL: registryUrl };
  return startProgram([entry], { PORT: 0, CACHE_DIR: dir, ...settings }, env, (said) => ({
    url: /http:[^\s,]+/.exec(said)?.[0] ?? '',
    grpc: /gRPC on (\S+)/.exec(said)?.[1],
  }));
}

/**
 * Starts a program that serves.
 * @param addresses reads where it listens from the first line that it prints
 */
export async function startProgram(
  args: readonly string[],
  settings: Settings,
  env: Readonly<Record<string, string>>,
  addresses: (said: string) => Pick<InferenceProcess, 'url' | 'grpc'>,
): Promise<InferenceProcess> {
  const named = Object.entries(settings).map(([name, value]) => [`ASSAY_INFERENCE_${name}`, String(value)]);
  const child = spawn(process.execPath, [...nodeArguments(), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      TMPDIR: process.env.TMPDIR,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      ASSAY_LOG_LEVEL: 'warn',
      ...ALLOCATOR,
      ...env,
      ...Object.fromEntries(named),
    },
  });
  let log = '';
  const closed = once(child, 'close');
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), closed.then(() => undefined)]);
  const { pid } = child;
  if (first === undefined || pid === undefined) throw new Error(`the service ended: ${log}`);
  lines.on('line', (line) => {
    log += `${line}\n`;
  });
  return {
    ...addresses(String(first[0])),
    pid,
    usage: () => usageOf(pid),
    log: () => log,
    async stop() {
      child.kill('SIGTERM');
      await closed;
      return child.exitCode;
    },
    [Symbol.asyncDispose]: () => end(child, closed),
  };
}

async function end(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await closed;
}

/** @throws Error when there is no such process */
export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    residentBytes: field('VmRSS') * 1024,
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    threads: field('Threads'),
  };
}

/** The processes that a process started, and they, and so on; none where it has ended. */
export function descendantsOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  const text = existsSync(path) ? readFileSync(path, 'latin1').trim() : '';
  return text === '' ? [] : text.split(' ').flatMap((child) => [Number(child), ...descendantsOf(Number(child))]);
}

/** What a process holds, of what it shares with others only its part. */
export function proportionalBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]) * 1024;
}
