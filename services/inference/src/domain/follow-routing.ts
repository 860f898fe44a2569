/**
 * Follows the routing source for as long as the process runs. Each answer is the whole snapshot, so nothing is lost by
 * missing one; a source that is away is asked again with growing, jittered pauses, and what is applied keeps serving.
 */
import type { RoutingSnapshot } from '@assay/contracts';
import { type Backoff, backoffMs } from './backoff.ts';
import { pause } from './live-set.ts';
import type { RoutingSource, ServingObserver } from './version.ts';

export interface FollowOptions {
  readonly source: RoutingSource;
  readonly retry: Backoff;
  readonly observer: Pick<ServingObserver, 'snapshotReceived' | 'routingUnreachable' | 'routingWentBack'>;
  /** Called with each snapshot that is newer than the one before. */
  readonly onSnapshot: (snapshot: RoutingSnapshot) => void;
  readonly signal: AbortSignal;
}

/**
 * A revision lower than the one that is held is usually an old answer, of a registry replica that lags, and is dropped. One
 * that is given so many times running is the truth: the registry was restored from a backup, or begun anew.
 */
const LOWER_ANSWERS_BELIEVED = 3;

/** Resolves when `signal` is aborted; never rejects. */
export async function followRouting(options: FollowOptions): Promise<void> {
  const { source, retry, observer, onSnapshot, signal } = options;
  let held: number | undefined;
  let lowerAnswers = 0;
  let failures = 0;
  while (!signal.aborted) {
    let snapshot: RoutingSnapshot;
    try {
      snapshot = await source.next(held, signal);
    } catch (thrown) {
      if (signal.aborted) return;
      failures++;
      const retryInMs = backoffMs(retry, failures);
      observer.routingUnreachable(thrown instanceof Error ? thrown : new Error(String(thrown)), failures, retryInMs);
      await pause(retryInMs, signal);
      continue;
    }
    if (signal.aborted) return;
    failures = 0;
    if (held !== undefined && snapshot.revision < held) {
      lowerAnswers++;
      const believed = lowerAnswers >= LOWER_ANSWERS_BELIEVED;
      observer.routingWentBack(held, snapshot.revision, believed);
      if (!believed) {
        await pause(backoffMs(retry, lowerAnswers), signal);
        continue;
      }
    }
    lowerAnswers = 0;
    observer.snapshotReceived(snapshot.revision);
    if (snapshot.revision !== held) {
      held = snapshot.revision;
      onSnapshot(snapshot);
    }
  }
}
