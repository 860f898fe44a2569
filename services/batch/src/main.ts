/** The batch service as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig, runMain, type Service } from '@assay/runtime';
import { batchConfig } from './config.ts';
import { createBatch } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async () => {
      const config = loadConfig(batchConfig, { env: process.env });
      const log = createLogger({ service: 'batch', level: config.logLevel });
      const url = config.eventsUrl ?? `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const bus = await openDatabaseEventBus({ url, log });
      const batch = await createBatch(config, { bus, log });
      return {
        name: batch.name,
        get addresses() {
          return batch.addresses;
        },
        start: () => batch.start(),
        async close() {
          await batch.close();
          await bus.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        process.stdout.write(`batch listens on ${service.addresses.http}\n`);
      },
    },
  );
}
