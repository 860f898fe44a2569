import { AssayError, CreateVersion, Page, Version } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { registerVersion } from '../registration/register-version.ts';
import { deleteVersion } from '../store/deletions.ts';
import { restoreVersion } from '../store/restores.ts';
import { getVersion, getVersionById, listVersions } from '../store/versions.ts';
import { actorOf, callerGone } from './caller.ts';
import { DEFAULT_LIMIT, numberCursor } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DeletablePageQuery, ModelParams, VersionFileParams, VersionIdParams, VersionParams } from './schemas.ts';
import { STORED_FILE_DESCRIPTION, STORED_FILE_RESPONSES, sendStoredFile } from './stored-file.ts';

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
        querystring: DeletablePageQuery,
        response: { 200: Page(Version, 'VersionPage'), ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT, deleted = false } = request.query;
      const before = numberCursor(after);
      const page = { limit, deleted, ...(before === undefined ? {} : { before }) };
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

  app.delete(
    '/v1/models/:model/versions/:version',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'deleteVersion',
        summary: 'Delete a version by its number or id',
        description:
          'It can be restored until `deletedRetentionMs` have passed and a collection has removed it; its number is never given again. Refused while an endpoint serves it (and so each pipeline that scores there), an alias points at it, or another version was made from it; `details` names who.',
        params: VersionParams,
        response: {
          204: Type.Null({ description: 'It is deleted.' }),
          ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request, reply) => {
      const { model, version } = request.params;
      const numberOrId = /^[1-9]\d{0,14}$/.test(version) ? Number(version) : version;
      await deleteVersion(parts().store, actorOf(request), model, numberOrId, 'need it');
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/models/:model/versions/:version/restore',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'restoreVersion',
        summary: 'Restore a deleted version',
        description: 'It has its number, its files, its tags again.',
        params: VersionParams,
        response: { 200: Version, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => restoreVersion(parts().store, actorOf(request), request.params.model, request.params.version),
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
        description: STORED_FILE_DESCRIPTION,
        params: VersionFileParams,
        response: STORED_FILE_RESPONSES,
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
      return sendStoredFile(request, reply, parts(), { ...file, name: path });
    },
  );
}
