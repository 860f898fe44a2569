/** What a job counts: finished shards, rows, the time of each stage; told as progress. */
import type { RowPosition, RowSource } from '@assay/tables';
import type { FinishedShard } from '../domain/checkpoint.ts';
import { PROGRESS_METRICS } from '../job-metrics.ts';
import type { PredictionCounts } from './prediction-log.ts';
import type { Reporter } from './reporter.ts';

export interface Tally {
  readonly shards: readonly FinishedShard[];
  /** Of finished shards. */
  readonly rowsFailed: number;
  /** Failed rows of the shard that is being written. */
  pending: number;
  /** What became of the predictions that were to be logged. */
  predictions(): PredictionCounts;
  percent(position: RowPosition): number;
  time<T>(stage: 'read' | 'score' | 'write', work: () => Promise<T>): Promise<T>;
  finish(shard: FinishedShard): void;
}

/** The share of preparing and verifying in what a person sees. */
const MAX_PERCENT = 99;

export function createTally(
  finished: readonly FinishedShard[],
  { report, source }: { readonly report: Reporter; readonly source: RowSource },
): Tally {
  const shards = [...finished];
  const seconds = { read: 0, score: 0, write: 0 };
  const sum = (key: 'rowsIn' | 'rowsOut' | 'rowsFailed'): number => shards.reduce((all, shard) => all + shard[key], 0);
  const predictions = (): PredictionCounts => ({
    logged: shards.reduce((all, shard) => all + (shard.predictions?.logged ?? 0), 0),
    dropped: shards.reduce((all, shard) => all + (shard.predictions?.dropped ?? 0), 0),
  });
  const percent = (position: RowPosition): number => Math.min(MAX_PERCENT, 100 * source.fractionBefore(position));
  return {
    shards,
    pending: 0,
    predictions,
    get rowsFailed() {
      return sum('rowsFailed');
    },
    percent,
    async time(stage, work) {
      const begin = performance.now();
      try {
        return await work();
      } finally {
        seconds[stage] += (performance.now() - begin) / 1000;
      }
    },
    finish(shard) {
      shards.push(shard);
      this.pending = 0;
      const { shard: number, next, rowsIn, rowsFailed } = shard;
      const done = next === null ? MAX_PERCENT : percent(next);
      report.progress(done, `shard ${number}: ${rowsIn} rows, ${rowsFailed} failed`, {
        [PROGRESS_METRICS.rowsIn]: sum('rowsIn'),
        [PROGRESS_METRICS.rowsOut]: sum('rowsOut'),
        [PROGRESS_METRICS.rowsFailed]: sum('rowsFailed'),
        [PROGRESS_METRICS.readSeconds]: seconds.read,
        [PROGRESS_METRICS.scoreSeconds]: seconds.score,
        [PROGRESS_METRICS.writeSeconds]: seconds.write,
        [PROGRESS_METRICS.predictionsLogged]: predictions().logged,
        [PROGRESS_METRICS.predictionsDropped]: predictions().dropped,
      });
    },
  };
}
