/** The record of jobs: the truth about each, written before anything is done, with an event for those who follow. */
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  AssayError,
  canonicalJson,
  type JobFailure,
  type JobProgress,
  type Page,
  type SpecReference,
  TOPICS,
} from '@assay/contracts';
import type { Database } from '@assay/database';
import { type Acting, newEvent, tellAudit, writeOutbox } from '@assay/events';
import { isFinished, type JobStore, type Lifecycle, NEW_JOB, type StoredJob } from '@assay/jobs';
import { childTrace, newId, readTrace, type TraceContext } from '@assay/runtime';
import type { Selectable, Transaction } from 'kysely';
import type { CreateJobOf, JobKind, JobOf, JobTypes, Resolution } from '../kind.ts';
import type { JobsTable, JobTables, ResolvedColumn } from './tables.ts';

type Row = Omit<Selectable<JobsTable>, 'version'> & { readonly version?: string | null | undefined };

/** A job as the runner needs it. */
export interface RunnableJob<T extends JobTypes> extends StoredJob {
  readonly job: JobOf<T>;
  /** That of the request that made it; undefined for a job of before traces were kept. */
  readonly trace: TraceContext | undefined;
  readonly reportedFailure: JobFailure | null;
}

/** What an attempt may write of its own job. */
export type JobReport<T extends JobTypes> =
  | { readonly kind: 'progress'; readonly progress: JobProgress }
  | { readonly kind: 'result'; readonly result: T['result'] }
  | { readonly kind: 'failure'; readonly failure: JobFailure };

export interface Jobs<T extends JobTypes> extends JobStore<RunnableJob<T>> {
  /** The same idempotency key gives the job that it made before. */
  create(request: CreateJobOf<T> & { readonly baseDir: string }, acting: Acting): Promise<JobOf<T>>;
  /** The job that was made with this idempotency key. */
  findByKey(idempotencyKey: string): Promise<JobOf<T> | undefined>;
  /** @throws AssayError NOT_FOUND */
  get(id: string): Promise<JobOf<T>>;
  /** Newest first. */
  list(page: { readonly limit: number; readonly after?: string }): Promise<Page<JobOf<T>>>;
  /** Marks the job to be cancelled; one that has ended stays what it is. */
  requestCancel(id: string, next: (lifecycle: Lifecycle) => Lifecycle, acting: Acting): Promise<JobOf<T>>;
  /** The token of the attempt that is about to start: what an earlier one sends is refused from now on. */
  setToken(id: string, token: string): Promise<void>;
  /** Keeps what was resolved of a job, as far as it has none yet; gives the job with what it has. */
  keepResolved(id: string, resolved: Partial<Resolution<T>>): Promise<JobOf<T>>;
  /** Tells what a job waits for that is starting; nothing happens to one that has moved on. */
  tellWaiting(id: string, progress: JobProgress): Promise<void>;
  /**
   * @returns the progress before, so that what was made since can be counted
   * @throws AssayError NOT_FOUND, UNAUTHENTICATED for another token than that of the running attempt, FAILED_PRECONDITION
   *   for a job that has ended
   */
  report(id: string, token: string, report: JobReport<T>): Promise<JobProgress | null>;
  /**
   * The job whose running attempt has this token.
   * @throws AssayError NOT_FOUND, UNAUTHENTICATED, FAILED_PRECONDITION as `report`
   */
  checkToken(id: string, token: string, trx?: Transaction<JobTables>): Promise<JobOf<T>>;
  countUnfinished(): Promise<ReadonlyMap<string, number>>;
}

export interface JobsOptions<T extends JobTypes> {
  readonly kind: Pick<JobKind<T>, 'name' | 'resolve' | 'keepsCounts' | 'api'>;
  readonly database: Database<JobTables>;
  /** Told when a change of a job is durable. */
  readonly onChange: (job: JobOf<T>) => void;
  /** Told when a job moved from one state to another. */
  readonly onMove: (job: JobOf<T>, from: Lifecycle) => void;
}

export function createJobs<T extends JobTypes>({ kind, database, onChange, onMove }: JobsOptions<T>): Jobs<T> {
  const { db } = database;
  const { toJob, toRunnable } = readers(kind);

  async function find(trx: Transaction<JobTables> | typeof db, id: string): Promise<Row> {
    const row = await trx.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst();
    if (row === undefined) throw new AssayError('NOT_FOUND', `there is no job "${id}"`);
    return row;
  }

  /** Writes what changed, with its event when others must know. */
  async function update(
    trx: Transaction<JobTables>,
    row: Row,
    changes: Partial<Row>,
    options: { readonly announce: boolean },
  ): Promise<JobOf<T>> {
    const changed: Row = { ...row, ...changes, revision: row.revision + 1 };
    await trx
      .updateTable('jobs')
      .set({ ...changes, revision: changed.revision })
      .where('id', '=', row.id)
      .execute();
    const job = toJob(changed);
    if (options.announce) await announce(trx, kind.name, job, row);
    return job;
  }

  async function move(trx: Transaction<JobTables>, row: Row, next: Lifecycle): Promise<JobOf<T>> {
    const now = Date.now();
    if (kind.api.checkpoint !== undefined && isFinished(next.state)) {
      await trx.deleteFrom('job_checkpoints').where('job_id', '=', row.id).execute();
    }
    const job = await update(
      trx,
      row,
      {
        state: next.state,
        attempts: next.attempts,
        cancel_requested: next.cancelRequested ? 1 : 0,
        failure: next.failure === null ? null : JSON.stringify(next.failure),
        lifecycle_revision: row.lifecycle_revision + 1,
        ...(next.attempts > row.attempts ? { reported_failure: null, token_sha256: null } : {}),
        ...(next.state === 'starting' && row.started_at === null ? { started_at: now } : {}),
        ...(isFinished(next.state) ? { ended_at: now, token_sha256: null } : {}),
      },
      { announce: true },
    );
    if (isFinished(next.state)) {
      const failure = next.failure === null ? {} : { failure: next.failure.kind };
      const details = { state: next.state, attempts: next.attempts, ...failure };
      await tellAudit(trx, asService(kind.name, row), { action: 'job.end', job, details });
    }
    return job;
  }

  function changesOf(report: JobReport<T>, row: Row): Partial<Row> {
    switch (report.kind) {
      case 'progress': {
        const { metrics } = (kind.keepsCounts === true ? toJob(row).progress : null) ?? {};
        return { progress: JSON.stringify({ ...(metrics === undefined ? {} : { metrics }), ...report.progress }) };
      }
      case 'result':
        return { result: JSON.stringify(report.result) };
      case 'failure':
        return { reported_failure: JSON.stringify(report.failure) };
    }
  }

  async function jobByKey(from: typeof db, idempotencyKey: string): Promise<JobOf<T> | undefined> {
    const row = await from
      .selectFrom('jobs')
      .selectAll()
      .where('idempotency_key', '=', idempotencyKey)
      .executeTakeFirst();
    return row === undefined ? undefined : toJob(row);
  }

  return {
    async create({ spec, specSource, baseDir, idempotencyKey }, acting) {
      const created = await database.transaction(async (trx) => {
        const before = idempotencyKey === undefined ? undefined : await jobByKey(trx, idempotencyKey);
        if (before !== undefined) return { job: before, isNew: false };
        const row: Row = {
          id: newId('job'),
          idempotency_key: idempotencyKey ?? null,
          spec: JSON.stringify(spec),
          base_dir: baseDir,
          state: NEW_JOB.state,
          attempts: NEW_JOB.attempts,
          cancel_requested: 0,
          failure: null,
          progress: null,
          result: null,
          reported_failure: null,
          token_sha256: null,
          revision: 1,
          lifecycle_revision: 1,
          created_at: Date.now(),
          started_at: null,
          ended_at: null,
          dataset: null,
          spec_source: specSource === undefined ? null : JSON.stringify(specSource),
          traceparent: acting.traceparent,
          tracestate: acting.tracestate ?? null,
        };
        await trx.insertInto('jobs').values(row).execute();
        const job = toJob(row);
        await announce(trx, kind.name, job, row);
        // The digest: a spec may be large, and the job shows it.
        const details = {
          specSha256: sha256(canonicalJson(spec)).toString('hex'),
          ...(specSource === undefined ? {} : { specName: specSource.name, specRevision: specSource.revision }),
        };
        await tellAudit(trx, acting, { action: 'job.submit', job, details });
        return { job, isNew: true };
      });
      if (created.isNew) onChange(created.job);
      return created.job;
    },

    findByKey: (idempotencyKey) => jobByKey(db, idempotencyKey),

    async get(id) {
      return toJob(await find(db, id));
    },

    async list({ limit, after }) {
      let query = db
        .selectFrom('jobs')
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1);
      if (after !== undefined) query = query.where('id', '<', after);
      const rows = await query.execute();
      const items = rows.slice(0, limit).map(toJob);
      const last = items.at(-1);
      return rows.length > limit && last !== undefined ? { items, next: last.id } : { items };
    },

    async listUnfinished() {
      const rows = await db
        .selectFrom('jobs')
        .selectAll()
        .where('state', 'in', ['queued', 'starting', 'running'])
        .orderBy('id')
        .execute();
      return rows.map(toRunnable);
    },

    async countUnfinished() {
      const rows = await db
        .selectFrom('jobs')
        .select(['state', (eb) => eb.fn.countAll<number>().as('count')])
        .where('state', 'in', ['queued', 'starting', 'running'])
        .groupBy('state')
        .execute();
      return new Map(rows.map(({ state, count }) => [state, Number(count)]));
    },

    async save(seen, next) {
      const job = await database.transaction(async (trx) => {
        const row = await find(trx, seen.id);
        return row.lifecycle_revision === seen.revision ? move(trx, row, next) : undefined;
      });
      if (job === undefined) return false;
      onChange(job);
      onMove(job, seen);
      return true;
    },

    async requestCancel(id, next, acting) {
      const { job, before, isMoved } = await database.transaction(async (trx) => {
        const row = await find(trx, id);
        const before = lifecycleOf(row);
        if (isFinished(before.state) || before.cancelRequested) return { job: toJob(row), before, isMoved: false };
        await tellAudit(trx, acting, { action: 'job.cancel', job: toJob(row), details: {} });
        return { job: await move(trx, row, next(before)), before, isMoved: true };
      });
      if (isMoved) {
        onChange(job);
        onMove(job, before);
      }
      return job;
    },

    async setToken(id, token) {
      await db
        .updateTable('jobs')
        .set({ token_sha256: sha256(token).toString('hex') })
        .where('id', '=', id)
        .execute();
    },

    async keepResolved(id, resolved) {
      const { job, isNew } = await database.transaction(async (trx) => {
        const row = await find(trx, id);
        const changes: { [K in ResolvedColumn]?: string } = {};
        for (const name of resolvedColumns(kind)) {
          const value = resolved[name] ?? null;
          if (value !== null && (row[name] ?? null) === null) changes[name] = JSON.stringify(value);
        }
        if (Object.keys(changes).length === 0) return { job: toJob(row), isNew: false };
        return { job: await update(trx, row, changes, { announce: false }), isNew: true };
      });
      if (isNew) onChange(job);
      return job;
    },

    async tellWaiting(id, progress) {
      const job = await database.transaction(async (trx) => {
        const row = await find(trx, id);
        if (row.state !== 'starting') return undefined;
        return update(trx, row, changesOf({ kind: 'progress', progress }, row), { announce: false });
      });
      if (job !== undefined) onChange(job);
    },

    async checkToken(id, token, trx) {
      const row = await find(trx ?? db, id);
      requireToken(row, token);
      return toJob(row);
    },

    async report(id, token, report) {
      let before: JobProgress | null = null;
      const job = await database.transaction(async (trx) => {
        const row = await find(trx, id);
        requireToken(row, token);
        before = toJob(row).progress;
        return update(trx, row, changesOf(report, row), { announce: false });
      });
      onChange(job);
      return before;
    },
  };
}

/** What nobody asked for the service does in its own name. */
function asService(name: string, row: Row): Acting {
  return { principal: name, keyId: null, requestId: newId('req'), ...childTrace(readTrace(row)) };
}

function requireToken(row: Row, token: string): void {
  if (isFinished(row.state)) {
    throw new AssayError('FAILED_PRECONDITION', `job "${row.id}" has ended: it is ${row.state}`);
  }
  const expected = Buffer.from(row.token_sha256 ?? '', 'hex');
  const given = sha256(token);
  if (expected.length === given.length && timingSafeEqual(expected, given)) return;
  throw new AssayError('UNAUTHENTICATED', `the token is not that of the running attempt of job "${row.id}"`);
}

async function announce<T extends JobTypes>(
  trx: Transaction<JobTables>,
  service: string,
  job: JobOf<T>,
  row: Row,
): Promise<void> {
  const facts = {
    source: `/assay/${service}`,
    type: `assay.job.${job.state}.v1`,
    subject: job.id,
    sequence: job.revision,
    data: job,
  };
  await writeOutbox(trx, TOPICS.jobs, [newEvent(facts, childTrace(readTrace(row)))]);
}

function resolvedColumns<T extends JobTypes>({ resolve }: Pick<JobKind<T>, 'resolve'>) {
  return Object.keys(resolve) as (keyof T['resolved'] & ResolvedColumn)[]; // its type has these keys and no others
}

/** From rows to the jobs of a kind. */
function readers<T extends JobTypes>(kind: Pick<JobKind<T>, 'name' | 'resolve'>) {
  const columns = resolvedColumns(kind);

  function toJob(row: Row): JobOf<T> {
    const resolution = Object.fromEntries(
      columns.map((name) => [name, row[name] == null ? null : fromJson<unknown>(row[name])]),
    );
    return {
      id: row.id,
      kind: kind.name,
      state: row.state,
      revision: row.revision,
      spec: fromJson<T['spec']>(row.spec),
      ...(row.spec_source === null ? {} : { specSource: fromJson<SpecReference>(row.spec_source) }),
      baseDir: row.base_dir,
      ...(resolution as Resolution<T>), // each column holds what was resolved under its name, or null
      attempts: row.attempts,
      progress: row.progress === null ? null : fromJson<JobProgress>(row.progress),
      result: row.result === null ? null : fromJson<T['result']>(row.result),
      failure: row.failure === null ? null : fromJson<JobFailure>(row.failure),
      createdAt: row.created_at,
      startedAt: row.started_at,
      endedAt: row.ended_at,
    };
  }

  const toRunnable = (row: Row): RunnableJob<T> => ({
    ...lifecycleOf(row),
    id: row.id,
    revision: row.lifecycle_revision,
    job: toJob(row),
    trace: readTrace(row),
    reportedFailure: row.reported_failure === null ? null : fromJson<JobFailure>(row.reported_failure),
  });

  return { toJob, toRunnable };
}

function lifecycleOf(row: Row): Lifecycle {
  return {
    state: row.state,
    attempts: row.attempts,
    cancelRequested: row.cancel_requested === 1,
    failure: row.failure === null ? null : fromJson<JobFailure>(row.failure),
  };
}

/** A JSON column of ours, as what we wrote there. */
function fromJson<T>(text: string): T {
  return JSON.parse(text) as T; // the column was written by `JSON.stringify` of a T in this file
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
