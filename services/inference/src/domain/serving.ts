/** The domain put together: what follows routing, keeps versions in memory and scores. */
import type { RoutingSnapshot } from '@assay/contracts';
import type { Backoff } from './backoff.ts';
import { Convergence } from './convergence.ts';
import { Dataplane } from './dataplane.ts';
import { followRouting } from './follow-routing.ts';
import { LiveSet, type MemoryLimit } from './live-set.ts';
import { ResponseCaches } from './response-caches.ts';
import { Shadows } from './shadows.ts';
import type { LoadVersion, PackageSource, RoutingSource, ServingObserver } from './version.ts';

export interface ServingOptions {
  readonly routing: RoutingSource;
  readonly packages: PackageSource;
  readonly load: LoadVersion;
  readonly observer: ServingObserver;
  readonly maxConcurrentLoads: number;
  readonly loadTimeoutMs: number;
  readonly retry: Backoff;
  /** Without it no version rests. */
  readonly memory?: MemoryLimit | undefined;
  readonly maxTimeoutMs: number;
  readonly shadowQueueRows: number;
  readonly shadowQueueBytes: number;
  readonly responseCacheMaxBytes: number;
  /** What served before the last stop, for a start without the registry. */
  readonly cached: RoutingSnapshot | undefined;
  /** Keeps what serves now for the next start. */
  readonly keep: (effective: RoutingSnapshot) => void;
}

export interface Serving {
  readonly dataplane: Dataplane;
  readonly convergence: Convergence;
  readonly live: LiveSet;
  readonly shadows: Shadows;
  readonly caches: ResponseCaches;
  /** What serves first, then follows routing until `close`. Resolves at once. */
  start(): void;
  /** Resolves when a first snapshot has come and each of its endpoints serves or has failed to. */
  whenSettled(signal: AbortSignal): Promise<void>;
  /** Stops following, waits for the requests that run, unloads everything. */
  close(): Promise<void>;
}

export function createServing(options: ServingOptions): Serving {
  const { routing, packages, observer, retry, cached, keep } = options;
  const live = new LiveSet(options);
  const caches = new ResponseCaches(options.responseCacheMaxBytes);
  const convergence = new Convergence({
    live,
    observer,
    caches,
    onApplied(effective) {
      keep(effective);
      packages.retain?.(new Set(convergence.inUse().map((version) => version.digest)));
    },
  });
  const shadows = new Shadows({
    live,
    observer,
    maxQueueRows: options.shadowQueueRows,
    maxQueueBytes: options.shadowQueueBytes,
  });
  const dataplane = new Dataplane({ convergence, live, observer, shadows, maxTimeoutMs: options.maxTimeoutMs });
  const stopping = new AbortController();
  const firstSnapshot = Promise.withResolvers<void>();
  let running: Promise<void> = Promise.resolve();

  async function run(signal: AbortSignal): Promise<void> {
    if (cached !== undefined) {
      // What served before serves first: should the newest snapshot name a version that fails, this is what it falls
      // back on.
      convergence.want(cached);
      firstSnapshot.resolve();
      await convergence.whenSettled(signal).catch(() => {});
    }
    await followRouting({
      source: routing,
      retry,
      observer,
      signal,
      onSnapshot(snapshot) {
        convergence.want(snapshot);
        firstSnapshot.resolve();
      },
    });
  }

  return {
    dataplane,
    convergence,
    live,
    shadows,
    caches,
    start() {
      running = run(stopping.signal);
    },
    async whenSettled(signal) {
      await Promise.race([firstSnapshot.promise, aborted(signal)]);
      await convergence.whenSettled(signal);
    },
    async close() {
      stopping.abort();
      await running;
      convergence.close();
      await shadows.close();
      await live.close();
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
