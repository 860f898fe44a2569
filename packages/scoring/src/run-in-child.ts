/**
 * What may crash the process that does it, take all memory or never end is done in a process of its own: it ends there,
 * with a reason.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AssayError, ERROR_CODES, type ErrorCode, type ErrorDetail } from '@assay/contracts';
import { nodeArguments } from '@assay/runtime';

export interface ChildLimits {
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** Most resident memory of the child. Enforced where the system has /proc. Default 2 GiB. */
  readonly maxMemoryBytes?: number;
  readonly signal?: AbortSignal;
}

export interface ChildRun extends ChildLimits {
  /** What is thrown when the child crashes or passes its limits, from the reason in words. */
  readonly refused: (why: string) => AssayError;
  /** Beside what every child gets. */
  readonly environment?: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MEMORY_BYTES = 2 * 1024 ** 3;
/** How often the child's memory is looked at: it may overshoot by what it can touch meanwhile. */
const MEMORY_POLL_MS = 20;
/** Of what the child has to say. */
const MAX_REPORT_BYTES = 16 * 1024 * 1024;
const MAX_STDERR_CHARACTERS = 4000;

/** What the child writes to its file descriptor 3. */
type ChildAnswer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetail[] } };

/**
 * Runs an entry that answers on file descriptor 3, within limits.
 * @throws AssayError that of the entry; what `refused` makes of a crash, or of a limit that was passed; CANCELLED
 */
export async function runInChild(entry: URL, args: readonly string[], run: ChildRun): Promise<unknown> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxMemoryBytes = DEFAULT_MEMORY_BYTES, signal, refused } = run;
  if (signal?.aborted === true) throw new AssayError('CANCELLED', 'the check of the model was cancelled');
  const child = startChild(entry, args, { timeoutMs, maxMemoryBytes, environment: run.environment ?? {} });
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
    if (answer === undefined) throw refused(`the process that loaded it ended with ${endOf(code, signalName, stderr)}`);
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
 * gone by then and cannot kill it. Of our environment the child gets what it is given by name, and nothing else.
 */
function startChild(
  entry: URL,
  args: readonly string[],
  { timeoutMs, maxMemoryBytes, environment }: Required<Pick<ChildRun, 'timeoutMs' | 'maxMemoryBytes' | 'environment'>>,
): ChildProcess {
  const maxHeapMegabytes = Math.max(64, Math.round(maxMemoryBytes / 2 / 1024 ** 2));
  const node = [process.execPath, ...nodeArguments({ maxHeapMegabytes }), fileURLToPath(entry), ...args];
  const cpuSeconds = Math.ceil(timeoutMs / 1000) * 4 + 10;
  return spawn('/bin/sh', ['-c', 'ulimit -c 0; ulimit -t "$1"; shift; exec "$@"', 'sh', String(cpuSeconds), ...node], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { MALLOC_ARENA_MAX: '2', ...environment },
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

/** `SIGSEGV: what it said first` */
function endOf(code: number | null, signalName: NodeJS.Signals | null, stderr: string): string {
  const said = stderr
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(0);
  return `${signalName ?? `exit code ${code}`}${said === undefined ? '' : `: ${said.slice(0, 300)}`}`;
}
