/** For tests: rows that were scored, with nothing behind them. */
import type { OutputBatch } from '@assay/scoring';
import type { Scored } from '../domain/dataplane.ts';
import { routedEndpoint, routedVersion, SIGNATURE } from '../domain/fake-versions.ts';
import { serveEndpoint } from '../domain/routing-table.ts';
import { ScoreStatistics } from '../domain/score-statistics.ts';

/** What the dataplane gives for a request of so many rows. */
export function scored(rows: number): Scored {
  const outputs: OutputBatch = {
    rows,
    outputs: [
      {
        name: 'version',
        dtype: 'int64',
        shape: [rows, 1],
        data: BigInt64Array.from({ length: rows }, (_, i) => BigInt(i)),
      },
    ],
    record: () => ({}),
    tensor() {
      throw new Error('not asked for');
    },
  };
  const version = routedVersion(3);
  const loaded = {
    signature: SIGNATURE,
    outputTails: new Map(),
    details: { executionClass: 'class-1' },
    maxBatchRows: 64,
    repeatable: true,
    measured: { oneRowMs: 1, fullBatchMs: 1 },
    explain: async () => [],
    score: () => Promise.reject(new Error('not asked for')),
    queuedRows: 0,
    async close() {},
  };
  const recorder = {
    statistics: new ScoreStatistics(),
    cache: { looked() {}, evicted() {} },
    scored() {},
    failed() {},
  };
  const live = { version, loaded, requests: 0, isResting: false, lastUse: 0, failure: undefined };
  const variant = { version, weight: 10_000, live, recorder };
  const endpoint = serveEndpoint(routedEndpoint('flights', 7, [3]), [variant]);
  return { endpoint, variant, rows: { outputs, firstRow: 0, rows, queueMs: 0, inferenceMs: 0, batchRows: rows } };
}
