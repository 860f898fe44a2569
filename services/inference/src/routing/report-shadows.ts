/** Tells the registry, every few seconds, what was counted of shadows since the start. */
import { randomUUID } from 'node:crypto';
import type { ReportShadows } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import { pause } from '../domain/live-set.ts';
import type { ShadowRecord } from '../domain/shadows.ts';

export interface ShadowReporterOptions {
  readonly records: () => readonly ShadowRecord[];
  readonly send: (endpoint: string, report: ReportShadows, signal: AbortSignal) => Promise<void>;
  readonly intervalMs: number;
  readonly log: Pick<Logger, 'warn'>;
}

const MAX_COMPARISONS = 64;
/** Of the last report, when the service stops. */
const LAST_REPORT_MS = 2000;

/** Reports until it is closed; then once more. */
export function createShadowReporter({ records, send, intervalMs, log }: ShadowReporterOptions): {
  close(): Promise<void>;
} {
  const replica = randomUUID();
  const stopping = new AbortController();
  /** Pair → how many rows of it the registry knows. */
  const known = new Map<string, number>();
  let sequence = 0;
  let isFailing = false;

  async function report(signal: AbortSignal): Promise<void> {
    const changed = records().filter((record) => known.get(keyOf(record)) !== rowsOf(record));
    for (const ofEndpoint of Map.groupBy(changed, ({ endpointId }) => endpointId).values()) {
      for (let from = 0; from < ofEndpoint.length; from += MAX_COMPARISONS) {
        await tell(ofEndpoint.slice(from, from + MAX_COMPARISONS), signal);
      }
    }
  }

  async function tell(pairs: readonly ShadowRecord[], signal: AbortSignal): Promise<void> {
    const [first] = pairs;
    if (first === undefined) return;
    const comparisons = pairs.map(({ versionId, primaryVersionId, counts }) => ({
      versionId,
      primaryVersionId,
      counts,
    }));
    try {
      const body = { endpointId: first.endpointId, replica, sequence: ++sequence, comparisons };
      await send(first.endpointName, body, signal);
      for (const pair of pairs) known.set(keyOf(pair), rowsOf(pair));
      isFailing = false;
    } catch (error) {
      if (stopping.signal.aborted && !signal.aborted) return;
      // The sums are told again with the next report: nothing is lost.
      if (!isFailing)
        log.warn({ err: error, endpoint: first.endpointName }, 'what shadows were compared to be is not reported');
      isFailing = true;
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await pause(intervalMs, stopping.signal);
      if (!stopping.signal.aborted) await report(stopping.signal);
    }
  }

  const running = run();
  return {
    async close() {
      stopping.abort();
      await running;
      await report(AbortSignal.timeout(LAST_REPORT_MS));
    },
  };
}

function keyOf({ endpointId, versionId, primaryVersionId }: ShadowRecord): string {
  return `${endpointId} ${versionId} ${primaryVersionId}`;
}

function rowsOf({ counts }: ShadowRecord): number {
  return counts.rows + counts.failedRows + counts.droppedRows;
}
