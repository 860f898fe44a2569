/**
 * Keeps the keys of all in memory, as the registry has them: a long poll, so that a revoked key dies within a second or
 * so. The last snapshot is on disk too; while the registry cannot be reached, a start included, it is believed for
 * `stalenessMaxMs` after the registry last confirmed it, and then nothing is let in that needs a key.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError, type KeySnapshot } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import type { KeySource } from './access.ts';
import { type KeyCache, openKeyCache } from './access-cache.ts';
import { type HeldKeys, holdKeys } from './access-snapshot.ts';

export interface FollowKeysOptions {
  /**
   * The registry's long poll: a snapshot with a revision other than `after`, or undefined when there was none within
   * `waitMs`, which confirms the one that is held.
   */
  readonly fetch: (
    query: { readonly after?: number; readonly waitMs: number },
    signal: AbortSignal,
  ) => Promise<KeySnapshot | undefined>;
  /** Where the last snapshot is kept. Absent: nowhere, as in the registry, which has the keys themselves. */
  readonly cacheFile?: string;
  /** How long keys are believed that the registry does not confirm. */
  readonly stalenessMaxMs: number;
  readonly log: Logger;
}

export interface FollowedKeys extends KeySource {
  /** Reads what was kept; resolves when there are keys, or the registry was asked once in vain. Then it follows. */
  start(): Promise<void>;
  /** Asks at once: what was changed before this call is held when it resolves. */
  refresh(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Short, so that a half-dead connection is noticed within the time in which a revoked key must die. */
const WAIT_MS = 2000;
const ANSWER_GRACE_MS = 2000;
/** Between two answers that change nothing, of a peer that does not wait as it was asked to. */
const PAUSE_MS = 200;
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 2000;
/** How often the time of the last confirmation is written, when the keys themselves do not change. */
const KEEP_EVERY_MS = 60_000;
const WARN_EVERY_MS = 60_000;

export function followKeys(options: FollowKeysOptions): FollowedKeys {
  const { log, stalenessMaxMs } = options;
  const cache: KeyCache | undefined = options.cacheFile === undefined ? undefined : openKeyCache(options.cacheFile);
  const closing = new AbortController();
  let held: HeldKeys | undefined;
  let snapshot: KeySnapshot | undefined;
  let confirmedAtMs = 0;
  let keptAtMs = 0;
  let asked = 0;
  let accepted = 0;
  let problem = 'the registry was not reached yet';
  let failures = 0;
  /** Whether the last answer was one. */
  let isConfirmed = false;
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  let following: Promise<void> | undefined;
  const started = Promise.withResolvers<void>();

  const ageMs = () => Math.max(0, Date.now() - confirmedAtMs);

  async function ask(waitMs: number, signal: AbortSignal): Promise<void> {
    const number = ++asked;
    // After a failure the whole is asked for: a registry that was restored meanwhile may have other keys under one revision.
    const after = held === undefined || !isConfirmed ? {} : { after: held.revision };
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(waitMs + ANSWER_GRACE_MS)]);
    const next = await options.fetch({ ...after, waitMs }, bounded);
    if (number < accepted) return; // a later question was answered already
    accepted = number;
    isConfirmed = true;
    if (next !== undefined) {
      held = holdKeys(next);
      snapshot = next;
      keptAtMs = 0;
    }
    confirmedAtMs = Date.now();
    await keep();
  }

  async function keep(): Promise<void> {
    if (cache === undefined || snapshot === undefined || confirmedAtMs - keptAtMs < KEEP_EVERY_MS) return;
    keptAtMs = confirmedAtMs;
    try {
      await cache.write({ confirmedAtMs, snapshot });
    } catch (error) {
      log.error({ err: error }, 'the API keys are not cached: a start without the registry would let nobody in');
    }
  }

  async function follow(): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      const before = { revision: held?.revision, atMs: performance.now() };
      try {
        await ask(isFirst || held === undefined ? 0 : WAIT_MS, closing.signal);
        if (failures > 0) log.info({ revision: held?.revision }, 'API keys are confirmed by the registry again');
        failures = 0;
      } catch (error) {
        if (closing.signal.aborted) return;
        failed(error);
      }
      started.resolve();
      if (closing.signal.aborted) return;
      const isTooSoon = before.revision === held?.revision && performance.now() - before.atMs < PAUSE_MS;
      const pauseMs = failures > 0 ? retryPauseMs(failures) : isTooSoon ? PAUSE_MS : 0;
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
    }
  }

  function failed(error: unknown): void {
    failures++;
    isConfirmed = false;
    problem = error instanceof Error ? error.message : String(error);
    const nowMs = performance.now();
    if (nowMs - warnedAtMs < WARN_EVERY_MS) return;
    warnedAtMs = nowMs;
    const ageSeconds = held === undefined ? undefined : Math.round(ageMs() / 1000);
    const holdForSeconds = held === undefined ? 0 : Math.max(0, Math.round((stalenessMaxMs - ageMs()) / 1000));
    log.warn({ err: error, ageSeconds, holdForSeconds }, 'the registry does not confirm the API keys');
  }

  async function readKept(): Promise<void> {
    try {
      const kept = await cache?.read();
      if (kept === undefined) return;
      held = holdKeys(kept.snapshot);
      snapshot = kept.snapshot;
      confirmedAtMs = Math.min(kept.confirmedAtMs, Date.now());
      keptAtMs = confirmedAtMs;
    } catch (error) {
      log.warn({ err: error }, 'starting without the cached API keys');
    }
  }

  return {
    current() {
      if (held === undefined) {
        throw new AssayError('UNAVAILABLE', `no API key can be checked yet: ${problem}`, { retryAfterMs: 1000 });
      }
      if (ageMs() <= stalenessMaxMs) return held;
      const message = `API keys cannot be checked: the registry has not confirmed them for ${Math.round(ageMs() / 1000)} s, longer than keyStalenessMaxMs allows (${problem})`;
      throw new AssayError('UNAVAILABLE', message, { retryAfterMs: 5000 });
    },
    get size() {
      return held?.byId.size ?? 0;
    },
    get ageMs() {
      return confirmedAtMs === 0 ? 0 : ageMs();
    },
    async start() {
      await readKept();
      following = follow();
      if (held === undefined || ageMs() > stalenessMaxMs) await started.promise;
    },
    refresh: (signal) => ask(0, AbortSignal.any([signal, closing.signal])),
    async close() {
      closing.abort();
      await following;
    },
  };
}

function retryPauseMs(failures: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures - 1, 10)) * (0.75 + Math.random() / 2);
}
