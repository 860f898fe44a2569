import { Collection, CollectRequest } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import { actorOf, callerGone } from './caller.ts';
import type { PartsOf } from './parts.ts';

export function collectionRoutes(app: App, parts: PartsOf): void {
  app.post(
    '/v1/collect',
    {
      config: { access: 'admin' },
      schema: {
        tags: ['collection'],
        operationId: 'collect',
        summary: 'Remove what is not needed any more, or tell what that is',
        description:
          'What was deleted longer ago than `deletedRetentionMs`, and every content that nothing names and that is older than `unusedBlobGraceMs`. Without `"delete": true` nothing is changed: the answer is what would go. It ends when the caller goes away; what it began, the next one finishes. Large stores take minutes: wait for the answer. Example: `{"delete": true}`.',
        body: CollectRequest,
        response: { 200: Collection, ...errorResponses('FAILED_PRECONDITION', 'UNAVAILABLE') },
      },
    },
    async (request, reply) => {
      const { collector } = parts();
      const [actor, signal] = [actorOf(request), callerGone(reply)];
      return request.body.delete === true ? collector.collect(actor, signal) : collector.plan(actor, signal);
    },
  );
}
