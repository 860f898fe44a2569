/** The inference service as a process of its own: the only place that touches environment, signals and exit codes. */
import { kafkaConfig, kafkaSettings } from '@assay/kafka';
import { loadConfigs, runMain } from '@assay/runtime';
import { inferenceConfig } from './config.ts';
import { createService } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async () => {
      const { inference, kafka } = loadConfigs([inferenceConfig, kafkaConfig], { env: process.env });
      const hasKafka = kafka.brokers.length > 0;
      return createService(inference, hasKafka ? { kafka: kafkaSettings(kafka, 'assay-inference') } : {});
    },
    {
      onStarted(service) {
        process.stdout.write(`inference listens on ${service.addresses.http}\n`);
      },
    },
  );
}
