/**
 * The API server over HTTP: paths, statuses and bodies. Where it is and how to be known there (a kubeconfig, the pod's
 * service account, client certificates, proxies) is the client library's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { IsomorphicFetchHttpLibrary, type KubeConfig, RequestContext } from '@kubernetes/client-node';
import { ApiError, ApiUnreachable, isTransient } from './api-error.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: unknown;
  readonly contentType?: 'application/json' | 'application/merge-patch+json';
  readonly signal?: AbortSignal | undefined;
  /** How long to try again what is transient. Default: not at all. */
  readonly retryMs?: number;
}

export interface KubernetesApi {
  /**
   * The answer as JSON.
   * @throws ApiError, ApiUnreachable, or what the signal aborts with
   */
  call<T>(method: Method, path: string, options?: CallOptions): Promise<T>;
  /** The answer as it comes, for logs and watches. It may stay open for as long as the signal lets it. */
  stream(path: string, options: Pick<CallOptions, 'query' | 'signal'>): Promise<AsyncIterable<Uint8Array>>;
}

/** Of one answer that is not a stream. */
const CALL_TIMEOUT_MS = 15_000;
/** Tokens of service accounts are renewed on disk; the library reads them anew when it is asked again. */
const CREDENTIALS_MS = 60_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5000;

type Credentials = Pick<RequestContext, 'getHeaders' | 'getDispatcher'>;

export function openKubernetesApi(config: KubeConfig): KubernetesApi {
  const server = config.getCurrentCluster()?.server ?? '';
  const library = new IsomorphicFetchHttpLibrary();
  let credentials: { readonly of: Promise<Credentials>; readonly madeAtMs: number } | undefined;

  /** Kept for a while: each one made has connections of its own. */
  function currentCredentials(): Promise<Credentials> {
    if (credentials === undefined || performance.now() - credentials.madeAtMs > CREDENTIALS_MS) {
      const context = new RequestContext(server, 'GET');
      const of = config.applySecurityAuthentication(context).then(() => context);
      credentials = { of, madeAtMs: performance.now() };
      of.catch(() => {
        credentials = undefined;
      });
    }
    return credentials.of;
  }

  async function send(method: Method, path: string, options: CallOptions, signal: AbortSignal | undefined) {
    const url = new URL(server.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(options.query ?? {})) url.searchParams.set(name, String(value));
    const context = new RequestContext(url.href, method);
    context.setHeaderParam('Accept', 'application/json');
    if (options.body !== undefined) {
      context.setHeaderParam('Content-Type', options.contentType ?? 'application/json');
      context.setBody(JSON.stringify(options.body));
    }
    if (signal !== undefined) context.setSignal(signal);
    try {
      const known = await currentCredentials();
      for (const [name, value] of Object.entries(known.getHeaders())) context.setHeaderParam(name, value);
      const dispatcher = known.getDispatcher();
      if (dispatcher !== undefined) context.setDispatcher(dispatcher);
      const response = await library.send(context).toPromise();
      if (response.httpStatusCode === 401) credentials = undefined;
      return response;
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw new ApiUnreachable(`${server}: ${reasonOf(error)}`, error);
    }
  }

  async function once<T>(method: Method, path: string, options: CallOptions): Promise<T> {
    const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    const response = await send(method, path, options, signal);
    let text: string;
    try {
      text = await response.body.text();
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw new ApiUnreachable(`${server}: ${reasonOf(error)}`, error);
    }
    if (response.httpStatusCode >= 300) throw failureOf(response.httpStatusCode, text, response.headers);
    return JSON.parse(text) as T; // an object of the API: whoever reads it takes each field as one that may be missing
  }

  return {
    async call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
      const giveUpAtMs = performance.now() + (options.retryMs ?? 0);
      for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_RETRY_MS)) {
        options.signal?.throwIfAborted();
        try {
          return await once<T>(method, path, options);
        } catch (error) {
          const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
          const waitMs = Math.max(asked ?? 0, pauseMs * (0.5 + Math.random()));
          if (!isTransient(error) || performance.now() + waitMs > giveUpAtMs) throw error;
          await delay(waitMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
        }
      }
    },

    async stream(path, options) {
      const response = await send('GET', path, options, options.signal);
      if (response.httpStatusCode !== 200) {
        throw failureOf(response.httpStatusCode, await response.body.text(), response.headers);
      }
      return bytesOf(response.body, server, options.signal);
    },
  };
}

async function* bytesOf(
  body: { text(): Promise<string>; stream?: () => unknown },
  server: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const stream = body.stream?.();
  if (stream === null || stream === undefined) return;
  try {
    yield* stream as AsyncIterable<Uint8Array>; // fetch's body: a ReadableStream of bytes
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason;
    throw new ApiUnreachable(`${server}: ${reasonOf(error)}`, error);
  }
}

function failureOf(code: number, text: string, headers: Readonly<Record<string, string>>): ApiError {
  let status: { reason?: unknown; message?: unknown } = {};
  try {
    status = Object(JSON.parse(text)); // a Status, or what a proxy writes
  } catch {
    // No JSON: the text is all there is.
  }
  const seconds = Number(headers['retry-after'] ?? Number.NaN);
  return new ApiError(
    {
      code,
      reason: typeof status.reason === 'string' ? status.reason : '',
      message: typeof status.message === 'string' ? status.message : text.slice(0, 500),
    },
    Number.isFinite(seconds) ? seconds * 1000 : undefined,
  );
}

/** fetch says only "fetch failed"; why is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer in ${CALL_TIMEOUT_MS / 1000} s`;
  const { cause } = error;
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
