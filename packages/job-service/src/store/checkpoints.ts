/**
 * What running jobs write down of themselves, so that another attempt, on another machine, goes on behind it. Kept until the
 * job has ended. By the token of the running attempt alone: one that was given up, and is still alive, writes nothing more.
 */
import { AssayError } from '@assay/contracts';
import type { Database } from '@assay/database';
import type { JobTypes } from '../kind.ts';
import type { Jobs } from './jobs.ts';
import type { JobTables } from './tables.ts';

/** All throw what `checkToken` of the job does. */
export interface Checkpoints {
  /** In their order. */
  list(jobId: string, token: string): Promise<unknown[]>;
  /**
   * Writes entry `number`, the next one; the same again changes nothing.
   * @throws AssayError FAILED_PRECONDITION when it is not the next one, or another stands there
   */
  put(jobId: string, token: string, number: number, entry: object): Promise<void>;
}

export function createCheckpoints<T extends JobTypes>(
  database: Database<JobTables>,
  jobs: Pick<Jobs<T>, 'checkToken'>,
): Checkpoints {
  return {
    async list(jobId, token) {
      await jobs.checkToken(jobId, token);
      const rows = await database.db
        .selectFrom('job_checkpoints')
        .select('entry')
        .where('job_id', '=', jobId)
        .orderBy('number')
        .execute();
      return rows.map(({ entry }): unknown => JSON.parse(entry));
    },
    async put(jobId, token, number, entry) {
      const text = JSON.stringify(entry);
      await database.transaction(async (trx) => {
        await jobs.checkToken(jobId, token, trx);
        const written = trx.selectFrom('job_checkpoints').where('job_id', '=', jobId);
        const before = await written.select('entry').where('number', '=', number).executeTakeFirst();
        if (before?.entry === text) return;
        const { count } = await written.select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
        if (before !== undefined || number !== Number(count)) {
          const message = `checkpoint ${number} of job "${jobId}" is not the next one: there are ${count}`;
          throw new AssayError('FAILED_PRECONDITION', message);
        }
        await trx.insertInto('job_checkpoints').values({ job_id: jobId, number, entry: text }).execute();
      });
    },
  };
}
