/**
 * One attempt: a POST to an address that is not ours to trust. The address is judged when the connection is made, whatever
 * its name says; redirects are not followed; no more than the beginning of an answer is read; all of it has one deadline.
 */
import { lookup } from 'node:dns';
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { AssayError } from '@assay/contracts';
import { ASSAY_VERSION } from '@assay/runtime';
import { type Attempt, retryAfterMs } from '../domain/webhook-retry.ts';
import { checkWebhookUrl, type WebhookNetworks } from './target.ts';

export interface Answer extends Attempt {
  /** Why it failed. */
  readonly error?: string;
  /** The beginning of the body. */
  readonly response?: string;
  readonly durationMs: number;
}

export interface PostOptions {
  readonly networks: WebhookNetworks;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const MAX_RESPONSE_BYTES = 1024;

/** Never throws: what goes wrong is the answer. Aborted by the signal it is an attempt that failed, too. */
export async function post(
  address: string,
  message: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
  { networks, timeoutMs, signal }: PostOptions,
): Promise<Answer> {
  const began = performance.now();
  const durationMs = (): number => Math.round(performance.now() - began);
  const timeout = AbortSignal.timeout(timeoutMs);
  const until = AbortSignal.any([signal, timeout]);
  try {
    const url = checkWebhookUrl(address, networks);
    const { status, response, retryAfter } = await send(url, message, networks, until);
    const wait = retryAfterMs(retryAfter, Date.now());
    const isTaken = status >= 200 && status < 300;
    return {
      status,
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
      ...(isTaken ? {} : { error: describeStatus(status) }),
      ...(response === '' ? {} : { response }),
      durationMs: durationMs(),
    };
  } catch (cause) {
    const error = timeout.aborted ? `there was no whole answer within ${timeoutMs} ms` : reasonOf(cause);
    return { error, durationMs: durationMs() };
  }
}

function describeStatus(status: number): string {
  return status >= 300 && status < 400 ? `it answered ${status}: redirects are not followed` : `it answered ${status}`;
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AssayError) return cause.message;
  const { code, message } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : { code: '', message: '' }; // of Node's network calls
  return [code, message].filter((part) => part !== undefined && part !== '').join(': ') || String(cause);
}

async function send(
  url: URL,
  { headers, body }: { readonly headers: Readonly<Record<string, string>>; readonly body: string },
  networks: WebhookNetworks,
  signal: AbortSignal,
): Promise<{ status: number; response: string; retryAfter: string | undefined }> {
  const options: RequestOptions = {
    method: 'POST',
    agent: false, // a connection each, so that each is judged
    lookup: onlyPermitted(networks),
    signal,
    headers: {
      ...headers,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': `assay/${ASSAY_VERSION}`,
    },
  };
  const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
  try {
    const answer = await answerOf(request, body);
    const response = await beginningOf(answer);
    return { status: answer.statusCode ?? 0, response, retryAfter: answer.headers['retry-after'] };
  } finally {
    request.destroy();
  }
}

function answerOf(request: ClientRequest, body: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once('response', resolve);
  request.on('error', reject); // and again when it is destroyed
  request.end(body);
  return promise;
}

async function beginningOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer) {
    const bytes: Buffer = chunk; // without an encoding a stream of HTTP gives these
    chunks.push(bytes);
    length += bytes.length;
    if (length >= MAX_RESPONSE_BYTES) break;
  }
  // PostgreSQL keeps no NUL.
  return Buffer.concat(chunks).subarray(0, MAX_RESPONSE_BYTES).toString('utf8').replaceAll('\0', '');
}

/** The addresses of a name, if each of them may be reached. */
function onlyPermitted(networks: WebhookNetworks): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const refused = addresses.find(({ address }) => !networks.permits(address));
      if (refused !== undefined) {
        const message = `${hostname} is ${refused.address}, which is no public address, nor one of the setting webhookAllowedNetworks`;
        return callback(new AssayError('PERMISSION_DENIED', message), []);
      }
      const [first] = addresses;
      if (options.all === true || first === undefined) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}
