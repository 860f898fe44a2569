/** The training service's HTTP door: the app with all its routes. */
import { type Access, type App, createHttpApp, readyReport } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import { jobRoutes } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { registryDoor, UPLOAD_TIMEOUT_MS } from './registry-door.ts';
import { reportRoutes } from './report-routes.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly registry: Registry;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly parts: PartsOf;
}

export function createTrainingApp({ log, registry, access, parts }: AppOptions): App {
  const app = createHttpApp({
    service: 'training',
    version: ASSAY_VERSION,
    log,
    registry,
    ...(access === undefined ? {} : { access }),
    limits: { requestTimeoutMs: UPLOAD_TIMEOUT_MS },
    describe: {
      title: 'Assay training',
      description: 'Jobs that turn a dataset and a spec into a registered version.',
    },
    ready: async () => {
      await parts().jobs.countUnfinished();
      return readyReport({ database: true, keys: access?.ready() ?? true });
    },
  });
  app.register(async (scope) => registryDoor(scope, parts));
  jobRoutes(app, parts);
  reportRoutes(app, parts);
  return app;
}
