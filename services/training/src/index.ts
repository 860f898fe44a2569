/**
 * Training: a *job* turns a dataset and a spec into a registered version.
 *
 * A job is recorded before it is launched; each *attempt* runs in a process of its own, reports its progress with a token
 * of its own, and registers under the job's id, so that a job that is killed and begun again leaves one version.
 */
import { describeOpenApi, type OpenApiDocument } from '@assay/http';
import {
  type ConfigRow,
  createLogger,
  createRegistry as createMetricsRegistry,
  describeConfig,
  describeMetrics,
  type MetricRow,
} from '@assay/runtime';
import { trainingConfig } from './config.ts';
import { createTrainingApp } from './http/app.ts';
import { trainingMetrics } from './metrics.ts';

export { type TrainingConfig, trainingConfig } from './config.ts';
export { createTraining as createService, type TrainingDeps } from './service.ts';

export interface TrainingDescription {
  readonly name: 'training';
  readonly config: ConfigRow[];
  readonly metrics: MetricRow[];
  openapi(): Promise<OpenApiDocument>;
}

/** The service's settings, metrics and API, without opening anything. */
export function describe(): TrainingDescription {
  return {
    name: 'training',
    config: describeConfig(trainingConfig),
    metrics: describeMetrics(trainingMetrics),
    async openapi() {
      const app = createTrainingApp({
        log: createLogger({ service: 'training', level: 'silent' }),
        registry: createMetricsRegistry(),
        parts() {
          throw new Error('the API is described here, not served');
        },
      });
      return describeOpenApi(app);
    },
  };
}
