/** The monitoring service's HTTP door: the app with all its routes. */
import { type Access, type App, createHttpApp, passTracesOn, readyReport, type ServerTls } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import type { PartsOf } from './parts.ts';
import { predictionRoutes } from './prediction-routes.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly registry: Registry;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly tls?: ServerTls | undefined;
  readonly parts: PartsOf;
}

export function createMonitoringApp({ log, registry, access, tls, parts }: AppOptions): App {
  const app = createHttpApp({
    service: 'monitoring',
    version: ASSAY_VERSION,
    log,
    registry,
    ...(access === undefined ? {} : { access }),
    tls,
    describe: {
      title: 'Assay monitoring',
      description:
        'The prediction log: what was asked and answered, by which version, and whether it still gives the same bits.',
    },
    ready: async () => {
      const { predictions, events } = parts();
      await predictions.kept();
      return readyReport({ database: true, events: events(), keys: access?.ready() ?? true });
    },
  });
  passTracesOn(app);
  predictionRoutes(app, parts);
  return app;
}
