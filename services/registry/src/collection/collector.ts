/** Collects when it is asked to and, where a setting says so, by itself; counts what went. */
import type { Collection } from '@assay/contracts';
import { pause } from '@assay/events';
import { childTrace, newId } from '@assay/runtime';
import type { RegistryConfig } from '../config.ts';
import { COLLECTOR } from '../domain/principals.ts';
import type { RegistryMetrics } from '../metrics.ts';
import type { Actor } from '../store/change.ts';
import { type CollectionTimes, type CollectorParts, collect, planCollection } from './collect.ts';

export interface Collector {
  /** What would go, without changing anything. */
  plan(actor: Actor, signal: AbortSignal): Promise<Collection>;
  /** @throws AssayError UNAVAILABLE while another collection is under way, here or in another replica */
  collect(actor: Actor, signal: AbortSignal): Promise<Collection>;
  close(): Promise<void>;
}

export interface CollectorOptions extends CollectorParts {
  readonly metrics: RegistryMetrics;
  readonly times?: CollectionTimes | undefined;
  readonly config: Pick<RegistryConfig, 'deletedRetentionMs' | 'unusedBlobGraceMs' | 'collectEveryMs'>;
}

/** How often to look whether it is time: another replica may have collected meanwhile. */
const LOOK_MS = 60_000;

export function startCollector(options: CollectorOptions): Collector {
  const { store, metrics, log, config } = options;
  const { db } = store.database;
  const stop = new AbortController();
  const [done, failed] = [
    metrics.collections.bind({ outcome: 'done' }),
    metrics.collections.bind({ outcome: 'failed' }),
  ];
  const [blobs, bytes, rows] = [
    metrics.collectedBlobs.bind({}),
    metrics.collectedBytes.bind({}),
    metrics.collectedRows.bind({}),
  ];
  const ended = metrics.collectionEnded.bind({});
  metrics.collectionEnded.onScrape(async () => ended.set((await endedAt()) / 1000));
  const underWay = new Set<Promise<unknown>>();

  async function endedAt(): Promise<number> {
    return (await db.selectFrom('collector').select('ended_at').executeTakeFirstOrThrow()).ended_at;
  }

  const optionsFor = (actor: Actor, signal: AbortSignal) => ({
    actor,
    retentionMs: config.deletedRetentionMs,
    graceMs: config.unusedBlobGraceMs,
    signal: AbortSignal.any([signal, stop.signal]),
    ...(options.times === undefined ? {} : { times: options.times }),
  });

  async function run(actor: Actor, signal: AbortSignal): Promise<Collection> {
    try {
      const report = await collect(options, optionsFor(actor, signal));
      done.inc();
      blobs.inc(report.blobs.count);
      bytes.inc(report.blobs.sizeBytes);
      rows.inc(report.rowCount);
      const { rowCount, blobs: removed, kept } = report;
      log.info({ rows: rowCount, blobs: removed, kept, principal: actor.principal }, 'collection done');
      return report;
    } catch (error) {
      failed.inc();
      throw error;
    }
  }

  async function follow(everyMs: number): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        if (Date.now() - (await endedAt()) >= everyMs) {
          await run(
            { principal: COLLECTOR, keyId: null, requestId: newId('req'), ...childTrace(undefined) },
            stop.signal,
          );
        }
      } catch (err) {
        if (!stop.signal.aborted) log.warn({ err }, 'the collection ended early; it is tried again');
      }
      await pause(Math.min(LOOK_MS, everyMs), stop.signal);
    }
  }
  const following = config.collectEveryMs === undefined ? Promise.resolve() : follow(config.collectEveryMs);

  /** Waited for when the registry closes: its database is closed next. */
  function tracked(work: Promise<Collection>): Promise<Collection> {
    const settled = work.catch(() => undefined).finally(() => underWay.delete(settled));
    underWay.add(settled);
    return work;
  }

  return {
    plan: (actor, signal) => tracked(planCollection(options, optionsFor(actor, signal))),
    collect: (actor, signal) => tracked(run(actor, signal)),
    async close() {
      stop.abort(new DOMException('the registry stops', 'AbortError'));
      await Promise.all([following, ...underWay]);
    },
  };
}
