/** What an app knows of itself while it runs; shared by its routes, its drain and its parser's errors. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Access } from './access.ts';
import type { ErrorRenderer } from './errors.ts';
import { isTlsServer } from './tls-server.ts';

export interface ConnectionState {
  /** Requests whose answer is not finished. */
  inFlight: number;
  /** `socket.bytesRead` when the drain last looked at it. */
  bytesSeen: number;
  /** How often in a row the drain saw nothing happen on it. */
  quietLooks: number;
}

export interface AppState {
  /** serving → draining (not ready, still takes everything) → closing (each answer ends its connection). */
  phase: 'serving' | 'draining' | 'closing';
  inFlight: number;
  /** Set by `listen` while there are no keys: see loopback.ts. */
  answersLoopbackNamesOnly: boolean;
  /** Absent: nothing is checked, as in an app without keys. */
  readonly access: Access | undefined;
  /** Under TLS by the socket that requests have, once it is encrypted. */
  readonly connections: Map<Socket, ConnectionState>;
  /** Those that requests come by which have another stream than their connection's socket. */
  readonly streams: WeakMap<Duplex, ConnectionState>;
  /** Longest prefix first; `below` is the prefix with a slash. */
  readonly errorRenderers: { readonly prefix: string; readonly below: string; readonly render: ErrorRenderer }[];
}

const states = new WeakMap<Server, AppState>();

/** Begins to count a server's connections and requests. */
export function trackServer(server: Server, access?: Access): AppState {
  const state: AppState = {
    phase: 'serving',
    inFlight: 0,
    answersLoopbackNamesOnly: false,
    access,
    connections: new Map(),
    streams: new WeakMap(),
    errorRenderers: [],
  };
  states.set(server, state);
  const track = (socket: Socket): void => {
    state.connections.set(socket, { inFlight: 0, bytesSeen: 0, quietLooks: 0 });
    socket.once('close', () => state.connections.delete(socket));
  };
  server.on('connection', track);
  if (isTlsServer(server)) {
    server.on('secureConnection', (socket: TLSSocket) => {
      // The socket below, which is the connection until then. Node keeps it as `_parent`.
      const { _parent: below } = socket as TLSSocket & { readonly _parent?: Socket };
      if (below !== undefined) state.connections.delete(below);
      track(socket);
    });
  }
  server.on('request', (request, response) => {
    const connection = state.connections.get(request.socket) ?? state.streams.get(request.socket);
    state.inFlight++;
    if (connection !== undefined) connection.inFlight++;
    response.once('close', () => {
      state.inFlight--;
      if (connection !== undefined) connection.inFlight--;
    });
  });
  return state;
}

/** The state of an app's server. */
export function stateOf(server: Server): AppState {
  const state = states.get(server);
  if (state === undefined) throw new Error('this server was not made by createHttpApp');
  return state;
}
