/** The registry as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openEventBus } from '@assay/events';
import { kafkaConfig } from '@assay/kafka';
import { createLogger, loadConfigs, runMain, type Service } from '@assay/runtime';
import { registryConfig } from './config.ts';
import { createRegistry } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async (_signal, { allowStop }) => {
      const { registry: config, kafka } = loadConfigs([registryConfig, kafkaConfig], { env: process.env });
      allowStop(config);
      const log = createLogger({ service: 'registry', level: config.logLevel });
      const embedded = `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const url = config.eventsUrl?.reveal() ?? (kafka.brokers.length > 0 ? 'kafka:' : embedded);
      const bus = await openEventBus(url, { log, clientId: 'assay-registry', kafka });
      const registry = await createRegistry(config, { bus, log }).catch(async (error: unknown) => {
        await bus.close();
        throw error;
      });
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
