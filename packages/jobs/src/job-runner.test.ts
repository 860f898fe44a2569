import { AssayError, type JobFailure } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type JobEvent,
  type JobRunner,
  type JobRunnerOptions,
  type JobStore,
  type LaunchExit,
  type Launcher,
  type LaunchRequest,
  type Lifecycle,
  NEW_JOB,
  nextLifecycle,
  type Observation,
  type StoredJob,
  startJobRunner,
} from './index.ts';
import { isFinished } from './state-machine.ts';

const WAIT_MS = 20_000;
const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const lost: JobFailure = { kind: 'lost', message: 'gone', retryable: true };
const endedAtMs = 1;

/** A launcher whose launches end when the test says so. */
function createLauncher() {
  const seen = new Map<string, Observation>();
  const requests: LaunchRequest[] = [];
  const cancelled: string[] = [];
  const listeners = new Set<(id: string) => void>();
  const refusals: Error[] = [];
  const launcher: Launcher = {
    async launch(request) {
      const refusal = refusals.shift();
      if (refusal !== undefined) throw refusal;
      if (seen.has(request.id)) return;
      requests.push(request);
      seen.set(request.id, { state: 'running', startedAtMs: 1 });
    },
    observe: async (id) => seen.get(id) ?? { state: 'absent' },
    async cancel(id) {
      cancelled.push(id);
      end(id, { outcome: 'cancelled', endedAtMs });
    },
    async *logs() {},
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  function end(id: string, exit: LaunchExit): void {
    seen.set(id, { state: 'exited', exit });
    for (const listener of listeners) listener(id);
  }
  return { launcher, seen, requests, cancelled, refusals, end };
}

/** A table of jobs in memory, with the compare-and-set of a real one. */
function createStore() {
  const jobs = new Map<string, StoredJob>();
  const history: string[] = [];
  const put = (job: StoredJob, next: Lifecycle) => {
    jobs.set(job.id, { ...next, id: job.id, revision: job.revision + 1 });
    history.push(`${job.id} ${next.state} ${next.attempts}`);
  };
  const get = (id: string): StoredJob => {
    const job = jobs.get(id);
    if (job === undefined) throw new Error(`no job ${id}`);
    return job;
  };
  const store: JobStore<StoredJob> = {
    listUnfinished: async () => [...jobs.values()].filter(({ state }) => !isFinished(state)),
    async save(job, next) {
      if (jobs.get(job.id)?.revision !== job.revision) return false;
      put(job, next);
      return true;
    },
  };
  return {
    store,
    history,
    get,
    add: (id: string, lifecycle: Lifecycle = NEW_JOB) => put({ ...NEW_JOB, id, revision: 0 }, lifecycle),
    requestCancel: (id: string) =>
      put(get(id), nextLifecycle(get(id), { type: 'cancel-requested' }, { maxAttempts: 3 })),
  };
}

describe('the runner of jobs', () => {
  let table: ReturnType<typeof createStore>;
  let fake: ReturnType<typeof createLauncher>;
  let runner: JobRunner | undefined;
  beforeEach(() => {
    table = createStore();
    fake = createLauncher();
  });
  afterEach(() => runner?.close());

  function start(options: Partial<JobRunnerOptions<StoredJob>> = {}): JobRunner {
    const prepare = (job: StoredJob) => ({ spec: { job: job.id } });
    runner = startJobRunner({ store: table.store, launcher: fake.launcher, prepare, pollMs: 20, log, ...options });
    return runner;
  }
  const eventually = <T>(read: () => T) => expect.poll(read, { timeout: WAIT_MS, interval: 5 });

  it('tells what a launch waits for, once, and again when that changes', async () => {
    const told: string[] = [];
    start({ onWaiting: (job, reason) => void told.push(`${job.id}: ${reason}`) });
    fake.seen.set('job_a.1', { state: 'waiting', reason: 'Insufficient nvidia.com/gpu' });
    table.add('job_a');
    await eventually(() => told).toEqual(['job_a: Insufficient nvidia.com/gpu']);
    fake.seen.set('job_a.1', { state: 'waiting', reason: 'its image is pulled' });
    await eventually(() => told.length).toBe(2);
    expect(table.get('job_a').state).toBe('starting');
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
    expect(told).toHaveLength(2);
  });

  it('asks its service what a launch means that cannot be found any more: it may have reported before', async () => {
    const seen: LaunchExit[] = [];
    const conclude = (_job: StoredJob, exit: LaunchExit): JobEvent => {
      seen.push(exit);
      return { type: 'succeeded' };
    };
    table.add('job_a', { ...NEW_JOB, state: 'running', attempts: 1 });
    start({ conclude });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
    expect(seen).toMatchObject([{ outcome: 'failed', failure: { kind: 'lost', retryable: true } }]);
  });

  it('removes what a launch left that was cut short, when its job is cancelled', async () => {
    table.add('job_a', { ...NEW_JOB, state: 'starting', attempts: 1, cancelRequested: true });
    start();
    await eventually(() => table.get('job_a').state).toBe('cancelled');
    expect(fake.cancelled).toEqual(['job_a.1']);
    expect(fake.requests).toEqual([]);
  });

  it('records a job before it launches it, and brings it to its end', async () => {
    const before: string[] = [];
    const prepare = (job: StoredJob) => {
      before.push(job.state);
      return { spec: { job: job.id } };
    };
    table.add('job_a');
    start({ prepare });
    await eventually(() => table.get('job_a').state).toBe('running');
    expect(before).toEqual(['starting']);
    expect(fake.requests).toEqual([{ id: 'job_a.1', spec: { job: 'job_a' } }]);
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
    expect(table.history).toEqual(['job_a queued 0', 'job_a starting 1', 'job_a running 1', 'job_a succeeded 1']);
  });

  it('does not wait for its poll when it is woken, or a launch changed', async () => {
    const woken = start({ pollMs: 2 ** 30 });
    table.add('job_a');
    woken.wake();
    await eventually(() => table.get('job_a').state).toBe('running');
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
  });

  it('launches no more at once than it may, the oldest first', async () => {
    for (const id of ['job_a', 'job_b', 'job_c']) table.add(id);
    start({ maxRunning: 2 });
    await eventually(() => fake.requests.map(({ id }) => id)).toEqual(['job_a.1', 'job_b.1']);
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => fake.requests.map(({ id }) => id)).toEqual(['job_a.1', 'job_b.1', 'job_c.1']);
    expect(table.get('job_b').state).toBe('running');
  });

  it('tries a lost job again as a new launch, and gives up after the last attempt', async () => {
    table.add('job_a');
    start({ maxAttempts: 2 });
    await eventually(() => fake.requests.length).toBe(1);
    fake.end('job_a.1', { outcome: 'failed', endedAtMs, failure: lost });
    await eventually(() => fake.requests.map(({ id }) => id)).toEqual(['job_a.1', 'job_a.2']);
    fake.end('job_a.2', { outcome: 'failed', endedAtMs, failure: lost });
    await eventually(() => table.get('job_a')).toMatchObject({ state: 'failed', attempts: 2, failure: lost });
  });

  it('goes on after a kill between the record and the launch', async () => {
    table.add('job_a', { ...NEW_JOB, state: 'starting', attempts: 1 });
    start();
    await eventually(() => table.get('job_a').state).toBe('running');
    expect(fake.requests.map(({ id }) => id)).toEqual(['job_a.1']);
  });

  it('goes on after a kill between the launch and its record, and does not launch twice', async () => {
    table.add('job_a', { ...NEW_JOB, state: 'starting', attempts: 1 });
    fake.seen.set('job_a.1', { state: 'running', startedAtMs: 1 });
    start();
    await eventually(() => table.get('job_a').state).toBe('running');
    expect(fake.requests).toEqual([]);
  });

  it('takes what ended while nobody looked, and what vanished, for what it is', async () => {
    table.add('job_a', { ...NEW_JOB, state: 'running', attempts: 1 });
    table.add('job_b', { ...NEW_JOB, state: 'running', attempts: 3 });
    fake.seen.set('job_a.1', { state: 'exited', exit: { outcome: 'succeeded', endedAtMs } });
    start();
    await eventually(() => table.get('job_a').state).toBe('succeeded');
    await eventually(() => table.get('job_b')).toMatchObject({ state: 'failed', failure: { kind: 'lost' } });
  });

  it('cancels a running job once, and one that was never launched without a launch', async () => {
    table.add('job_a');
    const woken = start();
    await eventually(() => table.get('job_a').state).toBe('running');
    table.requestCancel('job_a');
    woken.wake();
    await eventually(() => table.get('job_a').state).toBe('cancelled');
    expect(fake.cancelled).toEqual(['job_a.1']);
    table.add('job_b', { ...NEW_JOB, state: 'starting', attempts: 1, cancelRequested: true });
    await eventually(() => table.get('job_b').state).toBe('cancelled');
    expect(fake.requests.map(({ id }) => id)).toEqual(['job_a.1']);
  });

  it('counts a launch that cannot be made as an attempt', async () => {
    fake.refusals.push(new AssayError('UNAVAILABLE', 'no process now'), new AssayError('INVALID_ARGUMENT', 'bad spec'));
    table.add('job_a');
    start();
    await eventually(() => table.get('job_a')).toMatchObject({
      state: 'failed',
      attempts: 2,
      failure: { kind: 'configuration', message: 'bad spec' },
    });
  });

  it('leaves a job alone that moved by another way meanwhile', async () => {
    table.add('job_a');
    start({
      conclude: (job) => {
        // Its own report came in while its end was looked at.
        if (table.get(job.id).state === 'running') {
          const reported = nextLifecycle(table.get(job.id), { type: 'succeeded' }, { maxAttempts: 3 });
          void table.store.save(table.get(job.id), reported);
        }
        return {
          type: 'failed',
          failure: { kind: 'internal', message: 'it ended without a result', retryable: false },
        };
      },
    });
    await eventually(() => table.get('job_a').state).toBe('running');
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
  });

  it('looks after the others when one job cannot be, or the store fails for a while', async () => {
    const { observe } = fake.launcher;
    let failing = 3;
    const launcher: Launcher = {
      ...fake.launcher,
      observe: (id) => (id.startsWith('job_bad') ? Promise.reject(new Error('broken')) : observe(id)),
    };
    const store: JobStore<StoredJob> = {
      ...table.store,
      listUnfinished: () => (failing-- > 0 ? Promise.reject(new Error('away')) : table.store.listUnfinished()),
    };
    table.add('job_bad');
    table.add('job_good');
    start({ launcher, store, maxRunning: 2 });
    await eventually(() => table.get('job_good').state).toBe('running');
    expect(table.get('job_bad').state).toBe('starting');
  });

  it('fails a job that starts where the launcher may not look, and waits for one that runs', async () => {
    const { observe } = fake.launcher;
    let isDenied = false;
    const denied = new AssayError('FAILED_PRECONDITION', 'the service account may not get jobs.batch');
    const launcher: Launcher = { ...fake.launcher, observe: (id) => (isDenied ? Promise.reject(denied) : observe(id)) };
    table.add('job_a');
    start({ launcher, maxRunning: 2 });
    await eventually(() => table.get('job_a').state).toBe('running');
    isDenied = true;
    table.add('job_b');
    runner?.wake();
    const failure = { kind: 'configuration', message: denied.message, retryable: false };
    await eventually(() => table.get('job_b')).toMatchObject({ state: 'failed', failure });
    expect(table.get('job_a').state).toBe('running');
    isDenied = false;
    fake.end('job_a.1', { outcome: 'succeeded', endedAtMs });
    await eventually(() => table.get('job_a').state).toBe('succeeded');
  });

  it('starts nothing more once it is closed', async () => {
    await start().close();
    table.add('job_a');
    runner?.wake();
    await new Promise((resolve) => setImmediate(resolve));
    expect(table.get('job_a').state).toBe('queued');
  });
});
