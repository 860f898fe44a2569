/** The content of a file of a version as an answer: streamed, checked, whole or a range of it. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AssayError } from '@assay/contracts';
import { errorResponses } from '@assay/http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { blobKey } from '../registration/blob-keys.ts';
import { callerGone } from './caller.ts';
import type { Parts } from './parts.ts';

export interface StoredFile {
  /** What a message calls it. */
  readonly name: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What the description of a route says of its answers. */
export const STORED_FILE_DESCRIPTION =
  'Streamed. `ETag` is the sha256 of the content: `If-None-Match` with it is answered 304. One `Range` of bytes is answered 206 (`If-Range` is honoured). A whole answer whose content turns out to have another digest is cut off before its end; a range is not checked.';

const bytes = (description: string) => ({
  description,
  content: { 'application/octet-stream': { schema: Type.Unsafe<Readable>({ type: 'string', format: 'binary' }) } },
});
export const STORED_FILE_RESPONSES = {
  200: bytes('The bytes of the file.'),
  206: bytes('The bytes of the range; `Content-Range` says which.'),
  304: Type.Null({ description: 'The caller has the content already.' }),
  ...errorResponses('NOT_FOUND', 'RANGE_NOT_SATISFIABLE', 'UNAVAILABLE'),
};

/** @throws AssayError RANGE_NOT_SATISFIABLE; UNAVAILABLE when the blob store lacks the content */
export async function sendStoredFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { blobs, metrics }: Pick<Parts, 'blobs' | 'metrics'>,
  file: StoredFile,
): Promise<FastifyReply> {
  const etag = `"${file.sha256}"`;
  // On answers with the content alone: an error that says them would be kept for a year.
  const describeContent = () =>
    reply
      .header('etag', etag)
      .header('accept-ranges', 'bytes')
      .header('cache-control', 'private, max-age=31536000, immutable');
  if (namesTag(request.headers['if-none-match'], etag)) return describeContent().code(304).send();
  const ifRange = request.headers['if-range'];
  const isWanted = ifRange === undefined || ifRange === etag;
  const range = isWanted ? readRange(request.headers.range, file.sizeBytes) : undefined;
  if (range === 'unsatisfiable') {
    reply.header('content-range', `bytes */${file.sizeBytes}`);
    throw new AssayError(
      'RANGE_NOT_SATISFIABLE',
      `the range "${request.headers.range}" begins past the end of ${file.name}, which has ${file.sizeBytes} bytes`,
    );
  }
  const signal = callerGone(reply);
  const part = range === undefined ? {} : { range: { offsetBytes: range.from, lengthBytes: range.to - range.from } };
  const blob = await blobs.get(blobKey(file.sha256), { ...part, signal }).catch((cause: unknown) => {
    if (!(cause instanceof AssayError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new AssayError(
      'UNAVAILABLE',
      `the content of ${file.name} (sha256 ${file.sha256}) is missing from the blob store; restore it from a backup`,
      { cause },
    );
  });
  if (blob.sizeBytes !== file.sizeBytes) throw damaged(file);
  const sent = counted(blob.body, metrics.blobBytes.bind({ direction: 'out' }));
  describeContent().header('content-type', 'application/octet-stream');
  if (range === undefined) {
    reply.header('content-length', String(file.sizeBytes));
    return reply.send(Readable.from(checked(sent, file), { objectMode: false }));
  }
  reply
    .code(206)
    .header('content-range', `bytes ${range.from}-${range.to - 1}/${file.sizeBytes}`)
    .header('content-length', String(range.to - range.from));
  return reply.send(Readable.from(sent, { objectMode: false }));
}

/** `If-None-Match`: `*`, or a list of tags, compared weakly (RFC 9110, 13.1.2). */
export function namesTag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}

/**
 * `Range` as a half-open interval (RFC 9110, 14.2). undefined, the whole file, for none, for several ranges, and for what
 * is no range of bytes: a server may ignore it.
 */
export function readRange(
  header: string | undefined,
  sizeBytes: number,
): { readonly from: number; readonly to: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.replaceAll(' ', '') ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return undefined;
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? 'unsatisfiable' : { from: sizeBytes - suffix, to: sizeBytes };
  }
  const from = Number(first);
  if (last !== '' && Number(last) < from) return undefined;
  if (from >= sizeBytes) return 'unsatisfiable';
  return { from, to: last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}

export async function* counted(
  body: AsyncIterable<Uint8Array>,
  sent: { inc(by: number): void },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    sent.inc(chunk.length);
    yield chunk;
  }
}

/**
 * The bytes as they come, the last of them held back until the digest is known to be right: a receiver who got all of
 * them has the right ones, one who did not sees the answer break off.
 */
export async function* checked(body: AsyncIterable<Uint8Array>, file: StoredFile): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let held: Uint8Array | undefined;
  for await (const chunk of body) {
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (hash.digest('hex') !== file.sha256) throw damaged(file);
  if (held !== undefined) yield held;
}

function damaged(file: StoredFile): AssayError {
  return new AssayError(
    'INTERNAL',
    `the stored content of ${file.name} is not the one with sha256 ${file.sha256}; restore it from a backup`,
  );
}
