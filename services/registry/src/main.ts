/** The registry as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig, runMain, type Service } from '@assay/runtime';
import { registryConfig } from './config.ts';
import { createRegistry } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async () => {
      const config = loadConfig(registryConfig, { env: process.env });
      const log = createLogger({ service: 'registry', level: config.logLevel });
      const bus = await openDatabaseEventBus({
        url: config.eventsUrl ?? `sqlite:${join(config.dataDir, 'events.sqlite')}`,
        log,
      });
      const registry = await createRegistry(config, { bus, log });
      return {
        name: registry.name,
        get addresses() {
          return registry.addresses;
        },
        start: () => registry.start(),
        async close() {
          await registry.close();
          await bus.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        process.stdout.write(`registry listens on ${service.addresses.http}\n`);
      },
    },
  );
}
