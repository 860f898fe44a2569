/**
 * Follows a kind of object and says that something changed. It is only a hint: whoever hears it looks for himself. So what
 * it misses costs time, not truth; and it goes on for ever: the API server ends a watch every few minutes, forgets old
 * revisions (410) and restarts.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@assay/runtime';
import type { KubernetesApi } from './api.ts';
import { ApiError, hasStatus } from './api-error.ts';
import type { ListOf, Metadata } from './objects.ts';

export interface WatchOptions {
  readonly api: KubernetesApi;
  /** Of the collection: `/apis/batch/v1/namespaces/jobs/jobs`. */
  readonly path: string;
  readonly labelSelector: string;
  readonly onChange: (object: { readonly metadata?: Metadata }) => void;
  readonly signal: AbortSignal;
  readonly log: Pick<Logger, 'warn'>;
  /** The first pause after a failure; doubled up to a minute. Default 500 ms. */
  readonly firstPauseMs?: number;
}

type Watched = { readonly metadata?: Metadata };
interface WatchEvent {
  readonly type: string;
  readonly object: Watched & { readonly code?: number; readonly reason?: string; readonly message?: string };
}

const SERVER_TIMEOUT_SECONDS = 300;
const LAST_PAUSE_MS = 60_000;
/** An object is at most 1.5 MiB in etcd. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;

/** Resolves when the signal aborts; throws nothing. */
export async function watch(options: WatchOptions): Promise<void> {
  const { signal, log, firstPauseMs = 500 } = options;
  let pauseMs = firstPauseMs;
  let isFirst = true;
  while (!signal.aborted) {
    try {
      let revision = await list(options, isFirst);
      isFirst = false;
      for (;;) {
        const before = revision;
        revision = await follow(options, revision, () => {
          pauseMs = firstPauseMs;
        });
        if (revision === before) await delay(firstPauseMs, undefined, { signal }); // closed at once, again and again
      }
    } catch (error) {
      if (signal.aborted) return;
      // Forgotten revisions are the way of things: list again.
      if (!hasStatus(error, 410)) {
        const reason = error instanceof Error ? error.message : String(error);
        log.warn({ reason, path: options.path }, 'the watch of jobs was cut; trying again');
      }
      await delay(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS);
    }
  }
}

/** What there is now, all of which may have changed while nobody watched. */
async function list({ api, path, labelSelector, signal, onChange }: WatchOptions, isFirst: boolean): Promise<string> {
  const { metadata, items } = await api.call<ListOf<Watched>>('GET', path, { query: { labelSelector }, signal });
  if (!isFirst) for (const item of items) onChange(item);
  return metadata?.resourceVersion ?? '';
}

/** @returns the last revision that it saw, when the server has ended it */
async function follow(
  { api, path, labelSelector, signal, onChange }: WatchOptions,
  from: string,
  onAlive: () => void,
): Promise<string> {
  let revision = from;
  const stream = await api.stream(path, {
    query: {
      watch: true,
      labelSelector,
      resourceVersion: from,
      allowWatchBookmarks: true,
      timeoutSeconds: SERVER_TIMEOUT_SECONDS,
    },
    signal,
  });
  for await (const line of linesOf(stream)) {
    const { type, object } = JSON.parse(line) as WatchEvent; // the server's own: one such object a line
    if (type === 'ERROR') {
      const { code = 500, reason = '', message = '' } = object;
      throw new ApiError({ code, reason, message });
    }
    onAlive();
    revision = object.metadata?.resourceVersion ?? revision;
    if (type !== 'BOOKMARK') onChange(object);
  }
  return revision;
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_BYTES) throw new Error(`a line of the watch is over ${MAX_LINE_BYTES} bytes`);
    for (const line of lines) if (line.trim() !== '') yield line;
  }
}
