/** What Node's server is made with. */
import type { ServerOptions } from 'node:http';
import type { HttpLimits } from './limits.ts';
import type { ServerTls } from './server-tls.ts';

/** As Fastify takes them: the server is one of TLS where there is `https`. */
export function serverOptions(limits: HttpLimits, tls: ServerTls | undefined): { readonly http: ServerOptions } {
  const http: ServerOptions = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
    requestTimeout: limits.requestTimeoutMs,
    requireHostHeader: false, // Node would answer by itself, without a word; the app's hooks require it
    connectionsCheckingInterval: Math.max(50, Math.min(1000, limits.headersTimeoutMs / 4)),
  };
  if (tls === undefined) return { http };
  const https = {
    ...http,
    ...tls.options,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: limits.headersTimeoutMs,
  };
  // Fastify's types have another kind of app for it; an https.Server is an http.Server to all that use one.
  return { https } as unknown as { http: ServerOptions };
}
