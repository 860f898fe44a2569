/** The training service as a process of its own: the only place that touches environment, signals and exit codes. */
import { join } from 'node:path';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig, runMain, type Service } from '@assay/runtime';
import { trainingConfig } from './config.ts';
import { createTraining } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async () => {
      const config = loadConfig(trainingConfig, { env: process.env });
      const log = createLogger({ service: 'training', level: config.logLevel });
      const url = config.eventsUrl ?? `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const bus = await openDatabaseEventBus({ url, log });
      const training = await createTraining(config, { bus, log });
      return {
        name: training.name,
        get addresses() {
          return training.addresses;
        },
        start: () => training.start(),
        async close() {
          await training.close();
          await bus.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        process.stdout.write(`training listens on ${service.addresses.http}\n`);
      },
    },
  );
}
