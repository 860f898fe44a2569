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
  readonly follow: boolean;
  readonly signal: AbortSignal | undefined;
}

export const logPath = (namespace: string, pod: string): string => `/api/v1/namespaces/${namespace}/pods/${pod}/log`;

/**
 * What is there, or all until it ends or is cut; who follows asks again until the pod has ended.
 * @returns false where there is no log now: the container has not begun, or its pod was removed
 */
export async function* readPodLog(options: PodLog): AsyncGenerator<Uint8Array, boolean> {
  const { api, namespace, pod, follow, signal } = options;
  let left = options.skipBytes;
  try {
    const stream = await api.stream(logPath(namespace, pod), { query: { container: CONTAINER, follow }, signal });
    for await (const chunk of stream) {
      signal?.throwIfAborted();
      if (left >= chunk.length) {
        left -= chunk.length;
        continue;
      }
      yield left === 0 ? chunk : chunk.subarray(left);
      left = 0;
      signal?.throwIfAborted();
    }
    return true;
  } catch (error) {
    // 400: its container is waiting to start; 404: it was removed. Cut: the next time goes on.
    if (hasStatus(error, 400) || hasStatus(error, 404)) return false;
    if (follow && isTransient(error)) return true;
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
