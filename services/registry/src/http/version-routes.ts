import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AssayError, CreateVersion, Page, PageQuery, Version } from '@assay/contracts';
import type { App } from '@assay/http';
import Type from 'typebox';
import { blobKey } from '../registration/blob-keys.ts';
import { registerVersion } from '../registration/register-version.ts';
import { getVersion, getVersionById, listVersions } from '../store/versions.ts';
import { actorOf, callerGone } from './caller.ts';
import { errorResponses } from './error-responses.ts';
import { DEFAULT_LIMIT, numberCursor } from './paging.ts';
import type { Parts, PartsOf } from './parts.ts';
import { ModelParams, VersionFileParams, VersionIdParams, VersionParams } from './schemas.ts';

const tags = ['versions'];

export function versionRoutes(app: App, parts: PartsOf): void {
  app.post(
    '/v1/models/:model/versions',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'createVersion',
        summary: 'Register a version',
        description:
          'The files were put before (`PUT /v1/blobs/{sha256}`). The package is put together, every digest is checked, the graph is loaded in a child process with limits and its golden records are reproduced; a package that fails is refused with UNPROCESSABLE_MODEL and the reason. A plain ONNX file needs a package first: `assay register NAME model.onnx` makes one. The number is the next of the model. With an `idempotencyKey` that made a version before, that version is the answer, with status 200. Example: `{"files": [{"path": "assay.json", "sha256": "…", "sizeBytes": 4211}, {"path": "MLmodel", "sha256": "…", "sizeBytes": 912}, {"path": "model.onnx", "sha256": "…", "sizeBytes": 83120}], "idempotencyKey": "job_…"}`.',
        params: ModelParams,
        body: CreateVersion,
        response: {
          201: Version,
          200: Version,
          ...errorResponses(
            'INVALID_ARGUMENT',
            'NOT_FOUND',
            'ALREADY_EXISTS',
            'FAILED_PRECONDITION',
            'PAYLOAD_TOO_LARGE',
            'UNPROCESSABLE_MODEL',
            'OVERLOADED',
          ),
        },
      },
    },
    async (request, reply) => {
      const { registration, metrics } = parts();
      const began = performance.now();
      let outcome: 'registered' | 'repeated' | 'refused' | 'failed' = 'failed';
      try {
        const actor = actorOf(request);
        const { model } = request.params;
        const { version, created } = await registerVersion(registration, actor, model, request.body, callerGone(reply));
        outcome = created ? 'registered' : 'repeated';
        request.log.info(
          { versionId: version.id, model: version.modelName, version: version.version },
          `version ${outcome}`,
        );
        return reply
          .code(created ? 201 : 200)
          .header('location', `/v1/versions/${version.id}`)
          .send(version);
      } catch (error) {
        if (error instanceof AssayError && error.code === 'UNPROCESSABLE_MODEL') outcome = 'refused';
        throw error;
      } finally {
        metrics.versions.bind({ outcome }).inc();
        metrics.registrationDuration.bind({}).observe((performance.now() - began) / 1000);
      }
    },
  );

  app.get(
    '/v1/models/:model/versions',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listVersions',
        summary: 'List the versions of a model, newest first',
        params: ModelParams,
        querystring: PageQuery,
        response: { 200: Page(Version, 'VersionPage'), ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      const before = numberCursor(after);
      const page = { limit, ...(before === undefined ? {} : { before }) };
      return listVersions(parts().store.database.db, request.params.model, page);
    },
  );

  app.get(
    '/v1/models/:model/versions/:version',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getVersion',
        summary: 'Get a version of a model by its number or id',
        params: VersionParams,
        response: { 200: Version, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getVersion(parts().store.database.db, request.params.model, request.params.version),
  );

  app.get(
    '/v1/versions/:id',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getVersionById',
        summary: 'Get a version by its id',
        params: VersionIdParams,
        response: { 200: Version, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getVersionById(parts().store.database.db, request.params.id),
  );

  app.get(
    '/v1/versions/:id/files/*',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getVersionFile',
        summary: 'Download a file of a version',
        description:
          'Streamed. `ETag` is the sha256 of the content; an answer whose content turns out to have another digest is cut off before its end.',
        params: VersionFileParams,
        response: {
          200: {
            description: 'The bytes of the file.',
            content: {
              'application/octet-stream': { schema: Type.Unsafe<Readable>({ type: 'string', format: 'binary' }) },
            },
          },
          ...errorResponses('NOT_FOUND', 'UNAVAILABLE'),
        },
      },
    },
    async (request, reply) => {
      const version = await getVersionById(parts().store.database.db, request.params.id);
      const path = request.params['*'];
      const file = version.files.find((candidate) => candidate.path === path);
      if (file === undefined) {
        throw new AssayError(
          'NOT_FOUND',
          `version ${version.version} of ${version.modelName} has no file "${path}"; it has ${version.files.map((f) => f.path).join(', ')}`,
        );
      }
      const signal = callerGone(reply);
      const blob = await parts()
        .blobs.get(blobKey(file.sha256), { signal })
        .catch((cause: unknown) => {
          if (!(cause instanceof AssayError) || cause.code !== 'NOT_FOUND') throw cause;
          throw new AssayError(
            'UNAVAILABLE',
            `the content of ${path} (sha256 ${file.sha256}) is missing from the blob store; restore it from a backup`,
            { cause },
          );
        });
      reply
        .header('content-type', 'application/octet-stream')
        .header('content-length', String(file.sizeBytes))
        .header('etag', `"${file.sha256}"`)
        .header('cache-control', 'public, max-age=31536000, immutable');
      const body = checked(blob.body, file, parts().metrics);
      return reply.send(Readable.from(body, { objectMode: false }));
    },
  );
}

/**
 * The bytes as they come, the last of them held back until the digest is known to be right: a receiver who got all of
 * them has the right ones, one who did not sees the answer break off.
 */
async function* checked(
  body: AsyncIterable<Uint8Array>,
  file: { readonly path: string; readonly sha256: string; readonly sizeBytes: number },
  metrics: Parts['metrics'],
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  const sent = metrics.blobBytes.bind({ direction: 'out' });
  let held: Uint8Array | undefined;
  for await (const chunk of body) {
    hash.update(chunk);
    if (held !== undefined) {
      sent.inc(held.length);
      yield held;
    }
    held = chunk;
  }
  if (hash.digest('hex') !== file.sha256) {
    throw new AssayError(
      'INTERNAL',
      `the stored content of ${file.path} is not the one with sha256 ${file.sha256}; restore it from a backup`,
    );
  }
  if (held !== undefined) {
    sent.inc(held.length);
    yield held;
  }
}
