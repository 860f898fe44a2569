/**
 * Batch: a *job* scores the rows of files, *shard* by shard, with one version.
 *
 * A job is recorded before it is launched; each *attempt* runs in a process of its own and goes on behind the last shard
 * that the one before it finished. Every row of the input is in the results or in the errors, and however often it was
 * killed, the files are the same to the byte.
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
import { batchConfig } from './config.ts';
import { createBatchApp } from './http/app.ts';
import { batchMetrics } from './metrics.ts';

export { type BatchConfig, batchConfig } from './config.ts';
export { type BatchDeps, createBatch as createService } from './service.ts';

export interface BatchDescription {
  readonly name: 'batch';
  readonly config: ConfigRow[];
  readonly metrics: MetricRow[];
  openapi(): Promise<OpenApiDocument>;
}

/** The service's settings, metrics and API, without opening anything. */
export function describe(): BatchDescription {
  return {
    name: 'batch',
    config: describeConfig(batchConfig),
    metrics: describeMetrics(batchMetrics),
    async openapi() {
      const app = createBatchApp({
        log: createLogger({ service: 'batch', level: 'silent' }),
        registry: createMetricsRegistry(),
        parts() {
          throw new Error('the API is described here, not served');
        },
      });
      return describeOpenApi(app);
    },
  };
}
