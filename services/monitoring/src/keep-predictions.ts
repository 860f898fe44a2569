/** Keeps predictions: takes them from the topic into the database, from there into files, and deletes what is too old. */
import { type Event, explain, matches, PREDICTIONS_LOGGED, PredictionsLogged, TOPICS } from '@assay/contracts';
import type { EventBus, Subscription } from '@assay/events';
import type { Logger } from '@assay/runtime';
import type { MonitoringMetrics } from './metrics.ts';
import type { Predictions } from './store/predictions.ts';

export interface KeeperOptions {
  readonly bus: EventBus;
  readonly predictions: Predictions;
  readonly metrics: MonitoringMetrics;
  readonly log: Logger;
  readonly rollRows: number;
  readonly rollBytes: number;
  readonly rollAfterMs: number;
  readonly retentionDays: number;
  readonly seenForMs: number;
  /** Ends the wait for an event bus that is away. */
  readonly signal: AbortSignal;
}

export interface Keeper {
  /** Takes no more events, lets the write under way end. What waits stays in the database. */
  close(): Promise<void>;
}

/** All replicas and restarts share the work of one topic. */
const GROUP = 'assay-monitoring-predictions';
const EXPIRE_EVERY_MS = 3_600_000;
const RETRY_MS = 5000;

/** Resolves when events come; until then, what waits in the database goes into files all the same. */
export async function startKeeper(options: KeeperOptions): Promise<Keeper> {
  const { bus, predictions, metrics, log } = options;
  const kept = metrics.predictions.bind({ outcome: 'kept' });
  const duplicate = metrics.predictions.bind({ outcome: 'duplicate' });
  const unreadable = metrics.unreadable.bind({});
  const expired = metrics.expired.bind({});
  const rollFailures = metrics.rollFailures.bind({});
  const rollSeconds = metrics.rollSeconds.bind({});
  const stopping = new AbortController();
  const { signal } = stopping;
  let wake: () => void = () => undefined;
  const spooled = await predictions.spooled();
  const waiting = { rows: spooled.rows, sizeBytes: spooled.sizeBytes, sinceMs: performance.now() };
  let expiredAtMs = Number.NEGATIVE_INFINITY;

  async function handle(event: Event): Promise<void> {
    if (event.type !== PREDICTIONS_LOGGED) return;
    if (!matches(PredictionsLogged, event.data)) {
      // Given again it would be the same: it must not hold up those behind it.
      unreadable.inc();
      const [problem] = explain(PredictionsLogged, event.data, 'data');
      log.error({ event: event.id, problem }, 'an event of predictions is not of its schema and is skipped');
      return;
    }
    const entries = event.data.predictions;
    const fresh = await predictions.append(entries);
    kept.inc(fresh);
    duplicate.inc(entries.length - fresh);
    if (waiting.rows === 0) waiting.sinceMs = performance.now();
    waiting.rows += fresh;
    for (const { record, outputs } of entries) waiting.sizeBytes += record.length + outputs.length;
    if (isDue()) wake();
  }

  const dueInMs = (): number =>
    waiting.rows === 0 ? options.rollAfterMs : waiting.sinceMs + options.rollAfterMs - performance.now();
  const isDue = (): boolean =>
    waiting.rows >= options.rollRows || waiting.sizeBytes >= options.rollBytes || (waiting.rows > 0 && dueInMs() <= 0);

  async function run(): Promise<void> {
    while (!signal.aborted) {
      let pauseMs = Math.max(1, Math.min(dueInMs(), EXPIRE_EVERY_MS));
      try {
        if (isDue()) await roll();
        if (performance.now() - expiredAtMs >= EXPIRE_EVERY_MS) await expire();
        pauseMs = isDue() ? 0 : Math.max(1, Math.min(dueInMs(), EXPIRE_EVERY_MS));
      } catch (error) {
        if (signal.aborted) return;
        rollFailures.inc();
        log.error(
          { err: error, retryInMs: RETRY_MS },
          'predictions could not be written to files; they wait in the database',
        );
        pauseMs = RETRY_MS;
      }
      await pause(pauseMs);
    }
  }

  async function roll(): Promise<void> {
    const startedMs = performance.now();
    const rows = await predictions.roll(options.rollRows, signal);
    rollSeconds.observe((performance.now() - startedMs) / 1000);
    const left = await predictions.spooled();
    Object.assign(waiting, { ...left, sinceMs: performance.now() });
    if (rows > 0) log.info({ rows, left: left.rows }, 'predictions were written to files');
  }

  async function expire(): Promise<void> {
    const now = Date.now();
    const files = await predictions.expire(options.retentionDays, now, now - options.seenForMs);
    expiredAtMs = performance.now();
    expired.inc(files);
    if (files > 0) log.info({ files }, 'files of predictions older than the retention were deleted');
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
      wake = end;
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
    });
  }

  const running = run();
  const end = async (): Promise<void> => {
    stopping.abort();
    await running;
  };
  let subscription: Subscription;
  try {
    subscription = await bus.subscribe(
      { topics: [TOPICS.predictions], delivery: { group: GROUP }, from: 'earliest', signal: options.signal },
      handle,
    );
  } catch (error) {
    await end();
    throw error;
  }
  return {
    async close() {
      await subscription.close();
      await end();
    },
  };
}
