/**
 * What node:http2 costs by itself: a unary gRPC call whose message is sent back. No keys, no codec, no model,
 * no limits.
 */
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';

const RESPONSE = { ':status': 200, 'content-type': 'application/grpc' };
const TRAILERS = { 'grpc-status': '0' };

const server = createServer();
server.on('stream', (opened) => {
  const stream = opened as ServerHttp2Stream; // on a server all streams are of that kind
  stream.on('error', () => undefined);
  stream.once('wantTrailers', () => stream.sendTrailers(TRAILERS));
  stream.once('data', (message: Buffer) => {
    stream.respond(RESPONSE, { waitForTrailers: true });
    stream.end(message);
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo; // listening on TCP
  console.log(`127.0.0.1:${port}`);
});
process.on('SIGTERM', () => process.exit());
