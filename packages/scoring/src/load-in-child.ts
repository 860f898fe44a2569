/**
 * Models that are not trusted are first loaded in a process of their own. A graph may crash the process that runs it, take
 * all memory, or never end; then it ends there, with a reason.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  AssayError,
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetail,
  type PackageFile,
  type Signature,
} from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import type { GoldenReport } from './golden-records.ts';
import type { Batching, ExecutionClass } from './interfaces.ts';

export interface ChildLimits {
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** Most resident memory of the child. Enforced where the system has /proc. Default 2 GiB. */
  readonly maxMemoryBytes?: number;
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MEMORY_BYTES = 2 * 1024 ** 3;
/** How often the child's memory is looked at: it may overshoot by what it can touch meanwhile. */
const MEMORY_POLL_MS = 20;
/** Of what the child has to say. */
const MAX_REPORT_BYTES = 16 * 1024 * 1024;
const MAX_STDERR_CHARACTERS = 4000;

/** What was found out about a package that loads and reproduces its golden records. */
export interface LoadReport {
  readonly digest: string;
  readonly signature: Signature;
  readonly executionClass: ExecutionClass;
  readonly call: 'native' | 'public';
  readonly packed: boolean;
  readonly batching: Batching;
  readonly batchInvariant: boolean;
  readonly measured: { readonly oneRowUs: number; readonly fullBatchUs: number };
  readonly notes: readonly string[];
  readonly golden: GoldenReport;
}

/**
 * Opens a package, loads its graph and verifies its golden records, all in a child process.
 * @throws AssayError UNPROCESSABLE_MODEL with the reason, the signal of a crash included; CANCELLED when aborted
 */
export async function loadInChild(packageDir: string, limits: ChildLimits = {}): Promise<LoadReport> {
  return (await runInChild(entry(), ['check', resolve(packageDir)], limits)) as LoadReport; // what the entry writes for `check`
}

/**
 * `packageFromOnnx` in a child process: writes a package for the ONNX file at `onnxPath` into the new folder `dir`.
 * @throws AssayError as `loadInChild`
 */
export async function packageOnnxInChild(
  onnxPath: string,
  options: ChildLimits & { readonly dir: string; readonly description?: string },
): Promise<{ readonly digest: string; readonly files: PackageFile[] }> {
  const { dir, description = '', ...limits } = options;
  const written = await runInChild(entry(), ['package', resolve(onnxPath), resolve(dir), description], limits);
  return written as { digest: string; files: PackageFile[] }; // what the entry writes for `package`
}

/** What the child writes to its file descriptor 3. */
type ChildAnswer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetail[] } };

function entry(): URL {
  return entryUrl('packages/scoring', 'check-package');
}

/** Runs an entry that answers on file descriptor 3, within limits. Exported for tests of how entries end. */
export async function runInChild(entry: URL, args: readonly string[], limits: ChildLimits): Promise<unknown> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxMemoryBytes = DEFAULT_MEMORY_BYTES, signal } = limits;
  if (signal?.aborted === true) throw new AssayError('CANCELLED', 'the check of the model was cancelled');
  const child = startChild(entry, args, timeoutMs, maxMemoryBytes);
  let killedFor: AssayError | undefined;
  const kill = (reason: AssayError): void => {
    killedFor ??= reason;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => kill(refused(`it was not loaded within ${timeoutMs} ms`)), timeoutMs);
  const onAbort = (): void => kill(new AssayError('CANCELLED', 'the check of the model was cancelled'));
  signal?.addEventListener('abort', onAbort, { once: true });
  const watch = watchMemory(child, maxMemoryBytes, (bytes) =>
    kill(
      refused(
        `it took ${Math.round(bytes / 1024 ** 2)} MiB of memory, more than the ${Math.round(maxMemoryBytes / 1024 ** 2)} MiB allowed`,
      ),
    ),
  );
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_STDERR_CHARACTERS);
  });
  const report: Buffer[] = [];
  let reportBytes = 0;
  child.stdio[3]?.on('data', (bytes: Buffer) => {
    reportBytes += bytes.length;
    if (reportBytes <= MAX_REPORT_BYTES) report.push(bytes);
  });
  try {
    const { code, signalName } = await ended(child);
    if (killedFor !== undefined) throw killedFor;
    const answer = readAnswer(Buffer.concat(report).toString());
    if (answer === undefined) throw crashed(code, signalName, stderr);
    if ('error' in answer) {
      throw new AssayError(answer.error.code, answer.error.message, { details: answer.error.details });
    }
    return answer.result;
  } finally {
    clearTimeout(timer);
    clearInterval(watch);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * The shell sets what only a process can set for itself: no core file, and an end to its CPU time even if this process is
 * gone by then and cannot kill it. The child gets no environment: it has no business with what is in ours.
 */
function startChild(entry: URL, args: readonly string[], timeoutMs: number, maxMemoryBytes: number): ChildProcess {
  const maxHeapMegabytes = Math.max(64, Math.round(maxMemoryBytes / 2 / 1024 ** 2));
  const node = [process.execPath, ...nodeArguments({ maxHeapMegabytes }), fileURLToPath(entry), ...args];
  const cpuSeconds = Math.ceil(timeoutMs / 1000) * 4 + 10;
  return spawn('/bin/sh', ['-c', 'ulimit -c 0; ulimit -t "$1"; shift; exec "$@"', 'sh', String(cpuSeconds), ...node], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { MALLOC_ARENA_MAX: '2' },
  });
}

function ended(child: ChildProcess): Promise<{ code: number | null; signalName: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new AssayError('UNAVAILABLE', `no process can be started to check the model: ${cause.message}`, { cause }),
      );
    });
    child.once('close', (code, signalName) => resolve({ code, signalName }));
  });
}

function watchMemory(child: ChildProcess, maxMemoryBytes: number, exceeded: (bytes: number) => void): NodeJS.Timeout {
  return setInterval(async () => {
    try {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
      if (kibibytes !== undefined && Number(kibibytes) * 1024 > maxMemoryBytes) exceeded(Number(kibibytes) * 1024);
    } catch {
      // it has ended, or the system has no /proc
    }
  }, MEMORY_POLL_MS);
}

function readAnswer(text: string): ChildAnswer | undefined {
  try {
    const answer = JSON.parse(text) as ChildAnswer; // of our own entry; checked where it matters
    if ('error' in answer && !ERROR_CODES.includes(answer.error.code)) return undefined;
    return answer;
  } catch {
    return undefined; // it ended before it had written all
  }
}

function crashed(code: number | null, signalName: NodeJS.Signals | null, stderr: string): AssayError {
  const how = signalName === null ? `exit code ${code}` : signalName;
  const said = stderr
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(0);
  return refused(`the process that loaded it ended with ${how}${said === undefined ? '' : `: ${said.slice(0, 300)}`}`);
}

function refused(why: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', `the model was refused: ${why}`);
}
