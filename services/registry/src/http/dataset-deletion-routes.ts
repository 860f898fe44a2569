import { Dataset, DatasetVersion } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import {
  deleteDataset,
  deleteDatasetVersion,
  restoreDataset,
  restoreDatasetVersion,
} from '../store/dataset-deletions.ts';
import { actorOf } from './caller.ts';
import type { PartsOf } from './parts.ts';
import { DatasetNumberParams, DatasetParams } from './schemas.ts';

const tags = ['datasets'];
const config = { access: 'register' } as const;
const gone = { 204: Type.Null({ description: 'It is deleted.' }) };

export function datasetDeletionRoutes(app: App, parts: PartsOf): void {
  app.delete(
    '/v1/datasets/:name',
    {
      config,
      schema: {
        tags,
        operationId: 'deleteDataset',
        summary: 'Delete a dataset with all its versions',
        description:
          'It can be restored until `deletedRetentionMs` have passed and a collection has removed it. Refused while a version of a model, or of another dataset, was made from it; `details` names who. The name and its numbers stay its own: a version that is registered under it gets the next one.',
        params: DatasetParams,
        response: { ...gone, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      await deleteDataset(parts().store, actorOf(request), request.params.name);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/datasets/:name/restore',
    {
      config,
      schema: {
        tags,
        operationId: 'restoreDataset',
        summary: 'Restore a deleted dataset with the versions that were deleted with it',
        params: DatasetParams,
        response: { 200: Dataset, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => restoreDataset(parts().store, actorOf(request), request.params.name),
  );

  app.delete(
    '/v1/datasets/:name/versions/:version',
    {
      config,
      schema: {
        tags,
        operationId: 'deleteDatasetVersion',
        summary: 'Delete a version of a dataset by its number',
        description:
          'As `DELETE /v1/datasets/{name}`. Refused for the only version that a dataset has: delete the dataset.',
        params: DatasetNumberParams,
        response: { ...gone, ...errorResponses('NOT_FOUND', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply) => {
      const { name, version } = request.params;
      await deleteDatasetVersion(parts().store, actorOf(request), name, version);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/datasets/:name/versions/:version/restore',
    {
      config,
      schema: {
        tags,
        operationId: 'restoreDatasetVersion',
        summary: 'Restore a deleted version of a dataset',
        params: DatasetNumberParams,
        response: { 200: DatasetVersion, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) =>
      restoreDatasetVersion(parts().store, actorOf(request), request.params.name, request.params.version),
  );
}
