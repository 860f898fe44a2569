/** What the domain tells, as metrics and log lines. */
import { AssayError, type Door, type ErrorCode, type RoutedVersion } from '@assay/contracts';
import { type BoundCounter, type BoundHistogram, createMetrics, type Logger, type Registry } from '@assay/runtime';
import { bindCacheSeries, showHeldResponses } from './cache-series.ts';
import type { ScoredByVersion } from './compatible-metrics.ts';
import type { HeldResponses } from './domain/response-caches.ts';
import { ScoreStatistics } from './domain/score-statistics.ts';
import type { ScoreRecorder, ServingObserver } from './domain/version.ts';
import { inferenceMetrics } from './metrics.ts';
import type { DropReason } from './predictions/prediction-log.ts';

/** Values that are looked up at each scrape. */
export interface Gauges {
  queuedRows(): number;
  loadedVersions(): number;
  restingVersions(): number;
  /** What the versions in memory are taken to hold. */
  modelBytes(): number;
  heldBackEndpoints(): number;
  queuedPredictions(): number;
  heldResponses(): readonly HeldResponses[];
  /** Of the service for as long as it runs. */
  readonly isProviderMissing: boolean;
}

export interface Observer extends ServingObserver {
  /** Milliseconds since the routing source last answered; undefined before it first did. */
  routingAgeMs(): number | undefined;
  /** What gauges show; given once what they look at exists. */
  watch(gauges: Gauges): void;
  predictionsLogged(rows: number): void;
  predictionsDropped(reason: DropReason, rows: number): void;
  outcomesReported(endpoint: string, count: number): void;
  /** What each version scored for each endpoint. */
  scored(): Iterable<ScoredByVersion>;
}

/** Series of versions that were unloaded are kept for so many of them, so that the last scrape still finds them. */
export const RETIRED_SERIES = 50;

export function createObserver(registry: Registry, log: Logger): Observer {
  const { metrics } = createMetrics(inferenceMetrics, { registry });
  const series = new Map<string, VersionSeries>();
  /** Keys of `series` whose version was unloaded, the longest ago first. */
  const retired = new Set<string>();
  const droppedPredictions = new Map<DropReason, BoundCounter>();
  const routingFailures = metrics.routingFailures.bind({});
  const loadSeconds = metrics.loadSeconds.bind({});
  const wakeSeconds = metrics.wakeSeconds.bind({});
  const evictions = metrics.evictions.bind({});
  const routingRevision = metrics.routingRevision.bind({});
  const routingAge = metrics.routingAge.bind({});
  const predictionsLogged = metrics.predictionsLogged.bind({});
  routingRevision.set(-1);
  let answeredAtMs: number | undefined;
  const routingAgeMs = () => (answeredAtMs === undefined ? undefined : performance.now() - answeredAtMs);
  metrics.routingAge.onScrape(() => routingAge.set((routingAgeMs() ?? Number.NaN) / 1000));

  return {
    routingAgeMs,
    watch(gauges) {
      const queued = metrics.queuedRows.bind({});
      metrics.queuedRows.onScrape(() => queued.set(gauges.queuedRows()));
      const loaded = metrics.loadedVersions.bind({});
      metrics.loadedVersions.onScrape(() => loaded.set(gauges.loadedVersions()));
      const resting = metrics.restingVersions.bind({});
      metrics.restingVersions.onScrape(() => resting.set(gauges.restingVersions()));
      const modelBytes = metrics.modelBytes.bind({});
      metrics.modelBytes.onScrape(() => modelBytes.set(gauges.modelBytes()));
      const heldBack = metrics.heldBack.bind({});
      metrics.heldBack.onScrape(() => heldBack.set(gauges.heldBackEndpoints()));
      const predictions = metrics.predictionsQueued.bind({});
      metrics.predictionsQueued.onScrape(() => predictions.set(gauges.queuedPredictions()));
      showHeldResponses(metrics, gauges.heldResponses);
      metrics.providerMissing.bind({}).set(gauges.isProviderMissing ? 1 : 0);
    },
    predictionsLogged(rows) {
      predictionsLogged.inc(rows);
    },
    predictionsDropped(reason, rows) {
      let dropped = droppedPredictions.get(reason);
      if (dropped === undefined) {
        dropped = metrics.predictionsDropped.bind({ reason });
        droppedPredictions.set(reason, dropped); // a busy endpoint drops most of what it could log
      }
      dropped.inc(rows);
    },
    outcomesReported(endpoint, count) {
      metrics.outcomes.bind({ endpoint }).inc(count);
    },
    scored: () => series.values(),
    recorder(endpoint, version) {
      const key = `${endpoint}\0${version.id}`;
      retired.delete(key);
      let found = series.get(key);
      if (found === undefined) {
        found = bindSeries(metrics, endpoint, version);
        series.set(key, found);
      }
      return found;
    },
    refused(endpoint, code) {
      metrics.requests.bind({ endpoint: endpoint ?? '', model: '', version: '', code }).inc();
    },
    limited(endpoint, limit) {
      metrics.limited.bind({ endpoint, limit }).inc();
    },
    shadowRows(endpoint, shadow, outcome, rows) {
      const { modelName: model, version } = shadow;
      metrics.shadowRows.bind({ endpoint, model, version: String(version), outcome }).inc(rows);
    },
    versionLoaded(version, loadMs, liveVersions) {
      loadSeconds.observe(loadMs / 1000);
      log.info({ ...facts(version), loadMs: Math.round(loadMs), liveVersions }, 'version loaded');
    },
    versionFailed(version, error, attempt, retryInMs) {
      const code = AssayError.from(error).code;
      metrics.loadFailures.bind({ model: version.modelName, version: String(version.version), code }).inc();
      log.warn(
        { ...facts(version), err: error, attempt, retryInMs: Math.round(retryInMs) },
        'version could not be loaded; what serves now keeps serving, and it will be tried again',
      );
    },
    versionCrashed(version, why) {
      metrics.modelCrashes.bind({ model: version.modelName, version: String(version.version) }).inc();
      log.error({ ...facts(version), why }, 'the process of a version ended by itself; it is started again');
    },
    versionUnloaded(version, liveVersions) {
      for (const key of series.keys()) if (key.endsWith(`\0${version.id}`)) retired.add(key);
      for (const key of retired) {
        if (retired.size <= RETIRED_SERIES) break;
        retired.delete(key);
        series.get(key)?.forget();
        series.delete(key);
      }
      log.info({ ...facts(version), liveVersions }, 'version unloaded');
    },
    versionRested(version) {
      evictions.inc();
      log.debug(facts(version), 'version unloaded to make room for another; the next request loads it again');
    },
    versionWoken(version, wakeMs) {
      wakeSeconds.observe(wakeMs / 1000);
      log.debug({ ...facts(version), wakeMs: Math.round(wakeMs) }, 'version loaded again for a request');
    },
    endpointApplied(endpoint, revision, complete) {
      log.info({ endpoint, revision, complete }, 'endpoint serves its new revision');
    },
    endpointHeldBack(endpoint, reason) {
      if (reason === undefined) log.info({ endpoint }, 'endpoint is held back no more');
      else log.warn({ endpoint, reason }, 'endpoint cannot serve its newest revision');
    },
    snapshotReceived(revision) {
      answeredAtMs = performance.now();
      routingRevision.set(revision);
    },
    routingUnreachable(error, attempt, retryInMs) {
      routingFailures.inc();
      // The first says it; the others would only fill the log while the registry is away.
      if (attempt === 1) log.warn({ err: error, retryInMs: Math.round(retryInMs) }, 'the registry cannot be asked');
      else log.debug({ err: error, attempt, retryInMs: Math.round(retryInMs) }, 'the registry cannot be asked');
    },
    routingWentBack(held, received, accepted) {
      log.warn({ held, received, accepted }, 'the registry answered with a lower routing revision than before');
    },
  };
}

type InferenceMetrics = ReturnType<typeof createMetrics<typeof inferenceMetrics>>['metrics'];

function facts(version: RoutedVersion) {
  return { model: version.modelName, version: version.version, versionId: version.id, digest: version.digest };
}

interface VersionSeries extends ScoreRecorder, ScoredByVersion {
  forget(): void;
}

interface DoorSeries {
  readonly queue: BoundHistogram;
  readonly inference: BoundHistogram;
  readonly total: BoundHistogram;
}

function bindSeries(metrics: InferenceMetrics, endpoint: string, version: RoutedVersion): VersionSeries {
  const labels = { endpoint, model: version.modelName, version: String(version.version) };
  const ok = metrics.requests.bind({ ...labels, code: 'OK' });
  const failures = new Map<ErrorCode, BoundCounter>();
  const scoredRows = metrics.rows.bind(labels);
  const doors = new Map<Door, DoorSeries>();
  const doorOf = (door: Door): DoorSeries => {
    let found = doors.get(door);
    if (found === undefined) {
      const own = { door, ...labels };
      found = {
        queue: metrics.queue.bind(own),
        inference: metrics.inference.bind(own),
        total: metrics.total.bind(own),
      };
      doors.set(door, found);
    }
    return found;
  };
  const batch = metrics.batchRows.bind(labels);
  const cache = bindCacheSeries(metrics, labels);
  const statistics = new ScoreStatistics();
  return {
    endpoint,
    version: version.version,
    statistics,
    cache: {
      looked(hits, coalesced, misses) {
        cache.looked(hits, coalesced, misses);
        if (misses > 0) statistics.cacheMisses++;
      },
      evicted: cache.evicted,
    },
    scored(door, scored, totalMs) {
      const { rows, cached, batchRows, queueMs, inferenceMs } = scored;
      const { queue, inference, total } = doorOf(door);
      ok.inc();
      scoredRows.inc(rows);
      total.observe(totalMs / 1000);
      statistics.scored(scored, totalMs);
      if (cached?.size === rows) return; // nothing was queued or run for it
      queue.observe(queueMs / 1000);
      inference.observe(inferenceMs / 1000);
      batch.observe(batchRows);
    },
    failed(code) {
      let failed = failures.get(code);
      if (failed === undefined) {
        failed = metrics.requests.bind({ ...labels, code });
        failures.set(code, failed);
      }
      failed.inc();
      statistics.failed(code);
    },
    forget() {
      cache.forget();
      for (const code of ['OK', ...failures.keys()]) metrics.requests.remove({ ...labels, code });
      for (const metric of [metrics.rows, metrics.batchRows]) metric.remove(labels);
      for (const door of doors.keys()) {
        for (const metric of [metrics.queue, metrics.inference, metrics.total]) metric.remove({ door, ...labels });
      }
    },
  };
}
