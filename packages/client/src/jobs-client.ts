/** The services that run jobs, training and batch: jobs for people, and the way back for the job itself. */
import { randomUUID } from 'node:crypto';
import {
  BatchJob,
  type BatchResult,
  type CreateBatchJob,
  type CreateJob,
  Job,
  type JobFailure,
  type JobProgress,
  type JobState,
  type LogBatchPredictions,
  Page,
  type PageQuery,
  type TrainingResult,
} from '@assay/contracts';
import Type, { type Static, type TSchema } from 'typebox';
import { type CallOptions, type ClientOptions, createTransport, segment } from './transport.ts';

const LONG_POLL_GRACE_MS = 10_000;
/** A log is followed as long as the job runs. */
const FOLLOW_TIMEOUT_MS = 7 * 24 * 3_600_000;

export type TrainingClient = ReturnType<typeof createTrainingClient>;
export type BatchClient = ReturnType<typeof createBatchClient>;

/** A client of the training service at `url`; a running job gives its own token as `bearerToken`. */
export function createTrainingClient(options: ClientOptions) {
  const {
    ofJob: _,
    transport: __,
    ...client
  } = jobsClient<typeof Job, CreateJob, TrainingResult>('training service', Job, options);
  return client;
}

/** A client of the batch service at `url`; a running job gives its own token as `bearerToken`. */
export function createBatchClient(options: ClientOptions) {
  const { ofJob, transport, ...client } = jobsClient<typeof BatchJob, CreateBatchJob, BatchResult>(
    'batch service',
    BatchJob,
    options,
  );
  return {
    ...client,
    /** For a running job: puts predictions into the prediction log. */
    logPredictions(id: string, body: LogBatchPredictions, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'POST', path: `${ofJob(id)}/predictions`, json: body, idempotent: true }, o);
    },
  };
}

const Checkpoints = Type.Object({ items: Type.Array(Type.Unknown()) });

/** What jobs of every kind have. */
interface AnyJob {
  readonly state: JobState;
  readonly revision: number;
}

function jobsClient<S extends TSchema & { static?: AnyJob }, Create extends { idempotencyKey?: string }, Result>(
  service: string,
  schema: S,
  options: ClientOptions,
) {
  type OneJob = Static<S> & AnyJob;
  const transport = createTransport(service, options);
  const pageSchema = Page(schema, 'JobPage');
  const job = (call: Parameters<typeof transport.json>[1], o?: CallOptions): Promise<OneJob> =>
    transport.json(schema, call, o) as Promise<OneJob>; // jobs of every kind have what AnyJob names
  const ofJob = (id: string): string => `/v1/jobs/${segment(id)}`;

  return {
    transport,
    ofJob,
    url: transport.url,

    listJobs(query: PageQuery = {}, o?: CallOptions): Promise<Page<OneJob>> {
      const call = { method: 'GET', path: '/v1/jobs', query, idempotent: true } as const;
      return transport.json(pageSchema, call, o) as Promise<Page<OneJob>>; // a page of what `job` gives
    },
    createJob(body: Create, o?: CallOptions): Promise<OneJob> {
      const json = { ...body, idempotencyKey: body.idempotencyKey ?? randomUUID() };
      return job({ method: 'POST', path: '/v1/jobs', json, idempotent: true }, o);
    },
    /** With `after`, a long poll: answers when the job's revision is higher, or after `waitMs` with the job as it is. */
    getJob(id: string, query: { after?: number; waitMs?: number } = {}, o?: CallOptions): Promise<OneJob> {
      const timeoutMs = (query.waitMs ?? 0) + LONG_POLL_GRACE_MS;
      return job({ method: 'GET', path: ofJob(id), query, idempotent: true, timeoutMs }, o);
    },
    /** Follows the job until it has ended, or `signal` aborts; gives every state that was seen, the last one included. */
    async *followJob(id: string, o: CallOptions = {}): AsyncGenerator<OneJob, OneJob> {
      const { timeoutMs: _, ...rest } = o;
      let seen = await this.getJob(id, {}, rest);
      for (;;) {
        yield seen;
        if (hasEnded(seen)) return seen;
        const after = seen.revision;
        do seen = await this.getJob(id, { after, waitMs: 20_000 }, rest);
        while (seen.revision <= after);
      }
    },
    cancelJob(id: string, o?: CallOptions): Promise<OneJob> {
      return job({ method: 'POST', path: `${ofJob(id)}/cancel`, idempotent: true }, o);
    },
    /** The job's log as text, in pieces as they come; with `follow` until the job has ended. */
    async logs(
      id: string,
      write: (text: string) => void,
      query: { follow?: boolean } = {},
      o?: CallOptions,
    ): Promise<void> {
      const call = { method: 'GET', path: `${ofJob(id)}/logs`, query, headers: { accept: 'text/plain' } } as const;
      const timeoutMs = query.follow ? FOLLOW_TIMEOUT_MS : 60_000;
      // Not marked idempotent: what was written already would be written again.
      const limits = { timeoutMs, stallTimeoutMs: timeoutMs };
      await transport.send({ ...call, ...limits, idempotent: false }, o, async ({ body }) => {
        const decoder = new TextDecoder();
        for await (const chunk of body) write(decoder.decode(chunk, { stream: true }));
      });
    },

    putProgress(id: string, body: JobProgress, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'PUT', path: `${ofJob(id)}/progress`, json: body, idempotent: true }, o);
    },
    putResult(id: string, body: Result, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'PUT', path: `${ofJob(id)}/result`, json: body, idempotent: true }, o);
    },
    putFailure(id: string, body: JobFailure, o?: CallOptions): Promise<void> {
      return transport.done({ method: 'PUT', path: `${ofJob(id)}/failure`, json: body, idempotent: true }, o);
    },

    /** Of kinds whose jobs write down how far they are: entry `number`, the next one. */
    putCheckpoint(id: string, number: number, entry: object, o?: CallOptions): Promise<void> {
      const path = `${ofJob(id)}/checkpoints/${number}`;
      return transport.done({ method: 'PUT', path, json: entry, idempotent: true }, o);
    },
    /** What was written down, in its order. */
    async listCheckpoints(id: string, o?: CallOptions): Promise<readonly unknown[]> {
      const call = { method: 'GET', path: `${ofJob(id)}/checkpoints`, idempotent: true } as const;
      return (await transport.json(Checkpoints, call, o)).items;
    },

    close: (): Promise<void> => transport.close(),
    [Symbol.asyncDispose]: (): Promise<void> => transport.close(),
  };
}

export function hasEnded(job: { readonly state: JobState }): boolean {
  return job.state === 'succeeded' || job.state === 'failed' || job.state === 'cancelled';
}
