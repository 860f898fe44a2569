/**
 * The log of a launch: those of its pods, one after the other. The API server gives a log from its beginning, and a
 * followed one may be cut at any time; so what was read already is counted, and skipped the next time.
 */
import type { KubernetesApi } from './api.ts';
import { hasStatus, isTransient } from './api-error.ts';
import { CONTAINER } from './names.ts';

export interface PodLog {
  readonly api: KubernetesApi;
  readonly namespace: string;
  readonly pod: string;
  /** How many bytes of it were read before. */
  readonly skipBytes: number;
  /** Until it ends; else what is there now. */
  readonly follow: boolean;
  /** Whether a connection that is cut is an outcome, not an error. */
  readonly mayBeCut: boolean;
  /** Called before so many bytes are handed out. */
  readonly onRead: (sizeBytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

export const logPath = (namespace: string, pod: string): string => `/api/v1/namespaces/${namespace}/pods/${pod}/log`;

/**
 * What is there, or all until it ends or is cut; who follows asks again until the pod has ended. A log over the limit of
 * the kubelet (10 MiB by default) begins anew: what is read after a cut may then lack some of its beginning.
 * @returns `none` where there is no log now: the container has not begun, or its pod was removed
 */
export async function* readPodLog(options: PodLog): AsyncGenerator<Uint8Array, 'whole' | 'cut' | 'none'> {
  const { api, namespace, pod, follow, mayBeCut, onRead, signal } = options;
  let left = options.skipBytes;
  try {
    const stream = await api.stream(logPath(namespace, pod), { query: { container: CONTAINER, follow }, signal });
    for await (const chunk of stream) {
      signal?.throwIfAborted();
      if (left >= chunk.length) {
        left -= chunk.length;
        continue;
      }
      const fresh = left === 0 ? chunk : chunk.subarray(left);
      left = 0;
      onRead(fresh.length);
      yield fresh;
      signal?.throwIfAborted();
    }
    return 'whole';
  } catch (error) {
    // 204: no node has it yet; 400: its container is waiting to start; 404: it was removed. Cut: the next time goes on.
    if ([204, 400, 404].some((code) => hasStatus(error, code))) return 'none';
    if (mayBeCut && isTransient(error)) return 'cut';
    throw error;
  }
}

/** The last of a log, as text; empty where there is none. */
export async function readLogTail(api: KubernetesApi, namespace: string, pod: string): Promise<string> {
  const query = { container: CONTAINER, tailLines: 100, limitBytes: 16 * 1024 };
  const chunks: Uint8Array[] = [];
  try {
    const signal = AbortSignal.timeout(10_000);
    for await (const chunk of await api.stream(logPath(namespace, pod), { query, signal })) chunks.push(chunk);
  } catch {
    // Its node or its pod is gone, and its log with it: what else is known must do.
  }
  return Buffer.concat(chunks).toString('utf8');
}
