/** The monitoring service as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig, runMain, type Service } from '@assay/runtime';
import { monitoringConfig } from './config.ts';
import { createMonitoring } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async () => {
      const config = loadConfig(monitoringConfig, { env: process.env });
      const log = createLogger({ service: 'monitoring', level: config.logLevel });
      const url = config.eventsUrl ?? `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const bus = await openDatabaseEventBus({ url, log });
      const monitoring = await createMonitoring(config, { bus, log });
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
