/** The HTTP door of a service of jobs: the app with all its routes. */
import { type Access, type App, createHttpApp, passTracesOn, readyReport, type ServerTls } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import type { JobKind, JobTypes } from '../kind.ts';
import { checkpointRoutes } from './checkpoint-routes.ts';
import { jobRoutes } from './job-routes.ts';
import type { PartsOf } from './parts.ts';
import { registryDoor, UPLOAD_TIMEOUT_MS } from './registry-door.ts';
import { reportRoutes } from './report-routes.ts';

export interface AppOptions<T extends JobTypes> {
  readonly kind: JobKind<T>;
  readonly log: Logger;
  readonly registry: Registry;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly tls?: ServerTls | undefined;
  readonly parts: PartsOf<T>;
}

export function createJobApp<T extends JobTypes>({ kind, log, registry, access, tls, parts }: AppOptions<T>): App {
  const { title, description } = kind.api;
  const app = createHttpApp({
    service: kind.name,
    version: ASSAY_VERSION,
    log,
    registry,
    ...(access === undefined ? {} : { access }),
    tls,
    limits: { requestTimeoutMs: UPLOAD_TIMEOUT_MS },
    describe: { title, description },
    ready: async () => {
      await parts().jobs.countUnfinished();
      return readyReport({ database: true, keys: access?.ready() ?? true });
    },
  });
  passTracesOn(app);
  app.register(async (scope) => registryDoor(scope, kind, parts));
  jobRoutes(app, kind, parts);
  reportRoutes(app, kind, parts);
  if (kind.api.checkpoint !== undefined) checkpointRoutes(app, kind.api.checkpoint, parts);
  kind.routes?.(app, parts);
  return app;
}
