/** The routes that whoever runs a service asks: `/livez`, `/readyz`, `/metrics`, `/openapi.json`. */
import type { Registry } from '@assay/runtime';
import type { App } from './app.ts';
import { judgeReadiness, Liveness, ReadyReport } from './health.ts';
import { OPERATIONS_TAG } from './openapi.ts';
import type { AppState } from './state.ts';

const TEXT = { 'text/plain': { schema: { type: 'string' } } } as const;

export interface OperationsOptions {
  readonly registry: Registry;
  readonly ready: () => Promise<ReadyReport> | ReadyReport;
}

/** Probes and scrapers add query parameters of their own (cache busters), which are let pass. */
export function addOperationsRoutes(app: App, options: OperationsOptions, state: AppState): void {
  const tags = [OPERATIONS_TAG];
  app.get(
    '/livez',
    {
      schema: { tags, summary: 'Whether the process answers', response: { 200: Liveness } },
      config: { access: 'public', takesUnknownQuery: true },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      schema: { tags, summary: 'Whether it has what it needs', response: { 200: ReadyReport, 503: ReadyReport } },
      config: { access: 'public', takesUnknownQuery: true },
    },
    async (_request, reply) => {
      const report = await judgeReadiness(options.ready, state.phase !== 'serving');
      return reply.code(report.ready ? 200 : 503).send(report);
    },
  );
  app.get(
    '/metrics',
    {
      schema: {
        tags,
        summary: 'Prometheus metrics',
        response: { 200: { description: 'In the text format of Prometheus.', content: TEXT } },
      },
      // They name endpoints and tell their traffic; Prometheus sends a key where one is needed.
      config: { access: 'read', takesUnknownQuery: true },
    },
    async (_request, reply) => {
      const text = await options.registry.metrics();
      return reply.type(options.registry.contentType).send(text);
    },
  );
  app.get('/openapi.json', { schema: { hide: true }, config: { access: 'public' } }, async (_request, reply) =>
    reply.send(await app.openApi()),
  );
}
