/**
 * A process that runs a job's entry: it listens to SIGTERM, sees every failure, and leaves word of how it ended. What is
 * particular to where it runs (a child process, a pod) is in `entries/`.
 */
import { inspect } from 'node:util';
import { inTrace, traceOfEnvironment } from '@assay/runtime';
import { EXIT_CODES, exitCodeOf, toJobFailure } from './failure.ts';
import type { JobContext, JobEntry } from './job-entry.ts';
import type { LaunchExit } from './launcher.ts';

export interface EntryProcess {
  /** The module with `run`. */
  readonly entryHref: string;
  /** Reads what the job is given, and sets its environment where nobody has. What it throws fails the job. */
  readonly prepare: () => Promise<Omit<JobContext, 'signal'>>;
  /** Leaves word, synchronously: the process ends right after. */
  readonly leaveWord: (exit: LaunchExit) => void;
}

export async function runEntryProcess({ entryHref, prepare, leaveWord }: EntryProcess): Promise<void> {
  const stop = new AbortController();
  let ended = false;

  /** The log has the whole story, the word one line. */
  function fail(error: unknown): never {
    if (ended) process.exit(); // it had succeeded, and its exit code is set
    ended = true;
    if (stop.signal.aborted) process.exit(EXIT_CODES.cancelled); // who stopped it knows what for, and writes it down
    process.stderr.write(`${inspect(error)}\n`);
    const failure = toJobFailure(error);
    leaveWord({ outcome: 'failed', endedAtMs: Date.now(), failure });
    process.exit(exitCodeOf(failure));
  }

  process.on('SIGTERM', () => stop.abort(new Error('the job is to stop')));
  process.on('SIGINT', () => undefined); // Ctrl-C is for the service, which then stops its jobs
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  process.on('exit', (code) => {
    // Its code called process.exit, or nothing was left to do: 0 would read as success.
    if (!ended && code === EXIT_CODES.succeeded) process.exitCode = EXIT_CODES.internal;
  });

  try {
    const context = await prepare();
    const trace = traceOfEnvironment(process.env);
    // So that its log is found by the trace, as the lines of the services are.
    if (trace !== undefined) process.stdout.write(`${new Date().toISOString()} trace ${trace.traceId}\n`);
    const entry: unknown = await import(entryHref);
    if (!isJobEntry(entry)) throw new TypeError(`${entryHref} exports no function "run"`);
    await inTrace(trace, () => entry.run({ ...context, signal: stop.signal }));
    ended = true;
    leaveWord({ outcome: 'succeeded', endedAtMs: Date.now() });
    process.exit(EXIT_CODES.succeeded);
  } catch (error) {
    fail(error);
  }
}

function isJobEntry(module: unknown): module is JobEntry {
  return typeof module === 'object' && module !== null && 'run' in module && typeof module.run === 'function';
}
