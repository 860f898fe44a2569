/** The watches of a launcher's Jobs and pods: begun when somebody listens, ended when nobody does. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@assay/runtime';
import type { KubernetesApi } from './api.ts';
import { LAUNCH_ANNOTATION, LAUNCHER_LABEL } from './names.ts';
import { watch } from './watch.ts';

export function watchChanges(
  api: KubernetesApi,
  {
    paths,
    launcher,
    log,
  }: { readonly paths: readonly string[]; readonly launcher: string; readonly log: Pick<Logger, 'warn'> },
) {
  const listeners = new Set<(id: string) => void>();
  let stopped: AbortController | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let changed = Promise.withResolvers<void>();

  function begin(): void {
    stopped = new AbortController();
    const { signal } = stopped;
    const onChange = ({ metadata }: { metadata?: { annotations?: Readonly<Record<string, string>> } }): void => {
      const id = metadata?.annotations?.[LAUNCH_ANNOTATION];
      if (id === undefined) return;
      changed.resolve();
      changed = Promise.withResolvers();
      for (const listener of listeners) listener(id);
    };
    const labelSelector = `${LAUNCHER_LABEL}=${launcher}`;
    running = Promise.all(paths.map((path) => watch({ api, path, labelSelector, onChange, signal, log })));
  }

  return {
    subscribe(listener: (id: string) => void): () => void {
      listeners.add(listener);
      if (stopped === undefined) begin();
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        stopped?.abort();
        stopped = undefined;
      };
    },

    /** Resolves at the next change, or after so long. */
    async next(timeoutMs: number, signal?: AbortSignal): Promise<void> {
      const timer = new AbortController();
      const ends = signal === undefined ? timer.signal : AbortSignal.any([signal, timer.signal]);
      const waited = delay(timeoutMs, undefined, { signal: ends }).catch(() => undefined);
      await Promise.race([changed.promise, waited]);
      timer.abort();
      signal?.throwIfAborted();
    },

    async close(): Promise<void> {
      listeners.clear();
      stopped?.abort();
      stopped = undefined;
      await running;
    },
  };
}
