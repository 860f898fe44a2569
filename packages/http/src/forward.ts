/** Passes a call on to another service, under a key of one's own: for callers that must not have that key. */
import { Readable } from 'node:stream';
import { AssayError } from '@assay/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface ForwardOptions {
  /** The whole address: the path is the caller's to choose only as far as the route lets it. */
  readonly url: string;
  /** Sent instead of what the caller sent. */
  readonly bearerToken: string | undefined;
  /** What answers, in a message: `the registry`. */
  readonly peer: string;
}

/** What describes a body or a wish; everything else, credentials and connection above all, is between the two of us. */
const REQUEST_HEADERS = [
  'accept',
  'content-type',
  'content-length',
  'traceparent',
  'tracestate',
  'assay-timeout-ms',
] as const;
const RESPONSE_HEADERS = ['content-type', 'content-length', 'retry-after'] as const;

/**
 * Sends method and body as they are, streamed, and answers what comes back, errors included. The body must not have been
 * parsed: see `acceptStreams`.
 * @throws AssayError UNAVAILABLE when the other service cannot be reached
 */
export async function forward(
  request: FastifyRequest,
  reply: FastifyReply,
  options: ForwardOptions,
): Promise<FastifyReply> {
  const headers = new Headers({ 'assay-request-id': request.id, 'accept-encoding': 'identity' });
  for (const name of REQUEST_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  if (options.bearerToken !== undefined) headers.set('authorization', `Bearer ${options.bearerToken}`);
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  const body = request.body instanceof Readable ? request.body : undefined;
  const response = await send(options, {
    method: request.method,
    headers,
    redirect: 'manual', // the key is for this peer alone
    signal: gone.signal,
    ...(body === undefined ? {} : { body: Readable.toWeb(body), duplex: 'half' }),
  });
  for (const name of RESPONSE_HEADERS) {
    const value = response.headers.get(name);
    if (value !== null) reply.header(name, value);
  }
  reply.code(response.status);
  if (response.body === null || request.method === 'HEAD') return reply.send();
  return reply.send(Readable.fromWeb(response.body));
}

async function send({ url, peer }: ForwardOptions, init: RequestInit & { duplex?: 'half' }): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw new AssayError('UNAVAILABLE', `${peer} cannot be reached`, { cause });
  }
}
