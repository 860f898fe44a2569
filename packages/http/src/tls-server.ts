import type { Server } from 'node:net';
import type { Server as TlsServer } from 'node:tls';

/**
 * Whether a server speaks TLS. Its class is not asked for: to have it is to load TLS, and with that, in a thread, every root
 * certificate, 3 MB that a service behind a proxy has no use for.
 */
export function isTlsServer(server: Server): server is TlsServer {
  return 'setSecureContext' in server;
}
