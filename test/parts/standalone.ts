/** All services in this process, on ports that are free, in silence. */
import { batchConfig } from '@assay/batch';
import { inferenceConfig } from '@assay/inference';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { createLogger, loadConfigs } from '@assay/runtime';
import { createService, type Standalone, type StandaloneDependencies, standaloneConfig } from '@assay/standalone';
import { trainingConfig } from '@assay/training';

const DEFINITIONS = [
  standaloneConfig,
  registryConfig,
  trainingConfig,
  batchConfig,
  inferenceConfig,
  monitoringConfig,
] as const;

/** @param inference settings of the inference service */
export function createStandalone(
  dataDir: string,
  inference: Readonly<Record<string, unknown>> = {},
  deps: StandaloneDependencies = {},
): Promise<Standalone> {
  const configs = loadConfigs(DEFINITIONS, {
    flags: {
      standalone: { dataDir },
      registry: { port: 0 },
      training: { port: 0 },
      batch: { port: 0 },
      inference: { port: 0, logLevel: 'silent', ...inference },
      monitoring: { port: 0 },
    },
  });
  return createService(configs, { log: (service) => createLogger({ service, level: 'silent' }), ...deps });
}
