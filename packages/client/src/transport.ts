/**
 * One call to one service: connection pool, deadline, retries, errors. The clients above it know paths and bodies only.
 *
 * undici rather than the global fetch: a pool of its own that can be bounded and closed, separate limits for connecting,
 * headers and stalls, Node streams for package files, and about half of the CPU of fetch for a small call.
 */

import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { AssayError, explain, matches, tolerant } from '@assay/contracts';
import type { Static, TSchema } from 'typebox';
import { createConnections } from './connections.ts';
import { answerFailure, connectionFailure, type Failure } from './failure.ts';
import { decodeJson, encodeJson } from './json.ts';
import { createRetryBudget, DEFAULT_RETRY_POLICY, type RetryPolicy, retryDelayMs } from './retry.ts';
import { type TraceHeaders, traceHeadersOf } from './trace-headers.ts';

/** What the caller of any method may set. */
export interface CallOptions extends Partial<TraceHeaders> {
  /** Ends the call with CANCELLED (or with DEADLINE_EXCEEDED, of a signal that timed out). */
  readonly signal?: AbortSignal | undefined;
  /** For the whole call, retries and waits included; then DEADLINE_EXCEEDED. Default 30,000. */
  readonly timeoutMs?: number | undefined;
}

export interface ClientOptions {
  /** Where the service listens: `http://127.0.0.1:8101`. A path in it is a prefix. */
  readonly url: string;
  /** An API key (`assay_…`) or the token of a job; sent as `Authorization: Bearer …`. */
  readonly bearerToken?: string | undefined;
  /** The git commit that writes come from, 7 to 64 hex digits: the registry keeps it in their audit entries. */
  readonly commit?: string | undefined;
  /** Asked before each call for the trace that it is part of: what a tracing library has at hand. */
  readonly trace?: (() => TraceHeaders | undefined) | undefined;
  /** Default time for one call. */
  readonly timeoutMs?: number;
  readonly retry?: Partial<RetryPolicy>;
  /** Connections kept to the service at most; further calls wait for one. Default 64. */
  readonly maxConnections?: number;
}

export interface Call {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** Each segment is already encoded: see {@link segment}. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Opened anew for each attempt. */
  readonly bytes?: { readonly open: () => AsyncIterable<Uint8Array>; readonly sizeBytes: number };
  /** Whether making the call twice has the effect of making it once. */
  readonly idempotent: boolean;
  /** Statuses besides 2xx that are an answer, not a failure. */
  readonly alsoAccept?: readonly number[];
  /** Instead of the client's default; the caller's own still wins. */
  readonly timeoutMs?: number;
  /** Integers of the answer beyond 2^53 come as bigint; only where the contract leaves the type open. */
  readonly exactIntegers?: boolean;
  /** How long the peer may send nothing in the middle of its answer. */
  readonly stallTimeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: Failure };

export interface Transport {
  readonly url: string;
  /** Makes the call; `read` is part of each attempt, so that an answer cut in the middle is a failed attempt. */
  send<T>(
    call: Call,
    options: CallOptions | undefined,
    read: (answer: Answer, signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /** Makes the call and gives its JSON, checked against `schema` (unknown keys are allowed). */
  json<S extends TSchema>(schema: S, call: Call, options?: CallOptions): Promise<Static<S>>;
  /** Like `json`; undefined for an answer without a body (204). */
  jsonIfAny<S extends TSchema>(schema: S, call: Call, options?: CallOptions): Promise<Static<S> | undefined>;
  /** Makes the call and gives what it answers as text. */
  text(call: Call, options?: CallOptions): Promise<string>;
  /** Makes the call and drops what it answers. */
  done(call: Call, options?: CallOptions): Promise<void>;
  /** Waits for calls in flight, for some seconds at most, then closes the connections. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5000;
/** A peer that sends nothing for so long, in the middle of an answer, is gone. */
const STALL_TIMEOUT_MS = 60_000;
const MAX_JSON_BYTES = 64 * 1024 * 1024;
const MAX_ERROR_BYTES = 1024 * 1024;

/** One segment of a path. */
export function segment(name: string): string {
  // `.` and `..` survive encodeURIComponent and would be resolved away by the URL parser.
  return name === '.' || name === '..' ? name.replaceAll('.', '%2E') : encodeURIComponent(name);
}

export function createTransport(service: string, options: ClientOptions): Transport {
  const base = parseBase(service, options.url);
  const peer = `the ${service} at ${base.origin}`;
  const policy: RetryPolicy = { ...DEFAULT_RETRY_POLICY, ...options.retry };
  const budget = createRetryBudget();
  const connections = createConnections({
    connections: options.maxConnections ?? 64,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    // Deadlines end calls; these only notice a peer that went silent. Long polls answer within their own wait.
    headersTimeout: 0,
    bodyTimeout: STALL_TIMEOUT_MS,
  });

  async function attempt<T>(
    call: Call,
    trace: Readonly<Record<string, string>>,
    deadlineMs: number,
    signal: AbortSignal,
    read: (answer: Answer, signal: AbortSignal) => Promise<T>,
  ): Promise<Attempt<T>> {
    const json = call.json === undefined ? null : encodeJson(call.json);
    const source = call.bytes === undefined ? undefined : remembering(call.bytes.open());
    try {
      const dispatcher = await connections.open();
      const response = await dispatcher.request({
        origin: base.origin,
        path: base.prefix + call.path + queryOf(call.query),
        method: call.method,
        headers: {
          accept: 'application/json',
          'assay-timeout-ms': String(Math.max(1, Math.ceil(deadlineMs - performance.now()))),
          ...(options.bearerToken === undefined ? {} : { authorization: `Bearer ${options.bearerToken}` }),
          ...(options.commit === undefined ? {} : { 'assay-commit': options.commit }),
          ...trace,
          ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(call.bytes === undefined
            ? {}
            : { 'content-type': 'application/octet-stream', 'content-length': String(call.bytes.sizeBytes) }),
          ...call.headers,
        },
        body: source === undefined ? json : Readable.from(source.bytes, { objectMode: false }),
        signal,
        ...(call.stallTimeoutMs === undefined ? {} : { bodyTimeout: call.stallTimeoutMs }),
      });
      const { statusCode: status, headers, body } = response;
      if ((status >= 200 && status < 300) || call.alsoAccept?.includes(status)) {
        try {
          return { ok: true, value: await read({ status, headers, body }, signal) };
        } finally {
          // What was not read is read away where it is little, so that the connection is used again; else it is closed.
          body.on('error', () => undefined);
          if (!body.readableEnded) await body.dump({ limit: 65_536, signal }).catch(() => undefined);
        }
      }
      const text = await readText(body, MAX_ERROR_BYTES, peer);
      return { ok: false, failure: answerFailure(peer, status, headers, text) };
    } catch (thrown) {
      if (source?.failed !== undefined) throw source.failed.error; // our own file could not be read: no fault of the peer
      if (thrown instanceof FinalFailure) throw thrown.error;
      if (signal.aborted) throw thrown;
      return { ok: false, failure: connectionFailure(peer, thrown) };
    }
  }

  const transport: Transport = {
    url: base.origin + base.prefix,

    async send<T>(
      call: Call,
      callOptions: CallOptions | undefined,
      read: (answer: Answer, signal: AbortSignal) => Promise<T>,
    ): Promise<T> {
      const timeoutMs = callOptions?.timeoutMs ?? call.timeoutMs ?? options.timeoutMs ?? 30_000;
      const deadlineMs = performance.now() + timeoutMs;
      const caller = callOptions?.signal;
      const timer = AbortSignal.timeout(Math.max(0, Math.floor(timeoutMs)));
      const signal = caller === undefined ? timer : AbortSignal.any([caller, timer]);
      const trace = traceHeadersOf(callOptions ?? {}, options.trace);
      let last: AssayError | undefined;
      const ended = (): AssayError => endOfCall(peer, call, timeoutMs, caller, last);

      for (let number = 1; ; number++) {
        if (signal.aborted) throw ended();
        let result: Attempt<T>;
        try {
          result = await attempt(call, trace, deadlineMs, signal, read);
        } catch (thrown) {
          if (signal.aborted) throw ended();
          throw thrown;
        }
        if (result.ok) {
          budget.succeeded();
          return result.value;
        }
        const { error, mayHaveActed } = result.failure;
        last = error;
        if (!error.retryable || (mayHaveActed && !call.idempotent) || number >= policy.maxAttempts) throw error;
        if (!budget.failed()) throw error;
        const delayMs = retryDelayMs(policy, number, error.retryAfterMs);
        // A retry that cannot begin before the deadline is not worth waiting for: the reason is known now.
        if (performance.now() + delayMs >= deadlineMs) throw error;
        await wait(delayMs, undefined, { signal }).catch(() => undefined); // an abort is seen at the loop's top
      }
    },

    json(schema, call, callOptions) {
      return transport.send(call, callOptions, (answer) => readJson(schema, call, answer, peer));
    },

    jsonIfAny(schema, call, callOptions) {
      return transport.send(call, callOptions, async (answer) =>
        answer.status === 204 ? undefined : readJson(schema, call, answer, peer),
      );
    },

    text(call, callOptions) {
      return transport.send(call, callOptions, ({ body }) => readText(body, MAX_JSON_BYTES, peer));
    },

    async done(call, callOptions) {
      await transport.send(call, callOptions, async ({ body }) => {
        for await (const _ of body); // to the end, so that the connection is used again
      });
    },

    close: () => connections.close(),
  };
  return transport;
}

/** What another attempt would not change: thrown by `read`, past the retries. */
class FinalFailure extends Error {
  readonly error: AssayError;
  constructor(error: AssayError) {
    super(error.message);
    this.error = error;
  }
}

export function finalFailure(error: AssayError): Error {
  return new FinalFailure(error);
}

/** The peer answered, and not what a service of this version answers. */
export function unusable(message: string, cause?: unknown): Error {
  const hint = 'is this its address, and the same version of Assay?';
  return finalFailure(
    new AssayError('FAILED_PRECONDITION', `${message}; ${hint}`, cause === undefined ? {} : { cause }),
  );
}

function endOfCall(
  peer: string,
  call: Call,
  timeoutMs: number,
  caller: AbortSignal | undefined,
  last: AssayError | undefined,
): AssayError {
  const because = last === undefined ? '' : `; the last try failed: ${last.message}`;
  if (caller?.aborted && !(caller.reason instanceof Error && caller.reason.name === 'TimeoutError')) {
    return new AssayError('CANCELLED', `${call.method} ${call.path} was cancelled`, { cause: caller.reason });
  }
  const message = caller?.aborted
    ? `${peer} had not answered ${call.method} ${call.path} when the deadline passed${because}`
    : `${peer} did not answer ${call.method} ${call.path} within ${timeoutMs} ms${because}`;
  return new AssayError('DEADLINE_EXCEEDED', message, { cause: last ?? caller?.reason });
}

function parseBase(service: string, url: string): { origin: string; prefix: string } {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // said below, together with what has the wrong scheme
  }
  if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new AssayError('INVALID_ARGUMENT', `"${url}" is no address of the ${service}; expected http://HOST:PORT`);
  }
  return { origin: parsed.origin, prefix: parsed.pathname.replace(/\/+$/, '') };
}

function queryOf(query: Call['query']): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) params.set(name, String(value));
  }
  return params.size === 0 ? '' : `?${params}`;
}

async function readJson<S extends TSchema>(schema: S, call: Call, answer: Answer, peer: string): Promise<Static<S>> {
  const expected = tolerant(schema);
  const text = await readText(answer.body, MAX_JSON_BYTES, peer);
  let value: unknown;
  try {
    value = call.exactIntegers ? decodeJson(text) : JSON.parse(text);
  } catch (cause) {
    throw unusable(`${peer} answered ${call.method} ${call.path} with something that is not JSON`, cause);
  }
  if (matches(expected, value)) return value;
  const first = explain(expected, value, 'body')[0];
  const why = first === undefined ? '' : `: ${first.place} ${first.message}`;
  throw unusable(`${peer} answered ${call.method} ${call.path} with something that is not its contract${why}`);
}

async function readText(body: Readable, maxBytes: number, peer: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    // a body without encoding gives bytes
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw unusable(`${peer} answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** `bytes`, and the error with which they ended, if they did. */
function remembering(bytes: AsyncIterable<Uint8Array>): {
  bytes: AsyncIterable<Uint8Array>;
  failed?: { error: unknown };
} {
  const self: { bytes: AsyncIterable<Uint8Array>; failed?: { error: unknown } } = { bytes: pass() };
  async function* pass(): AsyncIterable<Uint8Array> {
    try {
      yield* bytes;
    } catch (error) {
      self.failed = { error };
      throw error;
    }
  }
  return self;
}
