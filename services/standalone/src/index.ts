/** All services in one process: the only place that imports services. */
export { backUpRegistry, ensureBootstrapFiles, restoreRegistry } from '@assay/registry';

import { type ConfigRow, describeConfig } from '@assay/runtime';
import { standaloneConfig } from './config.ts';

export { type StandaloneConfig, standaloneConfig } from './config.ts';
export {
  createStandalone as createService,
  type Standalone,
  type StandaloneConfigs,
  type StandaloneDependencies,
  type StandaloneServices,
} from './standalone.ts';
export { type UpFlags, up } from './up.ts';

/** The settings of standalone itself, without opening anything. */
export function describe(): { readonly name: 'standalone'; readonly config: ConfigRow[] } {
  return { name: 'standalone', config: describeConfig(standaloneConfig) };
}
