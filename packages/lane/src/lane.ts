/** The lane of an app: it takes the connections of Fastify's server before Node does, and sweeps over its own. */
import type { Socket } from 'node:net';
import { type App, exchangeOf, isTlsServer } from '@assay/http';
import { LaneConnection } from './connection.ts';
import type { HandoverReason, LaneRoute } from './interfaces.ts';
import { Passage } from './passage.ts';
import { createRoutes } from './routes.ts';

export interface LaneOptions {
  readonly routes: readonly LaneRoute[];
  /** Told of each connection that goes to Node. It must not throw. */
  readonly handedOver?: (reason: HandoverReason) => void;
  /** Told of each request that goes to Node while its connection stays. It must not throw. */
  readonly passedOn?: (reason: HandoverReason) => void;
}

export interface Lane {
  /** Connections that are the lane's now. */
  readonly connections: number;
}

/**
 * Puts the lane before an app's server; before it listens. The lane ends with the server: it closes its idle connections
 * when the server closes its own, and all of them when the server closes all. Under TLS it takes them once they are
 * encrypted, as Node's HTTP does.
 */
export function addLane(app: Pick<App, 'server'>, { routes, handedOver, passedOn }: LaneOptions): Lane {
  const { server } = app;
  const exchange = exchangeOf(app);
  const arrival = isTlsServer(server) ? 'secureConnection' : 'connection';
  const [native] = server.listeners(arrival);
  if (native === undefined) throw new Error('this server takes no connections');
  const connections = new Set<LaneConnection>();
  const owner = {
    exchange,
    routes: createRoutes(routes),
    keepAliveSeconds: Math.floor(server.keepAliveTimeout / 1000),
    get connections() {
      return connections.size;
    },
    passedOn: (reason: HandoverReason) => passedOn?.(reason),
    openPassage(socket: Socket, answered: () => void): Passage {
      const passage = new Passage(socket, answered);
      exchange.countFor(socket, passage);
      native.call(server, passage);
      return passage;
    },
    handOver(connection: LaneConnection, rest: Buffer, reason: HandoverReason): void {
      connections.delete(connection);
      handedOver?.(reason);
      const { socket } = connection;
      socket.pause();
      if (rest.length > 0) socket.unshift(rest);
      native.call(server, socket);
      socket.resume();
    },
    forget: (connection: LaneConnection) => void connections.delete(connection),
    refuse(socket: Socket, code: keyof typeof REFUSALS): void {
      server.emit('clientError', Object.assign(new Error(REFUSALS[code]), { code, reason: REFUSALS[code] }), socket);
    },
  };
  server.removeListener(arrival, native as (socket: Socket) => void); // Node's own, whose type EventEmitter forgets
  server.on(arrival, (socket: Socket) => connections.add(new LaneConnection(socket, owner)));

  server.prependListener('request', ({ socket }, response) => {
    if (socket instanceof Passage) socket.answerWith(response);
  });

  const closeWhere = (isClosed: (connection: LaneConnection) => boolean): void => {
    for (const connection of connections) if (isClosed(connection)) connection.socket.destroy();
  };
  const { closeIdleConnections, closeAllConnections } = server;
  server.closeIdleConnections = () => {
    closeIdleConnections.call(server);
    closeWhere((connection) => connection.isIdle);
  };
  server.closeAllConnections = () => {
    closeAllConnections.call(server);
    closeWhere(() => true);
  };

  const { headersTimeoutMs, keepAliveTimeoutMs } = exchange.limits;
  const sweep = setInterval(
    () => {
      const nowMs = performance.now();
      for (const connection of connections) connection.checkTimes(nowMs);
    },
    Math.max(50, Math.min(1000, headersTimeoutMs / 4, keepAliveTimeoutMs / 4)),
  ).unref();
  server.once('close', () => clearInterval(sweep));
  return {
    get connections() {
      return connections.size;
    },
  };
}

/** In the words of Node's parser. */
const REFUSALS = {
  ERR_HTTP_REQUEST_TIMEOUT: 'Request timeout',
  HPE_INVALID_EOF_STATE: 'Invalid EOF state',
} as const;
