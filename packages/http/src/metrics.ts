/** What every HTTP door measures. */
import {
  type BoundCounter,
  type BoundHistogram,
  counter,
  createMetrics,
  DURATION_BUCKETS,
  defineMetrics,
  gauge,
  histogram,
  type Registry,
} from '@assay/runtime';

export const httpMetrics = defineMetrics('http', {
  requests: counter({
    name: 'assay_http_requests_total',
    help: 'Requests answered, by route pattern (`unmatched` where there is none), method and status.',
    labels: ['route', 'method', 'code'],
  }),
  duration: histogram({
    name: 'assay_http_request_duration_seconds',
    help: 'From the parsed request head to the last byte of the answer, by route pattern and method.',
    unit: 'seconds',
    labels: ['route', 'method'],
    buckets: DURATION_BUCKETS,
  }),
  inFlight: gauge({ name: 'assay_http_requests_in_flight', help: 'Requests whose answer is not finished.' }),
  connections: gauge({ name: 'assay_http_connections', help: 'Open connections.' }),
  connectionsRefused: counter({
    name: 'assay_http_connections_refused_total',
    help: 'Connections that were closed at once, since as many were open as may be.',
  }),
  parserErrors: counter({
    name: 'assay_http_parser_errors_total',
    help: 'Connections that sent what is not HTTP, too large a head, or nothing in time; by the status they were given.',
    labels: ['code'],
  }),
});

/** The children of one route and method, found once. */
interface RouteMetrics {
  readonly duration: BoundHistogram;
  readonly byStatus: Map<number, BoundCounter>;
}

export interface HttpRecorder {
  /** A request of a route pattern was answered. */
  answered(route: string, method: string, statusCode: number, durationSeconds: number): void;
  parserError(statusCode: number): void;
  /** A connection was closed at once: there were too many. */
  connectionRefused(): void;
}

/** @param current looked up at each scrape */
export function createHttpRecorder(
  registry: Registry,
  current: { inFlight: () => number; connections: () => number },
): HttpRecorder {
  const { metrics } = createMetrics(httpMetrics, { registry });
  const inFlight = metrics.inFlight.bind({});
  metrics.inFlight.onScrape(() => inFlight.set(current.inFlight()));
  const connections = metrics.connections.bind({});
  metrics.connections.onScrape(() => connections.set(current.connections()));
  const connectionsRefused = metrics.connectionsRefused.bind({});
  const routes = new Map<string, Map<string, RouteMetrics>>();

  const childrenOf = (route: string, method: string): RouteMetrics => {
    let methods = routes.get(route);
    if (methods === undefined) {
      methods = new Map();
      routes.set(route, methods);
    }
    let children = methods.get(method);
    if (children === undefined) {
      children = { duration: metrics.duration.bind({ route, method }), byStatus: new Map() };
      methods.set(method, children);
    }
    return children;
  };
  return {
    answered(route, method, statusCode, durationSeconds) {
      const children = childrenOf(route, method);
      let requests = children.byStatus.get(statusCode);
      if (requests === undefined) {
        requests = metrics.requests.bind({ route, method, code: String(statusCode) });
        children.byStatus.set(statusCode, requests);
      }
      requests.inc();
      children.duration.observe(durationSeconds);
    },
    parserError: (statusCode) => metrics.parserErrors.bind({ code: String(statusCode) }).inc(),
    connectionRefused: () => connectionsRefused.inc(),
  };
}
