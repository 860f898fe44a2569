/**
 * Batch: a *job* scores the rows of files, *shard* by shard, with one version.
 *
 * A job is recorded before it is launched; each *attempt* runs in a process of its own and goes on behind the last shard
 * that the one before it finished. Every row of the input is in the results or in the errors, and however often it was
 * killed, the files are the same to the byte.
 */
import { describeJobService } from '@assay/job-service';
import type { ServiceDescription } from '@assay/runtime';
import { batchKind } from './kind.ts';

export { type BatchConfig, batchConfig } from './config.ts';
export { type BatchDeps, createBatch as createService } from './service.ts';

/** The service's settings, metrics and API, without opening anything. */
export function describe(): ServiceDescription {
  return describeJobService(batchKind);
}
