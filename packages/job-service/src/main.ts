/** A service of jobs as a process of its own: what its `main.ts` runs. */
import { join } from 'node:path';
import { openEventBus } from '@assay/events';
import { type KafkaConfig, kafkaConfig } from '@assay/kafka';
import { createLogger, loadConfigs, runMain, type Service } from '@assay/runtime';
import type { JobKind, JobTypes } from './kind.ts';
import { createJobService } from './service.ts';

/** @param env the environment of the process, which holds its settings */
export function jobServiceMain<T extends JobTypes>(kind: JobKind<T>, env: NodeJS.ProcessEnv): Promise<never> {
  return runMain(
    async (_signal, { allowStop }) => {
      const { config, kafka } = load(kind, env);
      allowStop(config);
      const log = createLogger({ service: kind.name, level: config.logLevel });
      const ownLog = `sqlite:${join(config.dataDir, 'events.sqlite')}`;
      const url = config.eventsUrl?.reveal() ?? (kafka.brokers.length > 0 ? 'kafka:' : ownLog);
      const bus = await openEventBus(url, { log, clientId: `assay-${kind.name}`, kafka });
      const service = await createJobService(kind, config, { bus, log }).catch(async (error: unknown) => {
        await bus.close();
        throw error;
      });
      return {
        name: service.name,
        get addresses() {
          return service.addresses;
        },
        start: () => service.start(),
        async close() {
          await service.close();
          await bus.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        process.stdout.write(`${service.name} listens on ${service.addresses.http}\n`);
      },
    },
  );
}

function load<T extends JobTypes>(kind: JobKind<T>, env: NodeJS.ProcessEnv) {
  const loaded: Readonly<Record<string, unknown>> = loadConfigs([kind.config, kafkaConfig], { env });
  // Under each section what its definition says; a kind's config is of its own definition.
  return { config: loaded[kind.config.section] as T['config'], kafka: loaded[kafkaConfig.section] as KafkaConfig };
}
