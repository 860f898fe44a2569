/**
 * Blobs as objects of S3, or of a store that speaks its protocol. Whole or absent: a multipart upload becomes an object
 * only when it is completed. `ifAbsent` is a conditional write (`If-None-Match: *`), which the store must know.
 *
 * What a killed process left of a multipart upload is invisible and costs storage: give the bucket a lifecycle rule
 * (AbortIncompleteMultipartUpload).
 */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { type BlobStore, checkKey, checkPrefix, resolveRange } from './blob-store.ts';
import { readObject } from './object-body.ts';
import { alreadyExists, notFound, replaced } from './object-errors.ts';
import { type PartTarget, putInParts } from './put-in-parts.ts';
import { mapS3Error, statusOf } from './s3-errors.ts';
import { parseStoreUrl } from './store-url.ts';

const CONNECT_TIMEOUT_MS = 5000;
/** Without a byte in either direction. */
const SILENCE_TIMEOUT_MS = 60_000;
const MAX_ATTEMPTS = 4;
/** Tells our own put, whose answer was lost, from another's. */
const PUT_ID = 'assay-put';

/**
 * @param url `s3://bucket/prefix?endpoint=https://minio.example:9000&region=eu-central-1`; without `endpoint` AWS itself.
 *   Credentials and region come from the standard environment and files of AWS
 * @throws AssayError FAILED_PRECONDITION where the bucket is absent or the credentials are refused, UNAVAILABLE
 */
export async function openS3Store(url: string): Promise<BlobStore> {
  const { bucket: Bucket, prefix, parameters } = parseStoreUrl(url, ['endpoint', 'region']);
  const endpoint = parameters.get('endpoint');
  const region = parameters.get('region') ?? (endpoint === undefined ? undefined : 'us-east-1');
  const where = `s3://${Bucket}/${prefix}`;
  const client = new S3Client({
    ...(region === undefined ? {} : { region }),
    // Other stores than AWS have no host a bucket and no checksums in trailers.
    ...(endpoint === undefined
      ? {}
      : {
          endpoint,
          forcePathStyle: true,
          requestChecksumCalculation: 'WHEN_REQUIRED' as const,
          responseChecksumValidation: 'WHEN_REQUIRED' as const,
        }),
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SILENCE_TIMEOUT_MS },
  });

  async function clearly<T>(operation: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      signal?.throwIfAborted();
      throw mapS3Error(error, where);
    }
  }
  const abortBy = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { abortSignal: signal });
  const address = (key: string): { Bucket: string; Key: string } => {
    checkKey(key);
    return { Bucket, Key: `${prefix}${key}` };
  };

  async function look(key: string, signal: AbortSignal | undefined) {
    const object = address(key);
    signal?.throwIfAborted();
    return clearly(async () => {
      try {
        return await client.send(new HeadObjectCommand(object), abortBy(signal));
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    }, signal);
  }

  await clearly(() => client.send(new HeadBucketCommand({ Bucket })));
  return {
    async put(key, body, options = {}) {
      const object = address(key);
      const { signal, ifAbsent = false } = options;
      if (ifAbsent && (await look(key, signal)) !== undefined) throw alreadyExists(key);
      const putId = randomUUID();
      const condition = ifAbsent ? { IfNoneMatch: '*' } : {};
      const Metadata = { [PUT_ID]: putId };

      /** Another's put, or an earlier attempt of this one, of which the answer was lost? */
      async function makeVisible(write: () => Promise<unknown>): Promise<void> {
        try {
          await write();
        } catch (error) {
          const isConflict =
            ifAbsent && error instanceof S3ServiceException && [409, 412].includes(statusOf(error) ?? 0);
          if (!isConflict) throw error;
          const found = await look(key, signal);
          if (found?.Metadata?.[PUT_ID] === putId) return;
          if (found !== undefined) throw alreadyExists(key);
          throw new AssayError('UNAVAILABLE', `blob ${key}: another put was under way; try again`, { cause: error });
        }
      }

      const target: PartTarget = {
        putWhole: (bytes) =>
          makeVisible(() =>
            client.send(new PutObjectCommand({ ...object, ...condition, Metadata, Body: bytes }), abortBy(signal)),
          ),
        async begin() {
          const { UploadId } = await client.send(
            new CreateMultipartUploadCommand({ ...object, Metadata }),
            abortBy(signal),
          );
          const parts: { PartNumber: number; ETag: string | undefined }[] = [];
          return {
            async send(PartNumber, bytes) {
              const command = new UploadPartCommand({ ...object, UploadId, PartNumber, Body: bytes });
              const { ETag } = await client.send(command, abortBy(signal));
              parts[PartNumber - 1] = { PartNumber, ETag };
            },
            complete: () =>
              makeVisible(() =>
                client.send(
                  new CompleteMultipartUploadCommand({
                    ...object,
                    ...condition,
                    UploadId,
                    MultipartUpload: { Parts: parts },
                  }),
                  abortBy(signal),
                ),
              ),
            async abandon() {
              await client.send(new AbortMultipartUploadCommand({ ...object, UploadId }));
            },
          };
        },
      };
      // What `body` throws is the caller's, and no error of the store.
      const failure: { ofBody?: unknown } = {};
      return clearly(() => putInParts(key, remembering(body, failure), options, target), signal).catch(
        (error: unknown) => {
          throw 'ofBody' in failure ? failure.ofBody : error;
        },
      );
    },

    async get(key, { range, signal } = {}) {
      const found = await look(key, signal);
      if (found === undefined) throw notFound(key);
      const sizeBytes = found.ContentLength ?? 0;
      const { from, to } = resolveRange(range, sizeBytes);
      const same = found.ETag === undefined ? {} : { IfMatch: found.ETag };
      const open = (position: number) =>
        clearly(async () => {
          const Range = `bytes=${position}-${to - 1}`;
          const part = await client
            .send(new GetObjectCommand({ ...address(key), ...same, Range }), abortBy(signal))
            .catch((error: unknown) => {
              throw statusOf(error) === 404 ? notFound(key) : statusOf(error) === 412 ? replaced(key, error) : error;
            });
          return part.Body as unknown as AsyncIterable<Uint8Array>; // on Node it is a Readable of Buffers
        }, signal);
      return { sizeBytes, body: readObject(key, { from, to, signal }, open) };
    },

    async head(key, { signal } = {}) {
      const found = await look(key, signal);
      return found === undefined ? undefined : { key, sizeBytes: found.ContentLength ?? 0 };
    },

    list(begins, { signal } = {}) {
      checkPrefix(begins);
      return (async function* () {
        let ContinuationToken: string | undefined;
        do {
          signal?.throwIfAborted();
          const more = ContinuationToken === undefined ? {} : { ContinuationToken };
          const command = new ListObjectsV2Command({ Bucket, Prefix: `${prefix}${begins}`, ...more });
          const page = await clearly(() => client.send(command, abortBy(signal)), signal);
          for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
            const modifiedAtMs = LastModified?.getTime() ?? Date.now(); // S3 always says
            yield { key: Key.slice(prefix.length), sizeBytes: Size, modifiedAtMs };
          }
          ContinuationToken = page.NextContinuationToken;
        } while (ContinuationToken !== undefined);
      })();
    },

    async delete(key, { signal } = {}) {
      const object = address(key);
      signal?.throwIfAborted();
      await clearly(() => client.send(new DeleteObjectCommand(object), abortBy(signal)), signal);
    },
  };
}

async function* remembering<T>(body: AsyncIterable<T>, failure: { ofBody?: unknown }): AsyncGenerator<T> {
  try {
    yield* body;
  } catch (error) {
    failure.ofBody = error;
    throw error;
  }
}
