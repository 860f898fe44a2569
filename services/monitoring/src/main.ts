/** The monitoring service as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openEventBus } from '@assay/events';
import { kafkaConfig } from '@assay/kafka';
import { createLogger, loadConfigs, runMain, type Service } from '@assay/runtime';
import { monitoringConfig } from './config.ts';
import { createMonitoring } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async (_signal, { allowStop }) => {
      const { monitoring: config, kafka } = loadConfigs([monitoringConfig, kafkaConfig], { env: process.env });
      allowStop(config);
      const log = createLogger({ service: 'monitoring', level: config.logLevel });
      const ownLog = `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const url = config.eventsUrl?.reveal() ?? (kafka.brokers.length > 0 ? 'kafka:' : ownLog);
      const bus = await openEventBus(url, { log, clientId: 'assay-monitoring', kafka });
      const monitoring = await createMonitoring(config, { bus, log }).catch(async (error: unknown) => {
        await bus.close();
        throw error;
      });
      return {
        name: monitoring.name,
        get addresses() {
          return monitoring.addresses;
        },
        start: () => monitoring.start(),
        async close() {
          await monitoring.close();
          await bus.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        process.stdout.write(`monitoring listens on ${service.addresses.http}\n`);
      },
    },
  );
}
