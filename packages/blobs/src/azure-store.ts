/**
 * Blobs in a container of Azure Blob Storage, as block blobs. Whole or absent: blocks are staged, and become the blob when
 * their list is committed. Staged blocks that are never committed are dropped by Azure after a week.
 */
import { randomUUID } from 'node:crypto';
import { AssayError } from '@assay/contracts';
import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { mapAzureError, statusOf } from './azure-errors.ts';
import { type BlobStore, checkKey, checkPrefix, resolveRange } from './blob-store.ts';
import { readObject } from './object-body.ts';
import { alreadyExists, notFound, replaced } from './object-errors.ts';
import { type PartTarget, putInParts } from './put-in-parts.ts';
import { parseStoreUrl } from './store-url.ts';

const CONNECTION_STRING = 'AZURE_STORAGE_CONNECTION_STRING';
const TRY_TIMEOUT_MS = 60_000;
const MAX_TRIES = 4;
/** Tells our own put, whose answer was lost, from another's. Metadata names are identifiers here. */
const PUT_ID = 'assay_put';

/**
 * @param url `az://container/prefix`. The account, its endpoint and its credentials are those of the connection string in
 *   `AZURE_STORAGE_CONNECTION_STRING` (with an account key or a shared access signature)
 * @throws AssayError FAILED_PRECONDITION where the container is absent or the credentials are refused, UNAVAILABLE
 */
export async function openAzureStore(url: string): Promise<BlobStore> {
  const { bucket, prefix } = parseStoreUrl(url, []);
  const where = `az://${bucket}/${prefix}`;
  const container = connect(bucket, where);

  async function clearly<T>(operation: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      signal?.throwIfAborted();
      throw mapAzureError(error, where);
    }
  }
  const abortBy = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { abortSignal: signal });
  const blobOf = (key: string) => {
    checkKey(key);
    return container.getBlockBlobClient(`${prefix}${key}`);
  };

  async function look(key: string, signal: AbortSignal | undefined) {
    const blob = blobOf(key);
    signal?.throwIfAborted();
    return clearly(async () => {
      try {
        return await blob.getProperties(abortBy(signal));
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    }, signal);
  }

  await clearly(() => container.getProperties());
  return {
    async put(key, body, options = {}) {
      const blob = blobOf(key);
      const { signal, ifAbsent = false } = options;
      if (ifAbsent && (await look(key, signal)) !== undefined) throw alreadyExists(key);
      const putId = randomUUID();
      const how = {
        metadata: { [PUT_ID]: putId },
        ...(ifAbsent ? { conditions: { ifNoneMatch: '*' } } : {}),
        ...abortBy(signal),
      };

      /** Another's put, or an earlier attempt of this one, of which the answer was lost? */
      async function makeVisible(write: () => Promise<unknown>): Promise<void> {
        try {
          await write();
        } catch (error) {
          // 409 and 412: the condition. 400 InvalidBlockList: another commit of this blob dropped our blocks.
          if (![400, 409, 412].includes(statusOf(error) ?? 0)) throw error;
          const found = await look(key, signal);
          if (found?.metadata?.[PUT_ID] === putId) return;
          if (ifAbsent && found !== undefined) throw alreadyExists(key);
          throw new AssayError('UNAVAILABLE', `blob ${key}: another put was under way; try again`, { cause: error });
        }
      }

      const target: PartTarget = {
        async putWhole(bytes) {
          if (!ifAbsent) return makeVisible(() => blob.upload(bytes, bytes.byteLength, how));
          // For the condition on an upload a blob is there as soon as someone has staged blocks of it.
          const upload = await target.begin();
          if (bytes.byteLength > 0) await upload.send(1, bytes);
          return upload.complete();
        },
        async begin() {
          const ids: string[] = [];
          return {
            async send(number, bytes) {
              // Of one length within a blob, and of no other put.
              const id = Buffer.from(`${putId}-${String(number).padStart(5, '0')}`).toString('base64');
              await blob.stageBlock(id, bytes, bytes.byteLength, abortBy(signal));
              ids[number - 1] = id;
            },
            complete: () => makeVisible(() => blob.commitBlockList(ids, how)),
            async abandon() {}, // there is no request for it
          };
        },
      };
      return clearly(() => putInParts(key, body, options, target), signal);
    },

    async get(key, { range, signal } = {}) {
      const found = await look(key, signal);
      if (found === undefined) throw notFound(key);
      const sizeBytes = found.contentLength ?? 0;
      const { from, to } = resolveRange(range, sizeBytes);
      const same = found.etag === undefined ? {} : { conditions: { ifMatch: found.etag } };
      const open = (position: number) =>
        clearly(async () => {
          const part = await blobOf(key)
            .download(position, to - position, { ...same, ...abortBy(signal) })
            .catch(async (error: unknown) => {
              if (!isNotAsSeen(error)) throw error;
              throw (await look(key, signal)) === undefined ? notFound(key) : replaced(key, error);
            });
          return part.readableStreamBody as unknown as AsyncIterable<Uint8Array>; // on Node it is a Readable of Buffers
        }, signal);
      return { sizeBytes, body: readObject(key, { from, to, signal }, open) };
    },

    async head(key, { signal } = {}) {
      const found = await look(key, signal);
      return found === undefined ? undefined : { key, sizeBytes: found.contentLength ?? 0 };
    },

    list(begins, { signal } = {}) {
      checkPrefix(begins);
      return (async function* () {
        const pages = container.listBlobsFlat({ prefix: `${prefix}${begins}`, ...abortBy(signal) }).byPage();
        for (;;) {
          signal?.throwIfAborted();
          const page = await clearly(() => pages.next(), signal);
          if (page.done === true) return;
          for (const { name, properties } of page.value.segment.blobItems) {
            const { contentLength: sizeBytes = 0, lastModified } = properties;
            yield { key: name.slice(prefix.length), sizeBytes, modifiedAtMs: lastModified.getTime() };
          }
        }
      })();
    },

    async delete(key, { signal } = {}) {
      const blob = blobOf(key);
      signal?.throwIfAborted();
      await clearly(() => blob.deleteIfExists(abortBy(signal)), signal);
    },
  };
}

function connect(container: string, where: string): ContainerClient {
  const text = process.env[CONNECTION_STRING] ?? '';
  if (text === '') {
    throw new AssayError('FAILED_PRECONDITION', `blobs in ${where}: no credentials found; set ${CONNECTION_STRING}`);
  }
  try {
    const service = BlobServiceClient.fromConnectionString(text, {
      retryOptions: {
        maxTries: MAX_TRIES,
        tryTimeoutInMs: TRY_TIMEOUT_MS,
        retryDelayInMs: 200,
        maxRetryDelayInMs: 5000,
      },
    });
    return service.getContainerClient(container);
  } catch {
    // The library's own error may quote the text, which holds the key.
    const message = `blobs in ${where}: ${CONNECTION_STRING} is no connection string of a storage account`;
    throw new AssayError('FAILED_PRECONDITION', message);
  }
}

/** 404, or the condition that it is the same blob. */
function isNotAsSeen(error: unknown): boolean {
  return statusOf(error) === 404 || statusOf(error) === 412;
}
