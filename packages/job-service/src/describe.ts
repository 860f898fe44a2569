/** A service of jobs without opening anything: its settings, metrics and API. */
import { describeOpenApi } from '@assay/http';
import { createLogger, createRegistry, describeConfig, describeMetrics, type ServiceDescription } from '@assay/runtime';
import { createJobApp } from './http/app.ts';
import type { JobKind, JobTypes } from './kind.ts';

export function describeJobService<T extends JobTypes>(kind: JobKind<T>): ServiceDescription {
  return {
    name: kind.name,
    config: describeConfig(kind.config),
    metrics: describeMetrics(kind.metrics),
    async openapi() {
      const app = createJobApp({
        kind,
        log: createLogger({ service: kind.name, level: 'silent' }),
        registry: createRegistry(),
        parts() {
          throw new Error('the API is described here, not served');
        },
      });
      return describeOpenApi(app);
    },
  };
}
