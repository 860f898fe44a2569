import { CreateDatasetVersion, Dataset, DatasetVersion, DatasetVersionSummary, Page } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import { registerDataset } from '../registration/register-dataset.ts';
import {
  getDataset,
  getDatasetVersion,
  getDatasetVersionById,
  listDatasets,
  listDatasetVersions,
} from '../store/datasets.ts';
import { actorOf, callerGone } from './caller.ts';
import { createDatasetFiles } from './dataset-files.ts';
import { DEFAULT_LIMIT, numberCursor } from './paging.ts';
import type { PartsOf } from './parts.ts';
import {
  DatasetFileParams,
  DatasetParams,
  DatasetVersionParams,
  DeletablePageQuery,
  VersionIdParams,
} from './schemas.ts';
import { STORED_FILE_DESCRIPTION, STORED_FILE_RESPONSES, sendStoredFile } from './stored-file.ts';

const tags = ['datasets'];

export function datasetRoutes(app: App, parts: PartsOf): void {
  const files = createDatasetFiles();
  app.post(
    '/v1/datasets/:name/versions',
    {
      config: { access: 'register' },
      schema: {
        tags,
        operationId: 'createDatasetVersion',
        summary: 'Register a dataset version',
        description:
          'The files were put before (`PUT /v1/blobs/{sha256}`), where each was checked against its digest; what the table in them looks like is taken as it is told (`assay datasets add` reads it from the files). The dataset is made with its first version; from the second on `changes` must say what changed. With an `idempotencyKey` that gave a version before, that version is the answer, with status 200; and so is the newest version where its digest is the same and nothing else is said of it. Example: `{"format": "parquet", "files": [{"name": "flights.parquet", "sha256": "…", "sizeBytes": 863952}], "rows": 60000, "schema": [{"name": "distance", "type": "INTEGER", "nullable": false}], "layer": "raw", "owner": "data@example.com"}`.',
        params: DatasetParams,
        body: CreateDatasetVersion,
        response: {
          201: DatasetVersion,
          200: DatasetVersion,
          ...errorResponses('INVALID_ARGUMENT', 'ALREADY_EXISTS', 'FAILED_PRECONDITION', 'PAYLOAD_TOO_LARGE'),
        },
      },
    },
    async (request, reply) => {
      const { registration, metrics } = parts();
      let outcome: 'registered' | 'repeated' | 'failed' = 'failed';
      try {
        const actor = actorOf(request);
        const { name } = request.params;
        const { version, created } = await registerDataset(registration, actor, name, request.body, callerGone(reply));
        outcome = created ? 'registered' : 'repeated';
        request.log.info(
          { datasetVersionId: version.id, dataset: version.datasetName, version: version.version },
          `dataset version ${outcome}`,
        );
        return reply
          .code(created ? 201 : 200)
          .header('location', `/v1/datasets/${version.datasetName}/versions/${version.version}`)
          .send(version);
      } finally {
        metrics.datasetVersions.bind({ outcome }).inc();
      }
    },
  );

  app.get(
    '/v1/datasets',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listDatasets',
        summary: 'List datasets by name, each with its newest version',
        querystring: DeletablePageQuery,
        response: { 200: Page(Dataset, 'DatasetPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT, deleted = false } = request.query;
      return listDatasets(parts().store.database.db, { limit, deleted, ...(after === undefined ? {} : { after }) });
    },
  );

  app.get(
    '/v1/datasets/:name',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getDataset',
        summary: 'Get a dataset with its newest version',
        params: DatasetParams,
        response: { 200: Dataset, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getDataset(parts().store.database.db, request.params.name),
  );

  app.get(
    '/v1/datasets/:name/versions',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listDatasetVersions',
        summary: 'List the versions of a dataset, newest first',
        description: 'Without their lists of files and columns and their profiles.',
        params: DatasetParams,
        querystring: DeletablePageQuery,
        response: {
          200: Page(DatasetVersionSummary, 'DatasetVersionPage'),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND'),
        },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT, deleted = false } = request.query;
      const before = numberCursor(after);
      const page = { limit, deleted, ...(before === undefined ? {} : { before }) };
      return listDatasetVersions(parts().store.database.db, request.params.name, page);
    },
  );

  app.get(
    '/v1/datasets/:name/versions/:version',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getDatasetVersion',
        summary: 'Get a version of a dataset by its number, or the newest',
        params: DatasetVersionParams,
        response: { 200: DatasetVersion, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async ({ params }) => getDatasetVersion(parts().store.database.db, params.name, params.version),
  );

  app.get(
    '/v1/dataset-versions/:id',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getDatasetVersionById',
        summary: 'Get a dataset version by its id',
        params: VersionIdParams,
        response: { 200: DatasetVersion, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getDatasetVersionById(parts().store.database.db, request.params.id),
  );

  app.get(
    '/v1/datasets/:name/versions/:version/files/:file',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getDatasetFile',
        summary: 'Download a file of a dataset version',
        description: STORED_FILE_DESCRIPTION,
        params: DatasetFileParams,
        response: STORED_FILE_RESPONSES,
      },
    },
    async (request, reply) => {
      const { name, version, file: fileName } = request.params;
      const file = await files.find(parts().store.database.db, name, version, fileName);
      return sendStoredFile(request, reply, parts(), file);
    },
  );
}
