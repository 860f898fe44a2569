/**
 * The registry: models, versions, aliases, datasets, endpoints, the routing snapshot and the audit chain.
 *
 * A *model* is a name, a *version* one immutable package under it, an *alias* a movable name on a version, an *endpoint*
 * what an application calls, a *dataset* a name with immutable tables under it. Every write is one transaction that also holds its audit entries and its events.
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
import { registryConfig } from './config.ts';
import { createRegistryApp } from './http/app.ts';
import { registryMetrics } from './metrics.ts';

export { type BackupManifest, backUpRegistry, type Restored, restoreRegistry } from './backup/index.ts';
export { type BootstrapFiles, ensureBootstrapFiles } from './bootstrap-files.ts';
export { type RegistryConfig, registryConfig } from './config.ts';
export { createRegistry as createService, type RegistryDeps } from './service.ts';

export interface RegistryDescription {
  readonly name: 'registry';
  readonly config: ConfigRow[];
  readonly metrics: MetricRow[];
  openapi(): Promise<OpenApiDocument>;
}

/** The registry's settings, metrics and API, without opening anything. */
export function describe(): RegistryDescription {
  return {
    name: 'registry',
    config: describeConfig(registryConfig),
    metrics: describeMetrics(registryMetrics),
    async openapi() {
      const app = createRegistryApp({
        log: createLogger({ service: 'registry', level: 'silent' }),
        registry: createMetricsRegistry(),
        maxBodyBytes: 1024,
        uploadTimeoutMs: 1000,
        parts() {
          throw new Error('the API is described here, not served');
        },
      });
      return describeOpenApi(app);
    },
  };
}
