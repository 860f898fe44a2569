/** Listening: on loopback only where calls need no keys, and with an error that says which setting to change. */
import type { AddressInfo, Server } from 'node:net';
import { isIP } from 'node:net';
import { AssayError } from '@assay/contracts';
import type { App } from './app.ts';
import { resolveAny, resolveLoopback } from './loopback.ts';
import { stateOf } from './state.ts';
import { isTlsServer } from './tls-server.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** What sets the port, for the message when it is taken: `ASSAY_REGISTRY_PORT`. */
  readonly portSetting?: string;
  /** What configures keys, for the message when others could reach it without: `ASSAY_SERVICE_KEY_FILE`. */
  readonly keysSetting?: string;
}

/**
 * Begins to listen.
 * @returns the base URL, with the port that it got: `http://127.0.0.1:8101`
 * @throws AssayError FAILED_PRECONDITION for an address that others can reach when calls need no keys, UNAVAILABLE for a port that is taken
 */
export async function listen(app: App, options: ListenOptions): Promise<string> {
  const host = await addressFor(app, options);
  try {
    await app.listen({ host, port: options.port, backlog: BACKLOG });
  } catch (error) {
    throw listenError(error, options);
  }
  return `${isTlsServer(app.server) ? 'https' : 'http'}://${authorityOf(app.server, host)}`;
}

/**
 * Begins to listen with another server of the same service, by the rules of its app.
 * @returns host and port: `127.0.0.1:9001`
 * @throws AssayError as `listen`
 */
export async function listenBeside(app: App, server: Server, options: ListenOptions): Promise<string> {
  const host = await addressFor(app, options);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port: options.port, backlog: BACKLOG }, resolve);
  try {
    await promise;
  } catch (error) {
    throw listenError(error, options);
  } finally {
    server.off('error', reject);
  }
  return authorityOf(server, host);
}

const BACKLOG = 1024;

async function addressFor(app: App, { host, keysSetting }: ListenOptions): Promise<string> {
  const state = stateOf(app.server);
  const needsKeys = state.access?.isRequired === true;
  // With keys there is nothing that a rebound name could do: a page has none to show.
  state.answersLoopbackNamesOnly = !needsKeys;
  return needsKeys ? resolveAny(host) : resolveLoopback(host, keysSetting);
}

function authorityOf(server: Server, address: string): string {
  const { port } = server.address() as AddressInfo; // it listens on TCP, so this is no pipe and not null
  return `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
}

function listenError(error: unknown, { host, port, portSetting }: ListenOptions): AssayError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const change = portSetting === undefined ? 'choose another port' : `set ${portSetting} to another port`;
  switch (code) {
    case 'EADDRINUSE':
      return new AssayError(
        'UNAVAILABLE',
        `port ${port} on ${host} is taken by another process; stop it, or ${change}`,
        { cause: error },
      );
    case 'EACCES':
      return new AssayError(
        'FAILED_PRECONDITION',
        `this user may not listen on port ${port}; ${change} (1024 or above)`,
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
      return new AssayError('FAILED_PRECONDITION', `${host} is no address of this machine; set the host to 127.0.0.1`, {
        cause: error,
      });
    default:
      return AssayError.from(error);
  }
}
