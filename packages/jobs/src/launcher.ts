/**
 * The port that executes jobs. Words: a *job* is what a service recorded; a *launch* is one execution of it, on its own
 * process or pod, under an id made from the job's id and attempt. A launcher knows launches only: no queue, no retries.
 */
import { AssayError, type JobFailure } from '@assay/contracts';

export interface LaunchRequest {
  /** Names the launch: lower case letters, digits, `_`, `.`, `-`, at most 100. The same id is launched once. */
  readonly id: string;
  /** What the entry gets as `job.spec`; any JSON. It is written down, so it holds no secrets. */
  readonly spec: unknown;
  /** Given to this launch alone, in memory (its token, a URL): never written to disk or on a command line. */
  readonly environment?: Readonly<Record<string, string>>;
  /** After so long it is stopped, and has failed with kind `deadline`. */
  readonly timeoutMs?: number;
  /**
   * What it asks for. Kubernetes puts it where there is so much; a child process shares what its machine has. A job that
   * must have a GPU looks for itself, and fails where there is none.
   */
  readonly resources?: LaunchResources;
}

export interface LaunchResources {
  readonly cpus?: number;
  /** What it may use at most: with more it fails with kind `out-of-memory`. */
  readonly memoryBytes?: number;
  readonly gpus?: number;
}

/** How a launch ended. `failure` says why, unless it succeeded or was cancelled. */
export type LaunchExit =
  | { readonly outcome: 'succeeded'; readonly endedAtMs: number }
  | { readonly outcome: 'cancelled'; readonly endedAtMs: number }
  | { readonly outcome: 'failed'; readonly endedAtMs: number; readonly failure: JobFailure };

export type Observation =
  /** Never launched, or removed long after its end. */
  | { readonly state: 'absent' }
  /** Accepted and not yet running: an image is pulled, a node is missing. */
  | { readonly state: 'waiting'; readonly reason: string }
  | { readonly state: 'running'; readonly startedAtMs: number }
  | { readonly state: 'exited'; readonly exit: LaunchExit };

export interface Launcher {
  /**
   * Starts a launch, unless that id was launched before (then nothing happens, whatever became of it). Resolves when
   * `observe` finds it, also after a restart of this process.
   * @throws AssayError INVALID_ARGUMENT (bad id, spec is no JSON), UNAVAILABLE (it cannot be started now)
   */
  launch(request: LaunchRequest, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** What is known of a launch, whoever started it. */
  observe(id: string): Promise<Observation>;
  /**
   * Asks it to stop, and after `graceMs` stops it with all its processes. Resolves when it has ended; nothing happens where
   * it is absent or has ended. What finished before it noticed has succeeded.
   */
  cancel(id: string, options: { readonly graceMs: number }): Promise<void>;
  /**
   * What it wrote on standard output and error, as bytes. With `follow` until it has ended, else what is there now.
   * @throws AssayError NOT_FOUND where it is absent
   */
  logs(id: string, options?: { readonly follow?: boolean; readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Calls `listener` when a launch may have changed: a hint to observe it sooner, may come late or not at all. */
  onChange(listener: (id: string) => void): () => void;
}

const ID = /^[a-z0-9][a-z0-9_.-]{0,99}$/;

export function checkLaunchId(id: string): void {
  if (ID.test(id)) return;
  const shown = JSON.stringify(id.slice(0, 100));
  throw new AssayError(
    'INVALID_ARGUMENT',
    `${shown} is no launch id; expected at most 100 of a-z 0-9 _ . -, a letter or digit first`,
  );
}
