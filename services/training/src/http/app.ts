/** The training service's HTTP door: the app with all its routes. */
import { type App, createHttpApp, readyReport } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import { jobRoutes } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { reportRoutes } from './report-routes.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly registry: Registry;
  readonly parts: PartsOf;
}

export function createTrainingApp({ log, registry, parts }: AppOptions): App {
  const app = createHttpApp({
    service: 'training',
    version: ASSAY_VERSION,
    log,
    registry,
    describe: {
      title: 'Assay training',
      description: 'Jobs that turn a dataset and a spec into a registered version.',
    },
    ready: async () => {
      await parts().jobs.countUnfinished();
      return readyReport({ database: true });
    },
  });
  jobRoutes(app, parts);
  reportRoutes(app, parts);
  return app;
}
