/** The registry's HTTP door: the app with all its routes. */
import { type Access, type App, createHttpApp, readyReport, type ServerTls } from '@assay/http';
import { ASSAY_VERSION, type Logger, type Registry } from '@assay/runtime';
import { mlflowRoutes } from '../mlflow/routes.ts';
import { readRoutingRevision } from '../store/routing.ts';
import { aliasRoutes } from './alias-routes.ts';
import { auditRoutes } from './audit-routes.ts';
import { blobRoutes } from './blob-routes.ts';
import { collectionRoutes } from './collection-routes.ts';
import { datasetDeletionRoutes } from './dataset-deletion-routes.ts';
import { datasetRoutes } from './dataset-routes.ts';
import { endpointRoutes } from './endpoint-routes.ts';
import { gateRoutes } from './gate-routes.ts';
import { keyRoutes } from './key-routes.ts';
import { lineageRoutes } from './lineage-routes.ts';
import { modelRoutes } from './model-routes.ts';
import type { PartsOf } from './parts.ts';
import { pipelineRoutes } from './pipeline-routes.ts';
import { routingRoutes } from './routing-routes.ts';
import { shadowRoutes } from './shadow-routes.ts';
import { trainingSpecRoutes } from './training-spec-routes.ts';
import { versionRoutes } from './version-routes.ts';
import { webhookRoutes } from './webhook-routes.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly registry: Registry;
  readonly maxBodyBytes: number;
  readonly uploadTimeoutMs: number;
  /** Absent where the API is described and not served. */
  readonly access?: Access;
  readonly tls?: ServerTls | undefined;
  readonly parts: PartsOf;
}

export function createRegistryApp(options: AppOptions): App {
  const { log, registry, maxBodyBytes, uploadTimeoutMs, access, tls, parts } = options;
  const app = createHttpApp({
    service: 'registry',
    version: ASSAY_VERSION,
    log,
    registry,
    ...(access === undefined ? {} : { access }),
    tls,
    limits: { bodyBytes: maxBodyBytes, requestTimeoutMs: uploadTimeoutMs },
    describe: {
      title: 'Assay registry',
      description:
        'Models, versions, aliases, datasets, endpoints, the routing snapshot, principals and keys, and the audit chain. A write with the header `Assay-Commit` (7 to 64 hex digits) has that git commit in its audit entries.',
    },
    ready: async () => {
      await readRoutingRevision(parts().store.database.db);
      return readyReport({ database: true, keys: access?.ready() ?? true });
    },
  });
  app.register(async (scope) => blobRoutes(scope, parts));
  modelRoutes(app, parts);
  versionRoutes(app, parts);
  gateRoutes(app, parts);
  aliasRoutes(app, parts);
  datasetRoutes(app, parts);
  datasetDeletionRoutes(app, parts);
  lineageRoutes(app, parts);
  endpointRoutes(app, parts);
  shadowRoutes(app, parts);
  pipelineRoutes(app, parts);
  trainingSpecRoutes(app, parts);
  routingRoutes(app, parts);
  auditRoutes(app, parts);
  keyRoutes(app, parts);
  webhookRoutes(app, parts);
  collectionRoutes(app, parts);
  mlflowRoutes(app, parts);
  return app;
}
