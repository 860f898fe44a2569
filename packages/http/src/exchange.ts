/**
 * What is done with every request besides the work of its route: its id, its Host, who calls and whether they may, the form
 * of errors, what is counted and logged. Fastify's hooks call it, and so does a door on the same server that is not
 * Fastify's (`exchangeOf`): there is one set of rules, whichever way a request came in.
 */
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AssayError } from '@assay/contracts';
import { createLogLimiter, createSampler, type Logger, newId, readTrace } from '@assay/runtime';
import type { RouteAccess } from './access.ts';
import { type Caller, type HeldKeys, LOCAL_CALLER } from './access-snapshot.ts';
import type { App } from './app.ts';
import { type ErrorRenderer, renderAssayError, retryAfterSeconds, toAssayError } from './errors.ts';
import type { HttpLimits } from './limits.ts';
import { foreignHostError, isLoopbackName } from './loopback.ts';
import type { HttpRecorder } from './metrics.ts';
import type { AppState } from './state.ts';

/** A request's head, whoever read it. */
export interface RequestHead {
  readonly id: string;
  readonly method: string;
  /** Path and query as sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface ArrivedRequest extends RequestHead {
  readonly httpVersion: string;
  /** The value of every `Authorization` header. */
  readonly authorizations: readonly string[];
  readonly remoteAddress: string | undefined;
}

/** What the route that takes a request asks of its caller. */
export interface RouteNeeds {
  readonly access: RouteAccess;
  /** The endpoint that would be scored, for keys that are limited to some. */
  readonly endpoint?: string | undefined;
}

export interface FailedAnswer {
  readonly error: AssayError;
  readonly statusCode: number;
  /** The body: JSON. */
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Exchange {
  readonly limits: HttpLimits;
  readonly log: Logger;
  /** Each answer now ends its connection. */
  readonly isClosing: boolean;
  /** The caller's id if it sent a sane one, so that one id finds a request in every log; else a new one. */
  requestId(headers: IncomingHttpHeaders): string;
  /** @throws AssayError INVALID_ARGUMENT, PERMISSION_DENIED: no `Host`, or a foreign one; such a connection is closed */
  checkHost(request: Pick<ArrivedRequest, 'headers' | 'httpVersion'>): void;
  /**
   * Who calls; null where nobody is asked.
   * @throws AssayError UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE
   */
  checkCaller(request: ArrivedRequest, needs: RouteNeeds): Caller | null;
  /**
   * What `checkCaller` judges by: while it is the same object, a call that is the same in all that is checked has the same
   * caller. undefined where nothing may be remembered.
   */
  heldKeys(): HeldKeys | undefined;
  /** What was thrown as the answer in the form of its protocol. @param bodyBytes the route's limit, for the message */
  render(thrown: unknown, request: RequestHead, bodyBytes?: number): FailedAnswer;
  /** Logs a failed answer: what is the caller's fault at `debug`, the rest a few times a second. */
  logFailure(failed: Pick<FailedAnswer, 'error' | 'statusCode'>, request: RequestHead): void;
  /** Counts the answer, and logs it if it falls into the sample. @param route the pattern; `unmatched` where there is none */
  answered(route: string, request: RequestHead, caller: Caller | null, statusCode: number, elapsedMs: number): void;
  /** A request that does not reach Fastify begins: the drain waits for it. */
  began(socket: Socket): void;
  /** It was answered, or its connection is closed. */
  ended(socket: Socket): void;
  /** Requests that Fastify gets by `stream` are ones of `socket`'s connection. */
  countFor(socket: Socket, stream: Duplex): void;
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;
const JSON_TYPE = 'application/json';
const SEVERE_LINES_PER_SECOND = 20;

export interface ExchangeOptions {
  readonly log: Logger;
  readonly limits: HttpLimits;
  readonly requestLogRatio: number;
}

export function createExchange(state: AppState, recorder: HttpRecorder, options: ExchangeOptions): Exchange {
  const { log, limits } = options;
  const logsRequest = createSampler(options.requestLogRatio);
  const answers = log.child({}, { redact: [] }); // what `answered` writes is no secret; looking for some is half its cost
  const severe = createLogLimiter(SEVERE_LINES_PER_SECOND);
  return {
    limits,
    log,
    get isClosing() {
      return state.phase === 'closing';
    },
    requestId(headers) {
      const given = headers['assay-request-id'] ?? headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : newId('req');
    },
    checkHost({ headers, httpVersion }) {
      if (headers.host === undefined && httpVersion === '1.1') {
        throw new AssayError('INVALID_ARGUMENT', 'the request is not valid HTTP/1.1: it has no Host header');
      }
      if (state.answersLoopbackNamesOnly && !isLoopbackName(headers.host)) throw foreignHostError(headers.host);
    },
    checkCaller({ id, authorizations, remoteAddress }, { access, endpoint }) {
      if (state.access === undefined) return LOCAL_CALLER;
      if (access === 'public' || access === 'own') return null;
      return state.access.check({ authorizations, requestId: id, remoteAddress }, access, endpoint);
    },
    heldKeys: () => state.access?.held(),
    render(thrown, { id, method, url, headers: asked }, bodyBytes = limits.bodyBytes) {
      const error = toAssayError(thrown, { bodyBytes, contentType: asked['content-type'] });
      const query = url.indexOf('?');
      const path = query < 0 ? url : url.slice(0, query);
      const own = state.errorRenderers.find(({ prefix, below }) => path === prefix || path.startsWith(below));
      const render: ErrorRenderer = own?.render ?? renderAssayError;
      const rendered = render(error, { id, method, url });
      const retryAfter = retryAfterSeconds(error);
      // One by one: under overload most answers are refusals, and what they cost is not there for the others.
      const headers: Record<string, string> = { 'content-type': JSON_TYPE };
      if (error.code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer realm="assay"';
      if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
      if (rendered.headers !== undefined) Object.assign(headers, rendered.headers);
      return { error, statusCode: rendered.statusCode, text: JSON.stringify(rendered.body), headers };
    },
    logFailure({ error, statusCode }, request) {
      if (statusCode < 500) {
        if (log.isLevelEnabled('debug')) log.debug(failureLine(error, request), 'request refused');
        return;
      }
      const heldBack = severe.take();
      const level = error.code === 'INTERNAL' ? 'error' : 'warn';
      if (heldBack !== undefined) log[level]({ ...failureLine(error, request), heldBack }, 'request failed');
    },
    answered(route, { id: requestId, method, headers }, caller, statusCode, elapsedMs) {
      recorder.answered(route, method, statusCode, elapsedMs / 1000);
      const level = logsRequest.take() ? 'info' : 'debug';
      if (!answers.isLevelEnabled(level)) return;
      const line = {
        requestId,
        method,
        route,
        statusCode,
        durationMs: Math.round(elapsedMs * 1000) / 1000,
        ...(caller?.keyId == null ? {} : { principal: caller.principal, keyId: caller.keyId }),
        ...traceIdOf(headers),
      };
      answers[level](line, 'answered');
    },
    began(socket) {
      state.inFlight++;
      const connection = state.connections.get(socket);
      if (connection !== undefined) connection.inFlight++;
    },
    ended(socket) {
      state.inFlight--;
      const connection = state.connections.get(socket);
      if (connection !== undefined) connection.inFlight--;
    },
    countFor(socket, stream) {
      const connection = state.connections.get(socket);
      if (connection !== undefined) state.streams.set(stream, connection);
    },
  };
}

function failureLine(err: AssayError, { id: requestId, method, url, headers }: RequestHead) {
  return { requestId, err, method, url, ...traceIdOf(headers) };
}

/** For a line of the log; nothing where the caller sent no trace. */
function traceIdOf(headers: IncomingHttpHeaders): { readonly traceId?: string } {
  const trace = readTrace(headers);
  return trace === undefined ? {} : { traceId: trace.traceId };
}

const exchanges = new WeakMap<Server, Exchange>();

export function keepExchange(server: Server, exchange: Exchange): void {
  exchanges.set(server, exchange);
}

/** The exchange of an app, for a door of its server that goes past Fastify. */
export function exchangeOf(app: Pick<App, 'server'>): Exchange {
  const exchange = exchanges.get(app.server);
  if (exchange === undefined) throw new Error('this app was not made by createHttpApp');
  return exchange;
}
