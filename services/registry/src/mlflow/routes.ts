/** MLflow's REST: what its clients call once `mlflow.set_tracking_uri` names this registry. */
import { type App, renderErrorsUnder } from '@assay/http';
import type { PartsOf } from '../http/parts.ts';
import { ARTIFACTS_PREFIX, artifactRoutes } from './artifact-routes.ts';
import { renderMlflowError, UnknownMlflowRoute } from './errors.ts';
import { experimentRoutes } from './experiment-routes.ts';
import { loggedModelRoutes } from './logged-model-routes.ts';
import { modelVersionRoutes } from './model-version-routes.ts';
import { registeredModelRoutes } from './registered-model-routes.ts';
import { runRoutes } from './run-routes.ts';
import { PREFIX } from './wire.ts';

/** Where newer clients ask what a server can do; they do without when it is not there. */
const V3_PREFIX = '/api/3.0/mlflow';

export function mlflowRoutes(app: App, parts: PartsOf): void {
  for (const prefix of [PREFIX, V3_PREFIX, ARTIFACTS_PREFIX]) renderErrorsUnder(app, prefix, renderMlflowError);
  registeredModelRoutes(app, parts);
  modelVersionRoutes(app, parts);
  experimentRoutes(app, parts);
  runRoutes(app, parts);
  loggedModelRoutes(app, parts);
  app.register(async (scope) => artifactRoutes(scope, parts));
  for (const prefix of [PREFIX, V3_PREFIX]) {
    app.route({
      method: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      url: `${prefix}/*`,
      config: { access: 'read' },
      schema: { hide: true },
      handler: async (request) => {
        throw new UnknownMlflowRoute(request.method, request.url.split('?', 1)[0] ?? '');
      },
    });
  }
}
