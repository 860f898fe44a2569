export {
  type Access,
  type AccessOptions,
  accessMetrics,
  authorizationsOf,
  type CheckedCall,
  createAccess,
  type KeySource,
  type RouteAccess,
} from './access.ts';
export { accessSettings } from './access-config.ts';
export { type FollowedKeys, type FollowKeysOptions, followKeys } from './access-follow.ts';
export { formatKeyText, type KeyText, newSecret, parseKeyText, secretSha256 } from './access-key.ts';
export { type Caller, type HeldKeys, LOCAL_CALLER } from './access-snapshot.ts';
export {
  type App,
  createHttpApp,
  type HttpAppOptions,
  renderErrorsUnder,
  type TypeBoxProvider,
} from './app.ts';
export { acceptRawJson, acceptStreams } from './body-parsers.ts';
export { type DrainOptions, drainAndClose } from './drain.ts';
export { errorResponses } from './error-responses.ts';
export {
  type ErrorRenderer,
  type FailedRequest,
  type RenderedError,
  renderAssayError,
  toAssayError,
} from './errors.ts';
export {
  type ArrivedRequest,
  type Exchange,
  exchangeOf,
  type FailedAnswer,
  type RequestHead,
  type RouteNeeds,
} from './exchange.ts';
export { type ForwardOptions, forward } from './forward.ts';
export { ReadyCheck, ReadyReport, readyReport } from './health.ts';
export { DEFAULT_MAX_DEPTH, type ParseJsonOptions, parseJson } from './json-body.ts';
export { DEFAULT_LIMITS, type HttpLimits } from './limits.ts';
export { type ListenOptions, listen, listenBeside } from './listen.ts';
export { httpMetrics } from './metrics.ts';
export { describeOpenApi, type OpenApiDescription, type OpenApiDocument } from './openapi.ts';
export { openServerTls, type ServerTls, tlsMetrics } from './server-tls.ts';
export { type TlsConfig, tlsSettings } from './tls-config.ts';
export { isTlsServer } from './tls-server.ts';
export { passTracesOn } from './trace-calls.ts';
