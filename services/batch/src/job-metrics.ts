/** What a job counts of itself in its progress, and how the service counts it. */
import type { BatchVersion, JobProgress } from '@assay/contracts';
import type { BatchMetrics } from './metrics.ts';

/** Rows are those of finished shards, of all its attempts. */
export const PROGRESS_METRICS = {
  rowsIn: 'rows_in',
  rowsOut: 'rows_out',
  rowsFailed: 'rows_failed',
  readSeconds: 'read_seconds',
  scoreSeconds: 'score_seconds',
  writeSeconds: 'write_seconds',
  predictionsLogged: 'predictions_logged',
  predictionsDropped: 'predictions_dropped',
} as const;

const STAGES = {
  read: PROGRESS_METRICS.readSeconds,
  score: PROGRESS_METRICS.scoreSeconds,
  write: PROGRESS_METRICS.writeSeconds,
} as const;

/** Counts what a job did since the progress before. */
export function countProgress(
  metrics: BatchMetrics,
  before: JobProgress | null,
  now: JobProgress,
  version: BatchVersion | null,
): void {
  const since = (name: string): number => {
    const [then, value] = [before?.metrics?.[name] ?? 0, now.metrics?.[name]];
    if (value === undefined) return 0;
    return value >= then ? value - then : value; // a new attempt counts its seconds from 0
  };
  metrics.rows.bind({ outcome: 'scored' }).inc(since(PROGRESS_METRICS.rowsOut));
  metrics.rows.bind({ outcome: 'failed' }).inc(since(PROGRESS_METRICS.rowsFailed));
  metrics.predictions.bind({ outcome: 'logged' }).inc(since(PROGRESS_METRICS.predictionsLogged));
  metrics.predictions.bind({ outcome: 'dropped' }).inc(since(PROGRESS_METRICS.predictionsDropped));
  const rows = since(PROGRESS_METRICS.rowsIn);
  for (const [stage, name] of Object.entries(STAGES)) {
    const seconds = since(name);
    metrics.stageSeconds.bind({ stage }).inc(seconds);
    if (rows === 0 || version === null) continue;
    const labels = { stage, model: version.modelName, version: String(version.version) };
    metrics.rowDuration.bind(labels).observe(seconds / rows);
  }
}
