/** Why a job failed: from what its code threw, or from how its process ended. */
import { AssayError, type JobFailure } from '@assay/contracts';

/** Thrown by a job's code where the kind of failure is known there: `data` for what is wrong with the rows. */
export class JobError extends Error {
  readonly kind: JobFailure['kind'];
  readonly retryable: boolean;

  constructor(
    kind: JobFailure['kind'],
    message: string,
    options: { readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'JobError';
    this.kind = kind;
    this.retryable = options.retryable ?? false;
  }
}

/**
 * Exit codes of a job's process, after sysexits.h where it has one. Kubernetes reads them: a configuration error is not
 * worth another pod.
 */
export const EXIT_CODES = {
  succeeded: 0,
  configuration: 64,
  data: 65,
  internal: 70,
  retryable: 75,
  cancelled: 143,
} as const;

export function exitCodeOf(failure: JobFailure): number {
  if (failure.kind === 'configuration') return EXIT_CODES.configuration;
  if (failure.kind === 'data') return EXIT_CODES.data;
  return failure.retryable ? EXIT_CODES.retryable : EXIT_CODES.internal;
}

/** What a job's code threw, as a failure that its owner can read. */
export function toJobFailure(thrown: unknown): JobFailure {
  if (thrown instanceof JobError) return { kind: thrown.kind, message: thrown.message, retryable: thrown.retryable };
  if (thrown instanceof AssayError) {
    if (thrown.retryable) return { kind: 'internal', message: thrown.message, retryable: true };
    return {
      kind: thrown.code === 'INTERNAL' ? 'internal' : 'configuration',
      message: thrown.message,
      retryable: false,
    };
  }
  const message = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  if (/allocation failed|out of memory/i.test(message)) {
    return {
      kind: 'out-of-memory',
      message: `memory ran out (${message}); give it more, or less data`,
      retryable: false,
    };
  }
  return { kind: 'internal', message, retryable: false };
}

/** How a process ended that left no word of its own. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** How many processes of this container the system killed for memory while it ran; undefined where that is not told. */
  readonly killedForMemory: number | undefined;
  /** The last of its log. */
  readonly logTail: string;
}

const CRASHES: ReadonlySet<string> = new Set(['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS']);

/** Shells and wrappers report a signal as 128 + its number. */
const SIGNALS_BY_CODE: Readonly<Record<number, NodeJS.Signals>> = {
  132: 'SIGILL',
  133: 'SIGTRAP',
  134: 'SIGABRT',
  135: 'SIGBUS',
  136: 'SIGFPE',
  137: 'SIGKILL',
  139: 'SIGSEGV',
  143: 'SIGTERM',
};

export function classifyProcessEnd(end: ProcessEnd): JobFailure {
  const signal = end.signal ?? SIGNALS_BY_CODE[end.exitCode ?? -1];
  if (/heap out of memory|std::bad_alloc|Cannot allocate memory/.test(end.logTail) && signal !== undefined) {
    const message = `memory ran out (${signal}); give the job more, or less data. Its log tells more`;
    return { kind: 'out-of-memory', message, retryable: false };
  }
  if (signal === 'SIGKILL') {
    if (end.killedForMemory === 0) {
      return { kind: 'lost', message: 'it was killed from outside (SIGKILL)', retryable: true };
    }
    const message = 'it was killed (SIGKILL), as the system does when memory runs out; give it more, or less data';
    return { kind: 'out-of-memory', message, retryable: false };
  }
  if (signal !== undefined && CRASHES.has(signal)) {
    const message = `a native library crashed (${signal}); the log of the job may tell more`;
    return { kind: 'crash', message, retryable: false };
  }
  if (signal !== undefined)
    return { kind: 'lost', message: `it was stopped from outside (${signal})`, retryable: true };
  if (end.exitCode === EXIT_CODES.configuration || end.exitCode === EXIT_CODES.data) {
    const kind = end.exitCode === EXIT_CODES.data ? 'data' : 'configuration';
    return { kind, message: `it refused its ${kind}; its log tells more`, retryable: false };
  }
  const retryable = end.exitCode === EXIT_CODES.retryable;
  return { kind: 'internal', message: `it ended with exit code ${end.exitCode}; its log tells more`, retryable };
}
