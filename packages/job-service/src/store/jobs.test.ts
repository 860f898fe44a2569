import { type Event, type JobFailure, matches, ToldFact } from '@assay/contracts';
import { openDatabase } from '@assay/database';
import { outboxMigration } from '@assay/events';
import { type Lifecycle, nextLifecycle } from '@assay/jobs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JobOf } from '../kind.ts';
import { newDatabase } from '../testing/database.ts';
import { type Sums, sumsKind, VERSION } from '../testing/sums.ts';
import { createCheckpoints } from './checkpoints.ts';
import { createJobs, type Jobs, type RunnableJob } from './jobs.ts';
import { jobsMigration } from './migrations/001-jobs.ts';
import type { JobTables } from './tables.ts';

const kind = sumsKind();
const DATASET = { id: 'ds_1', datasetName: 'rows', version: 3, digest: 'd'.repeat(64) };
const ADA = {
  principal: 'ada',
  keyId: 'key_1',
  requestId: 'req_1',
  traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`,
};
const limits = { maxAttempts: 3 };
const start = (job: Lifecycle) => nextLifecycle(job, { type: 'launching' }, limits);
const lost: JobFailure = { kind: 'lost', message: 'gone', retryable: true };

let opened: AsyncDisposableStack;
let changed: JobOf<Sums>[];
let moved: string[];
beforeEach(() => {
  opened = new AsyncDisposableStack();
  changed = [];
  moved = [];
});
afterEach(() => opened.disposeAsync());

async function open(url?: string): Promise<Jobs<Sums>> {
  const at = url ?? (await newDatabase(opened));
  const database = opened.use(await openDatabase<JobTables>(at, { migrations: kind.migrations }));
  return createJobs({
    kind,
    database,
    onChange: (job) => changed.push(job),
    onMove: (job, from) => moved.push(`${from.state} ${job.state}`),
  });
}

const request = { spec: { numbers: [1, 2] }, baseDir: '/data' };

async function only(jobs: Jobs<Sums>): Promise<RunnableJob<Sums>> {
  const [job, ...others] = await jobs.listUnfinished();
  if (job === undefined || others.length > 0) throw new Error('expected one unfinished job');
  return job;
}

/** The job is starting, with this token. */
async function starting(jobs: Jobs<Sums>, token = 'token'): Promise<string> {
  const { id } = await jobs.create(request, ADA);
  const job = await only(jobs);
  await jobs.save(job, start(job));
  await jobs.setToken(id, token);
  return id;
}

describe('a recorded job', () => {
  test('is what was asked for, queued, with nothing resolved', async () => {
    const jobs = await open();
    const job = await jobs.create(request, ADA);
    expect(job).toMatchObject({ kind: 'sums', state: 'queued', revision: 1, attempts: 0, ...request });
    expect(job).toMatchObject({ version: null, dataset: null, progress: null, result: null, failure: null });
    expect(await jobs.get(job.id)).toEqual(job);
    await expect(jobs.get('job_none')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('names the spec that the registry keeps, where it was made by its name, to all who ask or are told', async () => {
    const url = await newDatabase(opened);
    const jobs = await open(url);
    const specSource = { name: 'nightly', revision: 3, specSha256: 'a'.repeat(64) };
    const job = await jobs.create({ ...request, specSource }, ADA);
    expect(job).toMatchObject({ specSource, ...request });
    expect(await jobs.get(job.id)).toEqual(job);
    expect((await only(jobs)).job).toEqual(job);
    expect(await jobs.create(request, ADA)).not.toHaveProperty('specSource');
    const made = (await outboxOf(url)).find(({ topic }) => topic === 'assay.jobs.v1');
    expect(made?.event).toMatchObject({ subject: job.id, data: { specSource } });
    const [fact] = await toldFacts(url);
    expect(fact?.details).toMatchObject({ specName: 'nightly', specRevision: 3 });
  });

  test('is made once for one idempotency key, by two callers at once too', async () => {
    const jobs = await open();
    const twice = { ...request, idempotencyKey: 'nightly' };
    const [first, second] = await Promise.all([jobs.create(twice, ADA), jobs.create(twice, ADA)]);
    expect(second.id).toBe(first.id);
    expect(changed).toHaveLength(1);
    expect((await jobs.create(request, ADA)).id).not.toBe(first.id);
  });

  test('has the trace of what made it, with its events and the entry of its end', async () => {
    const url = await newDatabase(opened);
    const jobs = await open(url);
    const { traceparent } = ADA;
    const { id } = await jobs.create(request, { ...ADA, tracestate: 'a=1' });
    const seen = await only(jobs);
    expect(seen.trace).toEqual({ traceId: '1'.repeat(32), spanId: '2'.repeat(16), sampled: false, state: 'a=1' });
    await jobs.save(seen, start(seen));
    const job = await only(jobs);
    await jobs.save(job, { ...job, state: 'succeeded' });
    const told = (await outboxOf(url)).map(({ event }) => event);
    const types = ['job.queued', 'audit.fact', 'job.starting', 'job.succeeded', 'audit.fact'];
    expect(told.map(({ type }) => type)).toEqual(types.map((type) => `assay.${type}.v1`));
    expect(told.filter(({ subject }) => subject === id)).toEqual(told);
    for (const { traceparent: of = '', tracestate } of told) {
      expect([of.slice(0, 36), tracestate]).toEqual([traceparent.slice(0, 36), 'a=1']);
    }
  });

  test('is listed newest first, a page at a time', async () => {
    const jobs = await open();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await jobs.create(request, ADA)).id);
    const first = await jobs.list({ limit: 3 });
    expect(first.items.map(({ id }) => id)).toEqual(ids.slice(0, 3));
    const rest = await jobs.list({ limit: 3, ...(first.next === undefined ? {} : { after: first.next }) });
    expect(rest.items.map(({ id }) => id)).toEqual(ids.slice(3));
    expect(rest.next).toBeUndefined();
    expect(await jobs.countUnfinished()).toEqual(new Map([['queued', 5]]));
  });

  test('moves only from where it was seen, and tells when and from where', async () => {
    const jobs = await open();
    await jobs.create(request, ADA);
    const seen = await only(jobs);
    expect(await jobs.save(seen, start(seen))).toBe(true);
    expect(await jobs.save(seen, start(seen))).toBe(false);
    const job = await only(jobs);
    expect(job).toMatchObject({ state: 'starting', attempts: 1, job: { startedAt: expect.any(Number) } });
    await jobs.save(job, nextLifecycle(job, { type: 'failed', failure: lost }, limits));
    expect((await only(jobs)).job).toMatchObject({ state: 'queued', failure: lost, endedAt: null });
    expect(moved).toEqual(['queued starting', 'starting queued']);
  });

  test('keeps what was resolved first, through every attempt', async () => {
    const jobs = await open();
    const { id } = await jobs.create(request, ADA);
    expect(await jobs.keepResolved(id, { version: VERSION, dataset: null })).toMatchObject({ version: VERSION });
    const later = await jobs.keepResolved(id, { version: { ...VERSION, version: 2 }, dataset: DATASET });
    expect(later).toMatchObject({ version: VERSION, dataset: DATASET });
    const { revision } = await jobs.get(id);
    await jobs.keepResolved(id, { dataset: { ...DATASET, version: 4 } });
    expect(await jobs.get(id)).toMatchObject({ revision, dataset: DATASET });
  });

  test('is cancelled at once while it is queued, and asked to stop while it runs', async () => {
    const jobs = await open();
    const cancel = (id: string) =>
      jobs.requestCancel(id, (lifecycle) => nextLifecycle(lifecycle, { type: 'cancel-requested' }, limits), ADA);
    const queued = await jobs.create(request, ADA);
    expect(await cancel(queued.id)).toMatchObject({ state: 'cancelled', endedAt: expect.any(Number) });
    const id = await starting(jobs);
    expect(await cancel(id)).toMatchObject({ state: 'starting' });
    expect((await only(jobs)).cancelRequested).toBe(true);
    expect(await cancel(id)).toMatchObject({ state: 'starting' });
  });

  test('tells the audit chain who submitted and cancelled it, once, and how it ended', async () => {
    const url = await newDatabase(opened);
    const jobs = await open(url);
    const twice = { ...request, idempotencyKey: 'nightly' };
    const { id } = await jobs.create(twice, ADA);
    await jobs.create(twice, ADA);
    const cancel = () =>
      jobs.requestCancel(id, (lifecycle) => nextLifecycle(lifecycle, { type: 'cancel-requested' }, limits), ADA);
    await cancel();
    await cancel();
    const facts = await toldFacts(url);
    const common = { resource: `job/${id}`, id: expect.stringMatching(/^aud_/), at: expect.any(Number) };
    const byAda = { principal: 'ada', requestId: 'req_1', ...common };
    const details = { kind: 'sums', byKey: 'key_1' };
    expect(facts).toEqual([
      { action: 'job.submit', ...byAda, details: { ...details, specSha256: expect.stringMatching(/^[0-9a-f]{64}$/) } },
      { action: 'job.cancel', ...byAda, details },
      {
        ...{ action: 'job.end', ...common, principal: 'sums', requestId: expect.stringMatching(/^req_/) },
        details: { kind: 'sums', state: 'cancelled', attempts: 0 },
      },
    ]);
    expect(facts.every((fact) => matches(ToldFact, fact))).toBe(true);
    const specs = async (spec: Sums['spec']) => {
      await jobs.create({ ...request, spec }, ADA);
      return (await toldFacts(url)).at(-1)?.details.specSha256;
    };
    const one = await specs({ numbers: [1], path: 'a' });
    expect(await specs({ path: 'a', numbers: [1] })).toBe(one);
    expect(await specs({ path: 'a', numbers: [2] })).not.toBe(one);
  });
});

/** What waits in the outbox, by its topic. */
async function outboxOf(url: string): Promise<{ readonly topic: string; readonly event: Event }[]> {
  await using database = await openDatabase<{ outbox: { position: number; topic: string; event: string } }>(url, {
    migrations: kind.migrations,
  });
  const rows = await database.db.selectFrom('outbox').selectAll().orderBy('position').execute();
  return rows.map(({ topic, event }) => ({ topic, event: JSON.parse(event) }));
}

/** What waits there for the audit chain. */
async function toldFacts(url: string): Promise<ToldFact[]> {
  const told = (await outboxOf(url)).filter(({ topic }) => topic === 'assay.audit.v1');
  return told.map(({ event }) => event.data as ToldFact); // checked by the caller
}

describe('a running job', () => {
  test('reports by the token of its attempt alone, until it has ended', async () => {
    const jobs = await open();
    const id = await starting(jobs);
    const progress = { stage: 'add', percent: 50, metrics: { rows: 10 } };
    expect(await jobs.report(id, 'token', { kind: 'progress', progress })).toBeNull();
    const refused = { code: 'UNAUTHENTICATED' };
    await expect(jobs.report(id, 'other', { kind: 'progress', progress })).rejects.toMatchObject(refused);
    await expect(jobs.checkToken(id, 'other')).rejects.toMatchObject(refused);
    expect((await jobs.checkToken(id, 'token')).id).toBe(id);
    await jobs.report(id, 'token', { kind: 'result', result: { sum: 3 } });
    expect(await jobs.get(id)).toMatchObject({ progress, result: { sum: 3 } });
    await jobs.setToken(id, 'of the next attempt');
    await expect(jobs.checkToken(id, 'token')).rejects.toMatchObject(refused);
    const job = await only(jobs);
    await jobs.save(job, nextLifecycle(job, { type: 'succeeded' }, limits));
    await expect(jobs.checkToken(id, 'token')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  test('is moved by nobody who has not seen its last move, whatever progress came meanwhile', async () => {
    const jobs = await open();
    const id = await starting(jobs);
    const seen = await only(jobs);
    await jobs.report(id, 'token', { kind: 'progress', progress: { stage: 'add', percent: 1 } });
    expect(await jobs.save(seen, nextLifecycle(seen, { type: 'started' }, limits))).toBe(true);
  });

  test('keeps its counts until it counts again, in the next attempt too', async () => {
    const jobs = await open();
    const id = await starting(jobs);
    const counted = { stage: 'add', percent: 50, metrics: { rows: 10 } };
    await jobs.report(id, 'token', { kind: 'progress', progress: counted });
    expect(await jobs.report(id, 'token', { kind: 'progress', progress: { stage: 'again', percent: 0 } })).toEqual(
      counted,
    );
    expect((await jobs.get(id)).progress).toEqual({ stage: 'again', percent: 0, metrics: { rows: 10 } });
  });

  test('forgets the failure that its last attempt reported when the next begins', async () => {
    const jobs = await open();
    const id = await starting(jobs);
    await jobs.report(id, 'token', { kind: 'failure', failure: lost });
    const job = await only(jobs);
    expect(job.reportedFailure).toEqual(lost);
    await jobs.save(job, nextLifecycle(job, { type: 'failed', failure: lost }, limits));
    const again = await only(jobs);
    await jobs.save(again, start(again));
    expect(await only(jobs)).toMatchObject({ attempts: 2, reportedFailure: null, failure: lost });
  });
});

describe('checkpoints of a running job', () => {
  async function openBoth() {
    const database = opened.use(
      await openDatabase<JobTables>(await newDatabase(opened), { migrations: kind.migrations }),
    );
    const jobs = createJobs<Sums>({ kind, database, onChange: () => undefined, onMove: () => undefined });
    return { jobs, database, checkpoints: createCheckpoints(database, jobs) };
  }

  test('are read by the next attempt, in their order, each written once', async () => {
    const { jobs, checkpoints } = await openBoth();
    const id = await starting(jobs);
    await checkpoints.put(id, 'token', 0, { header: true });
    for (let n = 1; n < 12; n++) await checkpoints.put(id, 'token', n, { shard: n });
    await checkpoints.put(id, 'token', 3, { shard: 3 });
    const refused = { code: 'FAILED_PRECONDITION' };
    await expect(checkpoints.put(id, 'token', 3, { shard: 4 })).rejects.toMatchObject(refused);
    await expect(checkpoints.put(id, 'token', 13, { shard: 13 })).rejects.toMatchObject(refused);
    await jobs.setToken(id, 'of the next attempt');
    const entries = await checkpoints.list(id, 'of the next attempt');
    expect(entries).toEqual([{ header: true }, ...Array.from({ length: 11 }, (_, i) => ({ shard: i + 1 }))]);
  });

  test('are written by no attempt that was given up, and gone when the job has ended', async () => {
    const { jobs, database, checkpoints } = await openBoth();
    const id = await starting(jobs);
    await checkpoints.put(id, 'token', 0, { header: true });
    await jobs.setToken(id, 'of the next attempt');
    const refused = { code: 'UNAUTHENTICATED' };
    await expect(checkpoints.put(id, 'token', 1, { shard: 1 })).rejects.toMatchObject(refused);
    await expect(checkpoints.list(id, 'token')).rejects.toMatchObject(refused);
    const job = await only(jobs);
    await jobs.save(job, nextLifecycle(job, { type: 'succeeded' }, limits));
    const ended = { code: 'FAILED_PRECONDITION' };
    await expect(checkpoints.list(id, 'of the next attempt')).rejects.toMatchObject(ended);
    expect(await database.db.selectFrom('job_checkpoints').selectAll().execute()).toEqual([]);
  });
});

test('what a launch waits for is shown while the job starts, and never once it runs', async () => {
  const jobs = await open();
  const id = await starting(jobs);
  const waiting = { stage: 'waiting', percent: 0, message: 'no node can take it' };
  await jobs.tellWaiting(id, waiting);
  expect((await jobs.get(id)).progress).toEqual(waiting);
  const job = await only(jobs);
  await jobs.save(job, nextLifecycle(job, { type: 'started' }, limits));
  await jobs.tellWaiting(id, { ...waiting, message: 'late' });
  expect((await jobs.get(id)).progress).toEqual(waiting);
});

test('jobs that were recorded before jobs had datasets, or named their spec, are there, and go on', async () => {
  const url = await newDatabase(opened);
  const before = [outboxMigration, jobsMigration({ version: true })];
  await using old = await openDatabase<JobTables>(url, { migrations: before });
  const row = { spec: '{"numbers":[1]}', base_dir: '/', state: 'running', attempts: 1, cancel_requested: 0 } as const;
  const rest = { revision: 7, lifecycle_revision: 3, created_at: 1, version: JSON.stringify(VERSION) };
  const values = { id: 'job_old', ...row, ...rest } as JobTables['jobs']; // other columns are null
  await old.db.insertInto('jobs').values(values).execute();
  await old.close();
  const jobs = await open(url);
  expect(await only(jobs)).toMatchObject({ id: 'job_old', state: 'running', revision: 3, trace: undefined });
  const job = await jobs.get('job_old');
  expect(job).toMatchObject({ revision: 7, version: VERSION, dataset: null });
  expect(job).not.toHaveProperty('specSource');
  expect(await jobs.keepResolved('job_old', { dataset: DATASET })).toMatchObject({ dataset: DATASET });
});
