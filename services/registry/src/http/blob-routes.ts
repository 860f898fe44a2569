import { createHash } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { type App, acceptStreams, errorResponses } from '@assay/http';
import Type from 'typebox';
import { blobKey } from '../registration/blob-keys.ts';
import { claimPut } from '../store/blob-claims.ts';
import { isCondemned } from '../store/condemned-blobs.ts';
import { actorOf, callerGone } from './caller.ts';
import type { PartsOf } from './parts.ts';
import { BlobParams, BlobReceipt } from './schemas.ts';

const tags = ['blobs'];

/** In a scope of its own, since here every content type is a stream of bytes. */
export function blobRoutes(app: App, parts: PartsOf): void {
  app.removeAllContentTypeParsers();
  acceptStreams(app, ['*']);

  app.head(
    '/v1/blobs/:sha256',
    {
      config: { access: ['read', 'register'] },
      schema: {
        tags,
        operationId: 'headBlob',
        summary: 'Ask whether a content is here',
        params: BlobParams,
        response: {
          200: Type.Null({ description: 'It is; `Content-Length` is its size.' }),
          ...errorResponses('NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { blobs, store } = parts();
      const key = blobKey(request.params.sha256);
      const found = await blobs.head(key, { signal: callerGone(reply) });
      if (found === undefined || (await isCondemned(store.database.db, key)))
        throw new AssayError('NOT_FOUND', `there is no content with sha256 ${request.params.sha256}`);
      return reply.header('content-length', String(found.sizeBytes)).send(null);
    },
  );

  app.put(
    '/v1/blobs/:sha256',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'putBlob',
        summary: 'Put a content under its digest',
        description:
          'The body is the bytes, streamed, of any content type. Bytes with another digest are refused and nothing is kept. Putting a content twice is fine; `HEAD` on the same path says whether it is here already.',
        consumes: ['application/octet-stream'],
        params: BlobParams,
        body: Type.Unknown({ description: 'The bytes.' }),
        response: {
          201: BlobReceipt,
          200: BlobReceipt,
          ...errorResponses('INVALID_ARGUMENT', 'PAYLOAD_TOO_LARGE', 'UNAVAILABLE'),
        },
      },
    },
    async (request, reply) => {
      actorOf(request);
      const { blobs, config, metrics, store } = parts();
      const { sha256 } = request.params;
      const key = blobKey(sha256);
      const signal = callerGone(reply);
      const announced = Number(request.headers['content-length'] ?? 0);
      if (announced > config.maxBlobBytes) {
        reply.header('connection', 'close'); // what is still on its way is not read
        throw tooLarge(config.maxBlobBytes);
      }
      const body = counted(request.body, metrics.blobBytes.bind({ direction: 'in' }));
      // Whoever puts a content means to register it: from now on it is not taken away from them.
      await claimPut(store.database, key, config.unusedBlobGraceMs);
      const existing = await blobs.head(key, { signal });
      if (existing !== undefined) {
        // The body is read and checked all the same: what a caller says of its bytes is not taken on trust.
        const sizeBytes = await digestOnly(body, sha256, config.maxBlobBytes);
        return reply.code(200).send({ sha256, sizeBytes });
      }
      const { sizeBytes } = await blobs.put(key, body, {
        sha256,
        maxSizeBytes: config.maxBlobBytes,
        signal,
      });
      return reply.code(201).send({ sha256, sizeBytes });
    },
  );
}

async function* counted(body: unknown, received: { inc(by: number): void }): AsyncGenerator<Uint8Array> {
  if (body === undefined || body === null) return; // a PUT without a body is the empty content
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    // the parser above passes on Node's request stream, which has no encoding set
    received.inc(chunk.length);
    yield chunk;
  }
}

async function digestOnly(body: AsyncIterable<Uint8Array>, sha256: string, maxBytes: number): Promise<number> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    hash.update(chunk);
  }
  const found = hash.digest('hex');
  if (found !== sha256) {
    throw new AssayError('INVALID_ARGUMENT', `the body has the sha256 ${found}, the path says ${sha256}`, {
      details: [{ place: 'body', message: `its sha256 is ${found}`, expected: sha256 }],
    });
  }
  return sizeBytes;
}

function tooLarge(maxBytes: number): AssayError {
  return new AssayError('PAYLOAD_TOO_LARGE', `body: a file may have ${maxBytes} bytes (setting maxBlobBytes)`);
}
