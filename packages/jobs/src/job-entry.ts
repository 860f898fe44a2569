/** What a job's own program is: a module with `run`, started in a process of its own. */

export interface JobContext {
  /** The launch's id. */
  readonly id: string;
  /** As it was given to `launch`; the entry parses it with its own schema. */
  readonly spec: unknown;
  /** A folder for this launch alone, removed some time after its end. */
  readonly dir: string;
  /** Aborts when the job is to stop; what has not stopped when the grace is over is killed. */
  readonly signal: AbortSignal;
}

/**
 * An entry module exports `run`. When it resolves, the job has succeeded; what it throws says why it failed (`JobError`, or
 * an AssayError). What it prints is the job's log. Work in other threads must have ended when it resolves.
 */
export interface JobEntry {
  run(job: JobContext): Promise<void>;
}
