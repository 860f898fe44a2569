import { DatasetChanges, DatasetLineage, VersionLineage } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import { datasetChanges } from '../domain/dataset-changes.ts';
import { versionToCompare } from '../store/datasets.ts';
import { readDatasetLineage, readVersionLineage } from '../store/lineage.ts';
import { DEFAULT_LIMIT, pairCursor } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { DatasetChangesQuery, DatasetVersionParams, LineageQuery, VersionParams } from './schemas.ts';

const tags = ['lineage'];

export function lineageRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/models/:model/versions/:version/lineage',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getVersionLineage',
        summary: 'Get what a version was made from, what was made from it, and where it serves and served',
        description:
          'Backwards: the run or the job, spec, code, seed, libraries, and the data by digest, resolved to registered dataset versions and their own lineage. Forwards: the aliases and endpoints, and the versions that were made from it.',
        params: VersionParams,
        response: { 200: VersionLineage, ...errorResponses('NOT_FOUND') },
      },
    },
    async ({ params }) => readVersionLineage(parts().store.database.db, params.model, params.version),
  );

  app.get(
    '/v1/datasets/:name/versions/:version/lineage',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getDatasetLineage',
        summary: 'Get what a dataset version was made from, what was made from it, and the models that it fed',
        description:
          'A model is fed by it directly, or by a dataset that was made from it. `limit` and `after` page through `fed`.',
        params: DatasetVersionParams,
        querystring: LineageQuery,
        response: { 200: DatasetLineage, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async ({ params, query }) => {
      const { after, limit = DEFAULT_LIMIT } = query;
      const cursor = pairCursor(after);
      const page = { limit, ...(cursor === undefined ? {} : { after: cursor }) };
      return readDatasetLineage(parts().store.database.db, params.name, params.version, page);
    },
  );

  app.get(
    '/v1/datasets/:name/versions/:version/changes',
    {
      config: { access: 'read' },
      schema: {
        tags: ['datasets'],
        operationId: 'getDatasetChanges',
        summary: 'Get what a version of a dataset changed since the version before, or another one',
        description:
          'Computed from the schemas and profiles of both: columns that came, went or have another type, rows, shares of missing values, means; and what is said otherwise.',
        params: DatasetVersionParams,
        querystring: DatasetChangesQuery,
        response: {
          200: DatasetChanges,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'FAILED_PRECONDITION'),
        },
      },
    },
    async ({ params, query }) => {
      const { from, to } = await versionToCompare(parts().store.database.db, params.name, params.version, query.since);
      return datasetChanges(from, to);
    },
  );
}
