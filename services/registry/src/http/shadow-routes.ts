import { AssayError, ReportShadows, ShadowComparisons } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { readShadowComparisons, saveShadowReport } from '../store/shadow-reports.ts';
import { actorOf } from './caller.ts';
import type { PartsOf } from './parts.ts';
import { EndpointParams } from './schemas.ts';

const tags = ['endpoints'];
/** Of the principals that may report: the inference service, and whoever calls while there are no keys. */
const REPORTERS: readonly string[] = ['inference', 'local'];

export function shadowRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/endpoints/:name/shadows',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getShadowComparisons',
        summary: 'Get what the shadows of an endpoint answered, beside what its callers got',
        description:
          'Summed over the replicas, which report every few seconds. Versions that are no shadows any more are in it too, as long as the endpoint is there.',
        params: EndpointParams,
        response: { 200: ShadowComparisons, ...errorResponses('NOT_FOUND') },
      },
    },
    async ({ params }) => ({ items: await readShadowComparisons(parts().store.database.db, params.name) }),
  );

  app.post(
    '/v1/endpoints/:name/shadow-reports',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'reportShadows',
        summary: 'Tell what a replica of the inference service has counted of shadows',
        description: 'For the inference service alone. A report takes the place of an earlier one of the same replica.',
        params: EndpointParams,
        body: ReportShadows,
        response: {
          204: Type.Null({ description: 'It is kept.' }),
          ...errorResponses('INVALID_ARGUMENT', 'PERMISSION_DENIED', 'NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { principal } = actorOf(request);
      if (!REPORTERS.includes(principal)) {
        throw new AssayError(
          'PERMISSION_DENIED',
          `only the inference service reports shadows, and this is "${principal}"`,
        );
      }
      await saveShadowReport(parts().store, request.params.name, request.body, Date.now());
      return reply.code(204).send(null);
    },
  );
}
