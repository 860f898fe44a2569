/**
 * Monitoring: the prediction log. It takes logged predictions from their topic, keeps them as Parquet files by day and
 * endpoint, finds them again, and scores them again to see whether the bits are the same (a *replay*).
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
import { monitoringConfig } from './config.ts';
import { createMonitoringApp } from './http/app.ts';
import { monitoringMetrics } from './metrics.ts';

export { type MonitoringConfig, monitoringConfig } from './config.ts';
export { createMonitoring as createService, type MonitoringDeps } from './service.ts';

export interface MonitoringDescription {
  readonly name: 'monitoring';
  readonly config: ConfigRow[];
  readonly metrics: MetricRow[];
  openapi(): Promise<OpenApiDocument>;
}

/** The service's settings, metrics and API, without opening anything. */
export function describe(): MonitoringDescription {
  return {
    name: 'monitoring',
    config: describeConfig(monitoringConfig),
    metrics: describeMetrics(monitoringMetrics),
    async openapi() {
      const app = createMonitoringApp({
        log: createLogger({ service: 'monitoring', level: 'silent' }),
        registry: createMetricsRegistry(),
        parts() {
          throw new Error('the API is described here, not served');
        },
      });
      return describeOpenApi(app);
    },
  };
}
