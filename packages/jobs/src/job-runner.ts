/**
 * Brings recorded jobs to their end: a loop that compares what a service recorded with what the launcher observes, and
 * takes the next step. It keeps nothing in memory that matters, so it goes on after kill -9 as if nothing had been.
 */
import { AssayError, type JobFailure, type JobState } from '@assay/contracts';
import type { Logger, TraceContext } from '@assay/runtime';
import { toJobFailure } from './failure.ts';
import type { LaunchExit, Launcher, LaunchRequest, Observation } from './launcher.ts';
import { canTake, type JobEvent, type Lifecycle, nextLifecycle } from './state-machine.ts';

/** A job as its service's table has it. */
export interface StoredJob extends Lifecycle {
  readonly id: string;
  readonly revision: number;
  /** For the log. */
  readonly trace?: TraceContext | undefined;
}

/** What a service's table of jobs must offer. */
export interface JobStore<J extends StoredJob> {
  /** The jobs that are queued, starting or running, oldest first. */
  listUnfinished(): Promise<readonly J[]>;
  /**
   * Records `next` for the job if it still has `job.revision`, and counts its revision up.
   * @returns false where it moved meanwhile; it is looked at again
   */
  save(job: J, next: Lifecycle): Promise<boolean>;
}

export interface JobRunnerOptions<J extends StoredJob> {
  readonly store: JobStore<J>;
  readonly launcher: Launcher;
  /** What to launch for a job: its spec, token and limits. What it throws fails the job. */
  readonly prepare: (job: J) => Promise<Omit<LaunchRequest, 'id'>> | Omit<LaunchRequest, 'id'>;
  /**
   * What the end of a launch means for the job; by default what the launcher says. A service whose jobs report their
   * result by other ways says here what an end without a report is.
   */
  readonly conclude?: (job: J, exit: LaunchExit) => Promise<JobEvent> | JobEvent;
  /** A launch waits, for a node or an image, with the launcher's words; called when they change. */
  readonly onWaiting?: (job: J, reason: string) => Promise<void> | void;
  /** Jobs that execute at once; others stay queued. Default 1. */
  readonly maxRunning?: number;
  /** Launches of one job in all. Default 3. */
  readonly maxAttempts?: number;
  /** Between asking a job to stop and stopping it. Default 10 s. */
  readonly graceMs?: number;
  /** How often to look when nothing calls `wake`. Default 1 s. */
  readonly pollMs?: number;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export interface JobRunner {
  /** Something changed: a job was created, is to be cancelled, or reported. */
  wake(): void;
  /** Ends the loop. Launches go on; whoever owns the launcher closes it. */
  close(): Promise<void>;
}

/** The id of a job's launch: a new attempt is a new launch, a repeated step finds the one that it made. */
export function launchId(job: { readonly id: string; readonly attempts: number }): string {
  return `${job.id}.${job.attempts}`;
}

export function startJobRunner<J extends StoredJob>(options: JobRunnerOptions<J>): JobRunner {
  const { store, launcher, log, maxRunning = 1, maxAttempts = 3, graceMs = 10_000, pollMs = 1000 } = options;
  const conclude = options.conclude ?? ((_job: J, exit: LaunchExit) => eventOfExit(exit));
  const limits = { maxAttempts };
  const closed = new AbortController();
  const cancelling = new Set<string>();
  /** What was told of launches that wait. */
  const told = new Map<string, string>();
  let woken = Promise.withResolvers<void>();

  const wake = (): void => woken.resolve();
  const stopWatching = launcher.onChange(wake);

  async function record(job: J, event: JobEvent): Promise<boolean> {
    if (!canTake(job.state, event.type)) return false;
    const next = nextLifecycle(job, event, limits);
    const saved = await store.save(job, next);
    if (saved) {
      const trace = job.trace === undefined ? {} : { traceId: job.trace.traceId };
      const fields = { job: job.id, state: next.state, attempts: next.attempts, ...trace };
      if (event.type === 'failed') log.warn({ ...fields, failure: event.failure }, 'job attempt failed');
      else log.info(fields, `job ${next.state}`);
      wake(); // its next step, or the next job's
    }
    return saved;
  }

  /** Of a job that is recorded as starting. */
  async function launch(job: J): Promise<void> {
    try {
      const request = await options.prepare(job);
      await launcher.launch({ ...request, id: launchId(job) }, { signal: closed.signal });
      wake(); // to see what became of it
    } catch (error) {
      if (closed.signal.aborted) return;
      await record(job, { type: 'failed', failure: toJobFailure(error) });
    }
  }

  function cancel(job: J): void {
    const id = launchId(job);
    if (cancelling.has(id)) return;
    cancelling.add(id);
    void launcher
      .cancel(id, { graceMs })
      .catch((error: unknown) => log.error({ err: error, job: job.id }, 'job could not be cancelled; trying again'))
      .finally(() => {
        cancelling.delete(id);
        wake();
      });
  }

  async function tellWaiting(job: J, reason: string): Promise<void> {
    const id = launchId(job);
    if (options.onWaiting === undefined || told.get(id) === reason) return;
    await options.onWaiting(job, reason);
    told.set(id, reason);
  }

  /**
   * What is known of the launch. A launcher that may not look (a right is missing) cannot launch either: a job that is
   * starting fails with its words, where it would wait for ever without any. One that runs is waited for.
   */
  async function observe(job: J): Promise<Observation | undefined> {
    try {
      return await launcher.observe(launchId(job));
    } catch (error) {
      const isDenied = error instanceof AssayError && error.code === 'FAILED_PRECONDITION';
      if (!isDenied || job.state !== 'starting') throw error;
      await record(job, { type: 'failed', failure: toJobFailure(error) });
      return undefined;
    }
  }

  async function look(job: J, slots: { free: number }): Promise<void> {
    if (job.state === 'queued') {
      if (job.cancelRequested) await record(job, { type: 'cancel-requested' });
      else if (slots.free > 0 && (await record(job, { type: 'launching' }))) slots.free--;
      return; // launched by the next look, from its record
    }
    const seen = await observe(job);
    if (seen === undefined) return;
    if (seen.state !== 'waiting') told.delete(launchId(job));
    switch (seen.state) {
      case 'absent':
        if (job.cancelRequested) {
          await launcher.cancel(launchId(job), { graceMs: 0 }); // of a launch that was cut short, something may be left
          await record(job, { type: 'cancelled' });
        } else if (job.state === 'starting') await launch(job);
        else {
          const failure: JobFailure = {
            kind: 'lost',
            message: 'its process cannot be found any more',
            retryable: true,
          };
          await record(job, await conclude(job, { outcome: 'failed', endedAtMs: Date.now(), failure }));
        }
        return;
      case 'exited':
        await record(job, await conclude(job, seen.exit));
        return;
      case 'waiting':
      case 'running':
        if (job.cancelRequested) cancel(job);
        else if (seen.state === 'waiting') await tellWaiting(job, seen.reason);
        else if (job.state === 'starting') await record(job, { type: 'started' });
        return;
    }
  }

  async function reconcile(): Promise<void> {
    const jobs = await store.listUnfinished();
    const slots = { free: maxRunning - jobs.filter((job) => takesSlot(job.state)).length };
    for (const job of jobs) {
      if (closed.signal.aborted) return;
      try {
        await look(job, slots);
      } catch (error) {
        log.error({ err: error, job: job.id }, 'job could not be looked after; trying again');
      }
    }
  }

  async function loop(): Promise<void> {
    while (!closed.signal.aborted) {
      woken = Promise.withResolvers();
      const timer = setTimeout(wake, pollMs);
      try {
        await reconcile();
      } catch (error) {
        log.error({ err: error }, 'jobs could not be read; trying again');
      }
      if (!closed.signal.aborted) await woken.promise;
      clearTimeout(timer);
    }
  }

  const done = loop();
  return {
    wake,
    async close() {
      closed.abort();
      stopWatching();
      wake();
      await done;
    },
  };
}

export function eventOfExit(exit: LaunchExit): JobEvent {
  switch (exit.outcome) {
    case 'succeeded':
      return { type: 'succeeded' };
    case 'cancelled':
      return { type: 'cancelled' };
    case 'failed':
      return { type: 'failed', failure: exit.failure };
  }
}

function takesSlot(state: JobState): boolean {
  return state === 'starting' || state === 'running';
}
