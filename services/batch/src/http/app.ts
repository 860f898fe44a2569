/** The batch service's HTTP door: the app with all its routes. */
import { type Access, type App, createHttpApp, readyReport } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import { jobRoutes } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { registryDoor } from './registry-door.ts';
import { reportRoutes } from './report-routes.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly registry: Registry;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly parts: PartsOf;
}

export function createBatchApp({ log, registry, access, parts }: AppOptions): App {
  const app = createHttpApp({
    service: 'batch',
    version: ASSAY_VERSION,
    log,
    registry,
    ...(access === undefined ? {} : { access }),
    describe: {
      title: 'Assay batch scoring',
      description: 'Jobs that score the rows of files with a version.',
    },
    ready: async () => {
      await parts().jobs.countUnfinished();
      return readyReport({ database: true, keys: access?.ready() ?? true });
    },
  });
  jobRoutes(app, parts);
  registryDoor(app, parts);
  reportRoutes(app, parts);
  return app;
}
