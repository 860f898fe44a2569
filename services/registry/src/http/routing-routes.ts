import { RoutingSnapshot } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import { readSnapshot } from '../store/routing.ts';
import { callerGone } from './caller.ts';
import { checkWait } from './long-poll.ts';
import type { PartsOf } from './parts.ts';
import { RoutingQuery } from './schemas.ts';

export function routingRoutes(app: App, parts: PartsOf): void {
  /** The last snapshot that was read, for all who ask while its revision lasts. */
  let cached: Promise<RoutingSnapshot> | undefined;
  let cachedRevision = -1;

  const snapshot = async (): Promise<RoutingSnapshot> => {
    const { routing, store } = parts();
    if (cached === undefined || cachedRevision < routing.revision) {
      const reading = readSnapshot(store.database);
      cached = reading;
      cachedRevision = routing.revision;
      reading.catch(() => {
        if (cached === reading) cached = undefined; // the next one reads again
      });
    }
    return cached;
  };

  app.get(
    '/v1/routing',
    {
      config: { access: 'read' },
      schema: {
        tags: ['routing'],
        operationId: 'getRouting',
        summary: 'Get the routing snapshot, or wait for the next',
        description:
          'All endpoints and the versions behind them, with one revision. With `after` and `waitMs` the answer comes as soon as the revision is above `after`, or when the wait is over with the snapshot as it is: compare the revision.',
        querystring: RoutingQuery,
        response: { 200: RoutingSnapshot, ...errorResponses('INVALID_ARGUMENT', 'OVERLOADED') },
      },
    },
    async (request, reply) => {
      const { after, waitMs = 0 } = request.query;
      const { config, routing } = parts();
      checkWait(waitMs, config.maxLongPollMs);
      if (after !== undefined) await routing.waitBeyond(after, waitMs, callerGone(reply));
      reply.header('cache-control', 'no-store');
      return snapshot();
    },
  );
}
