/** The Fastify app that every service builds on. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { AssayError } from '@assay/contracts';
import { type Logger, type Registry, readTrace, type TraceContext } from '@assay/runtime';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyTypeProvider,
  LogController,
} from 'fastify';
import type { Static, TSchema } from 'typebox';
import { type Access, authorizationsOf, type RouteAccess } from './access.ts';
import { requireAccess } from './access-hook.ts';
import type { Caller } from './access-snapshot.ts';
import { addDocsPage } from './docs-page.ts';
import type { ErrorRenderer } from './errors.ts';
import { createExchange, type Exchange, keepExchange } from './exchange.ts';
import type { ReadyReport } from './health.ts';
import { parseJson } from './json-body.ts';
import { DEFAULT_LIMITS, type HttpLimits } from './limits.ts';
import { createHttpRecorder } from './metrics.ts';
import { collectOpenApi } from './openapi.ts';
import { addOperationsRoutes } from './operations.ts';
import { createParserErrorHandler } from './parser-errors.ts';
import { createRequestLogFactory } from './request-log.ts';
import { createRouteTable, type RouteTable } from './routes.ts';
import { schemaCompilers } from './schema-compilers.ts';
import { serverOptions } from './server-options.ts';
import type { ServerTls } from './server-tls.ts';
import { stateOf, trackServer } from './state.ts';
import { requireStrictSchemas } from './strict-schemas.ts';
import { isTlsServer } from './tls-server.ts';

export interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
  serializer: this['schema'] extends TSchema ? Static<this['schema']> : unknown;
}

export type App = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxProvider>;

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller's trace, if it sent a valid `traceparent`; pass `childTrace` of it on to what is called. */
    readonly traceContext: TraceContext | undefined;
    /** Who calls; null on routes that are `public` or check a credential of their `own`. */
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    /** The route reads `Content-Encoding` itself; elsewhere an encoded body is refused. */
    readsContentEncoding?: boolean;
    /** The route takes query parameters that it does not declare; elsewhere they are refused. */
    takesUnknownQuery?: boolean;
    /** What a caller needs; every route of an app with `access` says it. */
    access?: RouteAccess;
    /** The parameter of the path that names the endpoint to be scored, for keys that are limited to some. */
    endpointParam?: string;
  }
}

export interface HttpAppOptions {
  readonly service: string;
  readonly version: string;
  readonly log: Logger;
  /** The service's registry: served at `/metrics`, and gets the app's own metrics. */
  readonly registry: Registry;
  /** What the service needs and whether it has it; see `readyReport`. */
  readonly ready: () => Promise<ReadyReport> | ReadyReport;
  readonly limits?: Partial<HttpLimits>;
  /** Who may call what. Absent: no keys, every caller is `local`, and `listen` takes loopback addresses only. */
  readonly access?: Access;
  /** Absent: HTTP in plain text. */
  readonly tls?: ServerTls | undefined;
  readonly describe: { readonly title: string; readonly description: string };
  /** The share of requests that get a log line at level `info`; at `debug` all do. */
  readonly requestLogRatio?: number;
  /** Whether answers are checked against their schemas, and a mismatch is a 500: in tests, where it finds the mistake. */
  readonly checksResponses?: boolean;
}

const JSON_TYPE = 'application/json';
const FASTIFY_JSON_TYPE = 'application/json; charset=utf-8';

/**
 * An app with health, metrics, documentation, one form of errors, and strict requests; routes are added to it. It is
 * started by `listen` and stopped by `drainAndClose`; Fastify's own `close` cuts off what is in flight.
 */
export function createHttpApp(options: HttpAppOptions): App {
  const limits: HttpLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const parserErrors = createParserErrorHandler({
    refused: (statusCode, error) => {
      recorder.parserError(statusCode);
      options.log.debug({ err: error, statusCode }, 'a connection sent no valid request');
    },
  });
  const app: App = Fastify({
    loggerInstance: options.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    childLoggerFactory: createRequestLogFactory(),
    genReqId: ({ headers }) => exchange.requestId(headers),
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    forceCloseConnections: true,
    ...(limits.handlerTimeoutMs === undefined ? {} : { handlerTimeout: limits.handlerTimeoutMs }),
    return503OnClosing: false, // what arrives while the app closes is answered; drainAndClose ends connections in order
    ...serverOptions(limits, options.tls),
    routerOptions: { maxParamLength: 512 },
    schemaController: schemaCompilers({ checksResponses: options.checksResponses ?? process.env.NODE_ENV === 'test' }),
    clientErrorHandler: parserErrors.onClientError,
    frameworkErrors: (error, request, reply) => sendUnrouted(error, request, reply as FastifyReply),
  }).withTypeProvider<TypeBoxProvider>();
  app.server.maxConnections = limits.maxConnections;
  parserErrors.attach(app.server);
  options.tls?.observe(options.log, options.registry);
  if (isTlsServer(app.server)) options.tls?.follow(app.server);
  const state = trackServer(app.server, options.access);
  const recorder = createHttpRecorder(options.registry, {
    inFlight: () => state.inFlight,
    connections: () => state.connections.size,
  });
  app.server.on('drop', () => recorder.connectionRefused());
  const exchange = createExchange(state, recorder, {
    log: options.log,
    limits,
    requestLogRatio: options.requestLogRatio ?? 0.01,
  });
  keepExchange(app.server, exchange);
  const sendUnrouted = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => {
    // No route, so no hooks: what they would do is done here.
    const { statusCode, text, headers } = exchange.render(thrown, request);
    reply.hijack();
    const length = Buffer.byteLength(text);
    reply.raw.writeHead(statusCode, { ...headers, 'content-length': length, 'assay-request-id': request.id });
    reply.raw.end(text);
    recorder.answered('unmatched', request.method, statusCode, 0);
  };

  const routes = createRouteTable();
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) routes.add(method, route.url);
    requireStrictSchemas(route);
    if (options.access !== undefined) requireAccess(route);
  });
  collectOpenApi(app, options.describe, options.version);
  readJsonBodies(app, limits);
  addRequestHooks(app, exchange);
  answerErrors(app, exchange, routes);
  addOperationsRoutes(app, options, state);
  addDocsPage(app, options.describe.title);
  return app;
}

function readJsonBodies(app: App, limits: HttpLimits): void {
  app.removeContentTypeParser(['text/plain', JSON_TYPE]);
  app.addContentTypeParser(JSON_TYPE, { parseAs: 'buffer' }, (_request, bytes, done) => {
    try {
      done(null, parseJson(bytes as Buffer, { maxDepth: limits.jsonDepth })); // parseAs: 'buffer'
    } catch (error) {
      done(error as Error, undefined); // parseJson throws errors only
    }
  });
}

function addRequestHooks(app: App, exchange: Exchange): void {
  app.decorateRequest('traceContext', {
    getter(this: FastifyRequest) {
      return readTrace(this.headers);
    },
  });
  app.decorateRequest('caller', null);
  app.addHook('onRequest', (request, reply, done) => {
    const { headers } = request;
    reply.header('assay-request-id', request.id);
    if (headers['x-request-id'] !== undefined) reply.header('x-request-id', request.id);
    const wrongHost = thrownBy(() => exchange.checkHost(request.raw));
    if (wrongHost !== undefined) {
      reply.header('connection', 'close');
      done(wrongHost);
      return;
    }
    const refused = thrownBy(() => {
      request.caller = callerOf(request, exchange);
    });
    done(refused ?? encodingError(request));
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    // Fastify adds a charset, which JSON does not have, and behind which KServe's client does not see an error's text.
    if (reply.getHeader('content-type') === FASTIFY_JSON_TYPE) reply.header('content-type', JSON_TYPE);
    if (exchange.isClosing) reply.header('connection', 'close');
    done(null, payload);
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unmatched';
    exchange.answered(route, request, request.caller, reply.statusCode, reply.elapsedTime);
    done();
  });
}

function thrownBy(check: () => void): AssayError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return AssayError.from(error);
  }
}

/** A path that no route takes is told so to everyone. */
function callerOf(request: FastifyRequest, exchange: Exchange): Caller | null {
  const { access = 'public', endpointParam } = request.routeOptions.config;
  const params = request.params as Readonly<Record<string, string>>; // by the router: text by name
  const endpoint = endpointParam === undefined ? undefined : params[endpointParam];
  const { id, method, url, raw } = request;
  const { headers, httpVersion } = raw;
  const authorizations = authorizationsOf(raw.rawHeaders);
  const { remoteAddress } = request.socket;
  return exchange.checkCaller(
    { id, method, url, headers, httpVersion, authorizations, remoteAddress },
    { access, endpoint },
  );
}

function answerErrors(app: App, exchange: Exchange, routes: RouteTable): void {
  app.setErrorHandler((thrown, request, reply) => {
    // Fastify asks a QUERY for its content type before it looks for its route; no route of ours takes one.
    const isMiss = thrown instanceof Error && 'code' in thrown && thrown.code === 'FST_ERR_ROUTE_MISSING_CONTENT_TYPE';
    const miss = isMiss ? routes.explainMiss(request.method, request.url) : undefined;
    if (miss?.allow !== undefined) reply.header('allow', miss.allow);
    const failed = exchange.render(miss?.error ?? thrown, request, request.routeOptions?.bodyLimit);
    exchange.logFailure(failed, request);
    return reply.code(failed.statusCode).headers(failed.headers).send(failed.text);
  });
  app.setNotFoundHandler((request, reply) => {
    const { error, allow } = routes.explainMiss(request.method, request.url);
    if (allow !== undefined) reply.header('allow', allow);
    throw error;
  });
}

/**
 * Errors of every route under `prefix` (and of paths there that no route takes) are written by `render`: for adapters of
 * protocols that prescribe their own form.
 */
export function renderErrorsUnder(app: App, prefix: string, render: ErrorRenderer): void {
  const { errorRenderers } = stateOf(app.server);
  const path = prefix.replace(/\/$/, '');
  errorRenderers.push({ prefix: path, below: `${path}/`, render });
  errorRenderers.sort((a, b) => b.prefix.length - a.prefix.length);
}

function encodingError(request: FastifyRequest): AssayError | undefined {
  const encoding = request.headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity' || request.routeOptions.config.readsContentEncoding === true)
    return undefined;
  const message = `the content encoding ${JSON.stringify(encoding)} is not read by this route; send the body as it is`;
  return new AssayError('UNSUPPORTED_MEDIA_TYPE', message);
}
