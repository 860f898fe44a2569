/** The life of a program: start, wait for a signal, drain, exit with a code that says how it went. */
import { AssayError } from '@assay/contracts';
import { EXIT_CODES, exitCodeOf } from './exit-codes.ts';
import type { Service } from './service.ts';
import { sourceStack } from './source-stack.ts';

export interface RunMainOptions {
  /** How long a graceful stop may take before the process ends anyway; `allowStop` lengthens it. */
  readonly closeTimeoutMs?: number;
  /** Called once when the service has started. */
  readonly onStarted?: (service: Service) => void | Promise<void>;
}

export interface RunContext {
  /** Aborted by the first SIGTERM or SIGINT, so that a long start can be given up. */
  readonly signal: AbortSignal;
  /** Ends the program as if `error` had been thrown by it: the service drains, and the exit code tells. */
  readonly fail: (error: unknown) => void;
  /**
   * Lets a graceful stop take as long as the settings of these services say, which stop after each other, and some
   * seconds more. Never shortens it.
   */
  readonly allowStop: (...services: readonly StopTimes[]) => void;
}

/** Settings that every service has: how long it goes on accepting, and how long requests in flight may then take. */
export interface StopTimes {
  readonly drainDelayMs: number;
  readonly closeTimeoutMs: number;
}

const DEFAULT_CLOSE_TIMEOUT_MS = 30_000;
/** For what a service closes after its requests: jobs, event bus, database. */
const STOP_MARGIN_MS = 10_000;

/**
 * Runs a service until SIGTERM or SIGINT and exits the process. The first signal drains (`close`), the second ends it at
 * once. An AssayError, from wherever, is one line on standard error; a bug is one line and its stack. Exit codes are in
 * exit-codes.ts.
 */
export async function runMain(
  create: (signal: AbortSignal, context: RunContext) => Promise<Service>,
  options: RunMainOptions = {},
): Promise<never> {
  let closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS;
  const stopping = new AbortController();
  const stopped = Promise.withResolvers<void>();
  let failure: { readonly error: unknown } | undefined;

  const stop = () => {
    stopping.abort();
    stopped.resolve();
  };
  const fail = (error: unknown) => {
    failure ??= { error };
    stop();
  };
  const allowStop = (...services: readonly StopTimes[]) => {
    const drainMs = services.reduce((sum, times) => sum + times.drainDelayMs + times.closeTimeoutMs, 0);
    closeTimeoutMs = Math.max(closeTimeoutMs, drainMs + STOP_MARGIN_MS);
  };
  const onSignal = () => {
    if (stopping.signal.aborted) process.exit(EXIT_CODES.interrupted.code);
    stop();
  };
  // Signal handlers and promises keep no process alive, and a service may have nothing open for a while.
  const keepAlive = setInterval(() => {}, 0x7fff_ffff);
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  // After an error that nobody expected nothing in this process can be trusted: no drain.
  const onUncaught = (error: unknown) => {
    if (stopping.signal.aborted && error === stopping.signal.reason) return; // somebody's wait, given up as it was told
    printFailure(error);
    process.exit(exitCodeOf(error));
  };
  process.on('uncaughtException', onUncaught);
  process.on('unhandledRejection', onUncaught);
  // A reader that went away (`assay up | head`) is no failure of the program; it has nobody to print to.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') stop();
    else onUncaught(error);
  });

  let service: Service | undefined;
  try {
    service = await create(stopping.signal, { signal: stopping.signal, fail, allowStop });
    await service.start();
    await options.onStarted?.(service);
    await stopped.promise;
  } catch (error) {
    // Being cancelled is what a start does when it is told to stop.
    if (!stopping.signal.aborted) failure ??= { error };
    stop();
  }
  clearInterval(keepAlive);
  const closeFailure = service === undefined ? undefined : await closeInTime(service, closeTimeoutMs);
  failure ??= closeFailure;
  if (failure === undefined) process.exit(EXIT_CODES.ok.code);
  printFailure(failure.error);
  process.exit(exitCodeOf(failure.error));
}

async function closeInTime(service: Service, timeoutMs: number): Promise<{ error: unknown } | undefined> {
  const late = Promise.withResolvers<{ error: unknown }>();
  const timer = setTimeout(() => {
    const message = `${service.name} did not stop within ${timeoutMs} ms; what it was doing is cut off`;
    late.resolve({ error: new AssayError('INTERNAL', message) });
  }, timeoutMs);
  try {
    return await Promise.race([service.close().then(() => undefined), late.promise]);
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

/** What went wrong, for a person at a terminal: one line; a bug's stack after it, since nobody expected it. */
export function printFailure(error: unknown): void {
  process.stderr.write(`${describeFailure(error)}\n`);
}

/** The line of `printFailure`. */
export function describeFailure(error: unknown): string {
  if (error instanceof AssayError) return `assay: ${error.message}`;
  const known = describeSystemError(error);
  if (known !== undefined) return `assay: ${known}`;
  const thrown = error instanceof Error ? error : new Error(String(error));
  const causes = thrown.cause === undefined ? '' : ` (because of: ${describeCause(thrown.cause)})`;
  return `assay: internal error: ${thrown.message}${causes}\n${sourceStack(thrown.stack ?? '')}`;
}

function describeCause(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Troubles of the machine and not of the program, in words that say what to do; undefined for anything else. */
function describeSystemError(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk is full (${error.message}); free some space and start again`;
    case 'EMFILE':
    case 'ENFILE':
      return `too many open files (${error.message}); raise the limit (ulimit -n) and start again`;
    case 'EROFS':
      return `the file system is read-only (${error.message}); set ASSAY_DATA_DIR to a folder that can be written`;
    case 'EACCES':
    case 'EPERM':
      return `not permitted (${error.message}); check the owner and mode of what it names`;
    default:
      return undefined;
  }
}
