/** The whole schema of the database of a service of jobs, oldest first. */
import type { Migration } from '@assay/database';
import { outboxMigration } from '@assay/events';
import { jobsMigration } from './001-jobs.ts';
import { datasetsMigration } from './002-datasets.ts';
import { checkpointsMigration } from './003-checkpoints.ts';
import { specSourceMigration } from './004-spec-source.ts';
import { traceMigration } from './005-trace.ts';

/** @param tables what its jobs have besides what all have */
export function jobMigrations(tables: {
  readonly version: boolean;
  readonly checkpoints?: boolean;
}): readonly Migration[] {
  const own = tables.checkpoints === true ? [checkpointsMigration] : [];
  return [outboxMigration, jobsMigration(tables), datasetsMigration, ...own, specSourceMigration, traceMigration];
}
