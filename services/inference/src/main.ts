/** The inference service as a process of its own: the only place that touches environment, signals and exit codes. */
import { type EventBus, openEventBus } from '@assay/events';
import { type KafkaConfig, kafkaConfig, kafkaSettings } from '@assay/kafka';
import { createLogger, type Logger, loadConfigs, runMain, type Service } from '@assay/runtime';
import { type InferenceConfig, inferenceConfig } from './config.ts';
import { createService, type InferenceDependencies } from './service.ts';

export function main(): Promise<never> {
  return runMain(
    async (_signal, { allowStop }) => {
      const { inference: config, kafka } = loadConfigs([inferenceConfig, kafkaConfig], { env: process.env });
      allowStop(config);
      const log = createLogger({ service: 'inference', level: config.logLevel });
      const { bus, ...deps } = await connect(config, kafka, log);
      const inference = await createService(config, { ...deps, log });
      return {
        name: inference.name,
        get addresses() {
          return inference.addresses;
        },
        start: () => inference.start(),
        async close() {
          await inference.close();
          await bus?.close();
        },
      } satisfies Service;
    },
    {
      onStarted(service) {
        const { http, grpc } = service.addresses;
        process.stdout.write(`inference listens on ${http}${grpc === undefined ? '' : `, gRPC on ${grpc}`}\n`);
      },
    },
  );
}

/** No event log by default where there is no Kafka: that of the embedded database would block the thread that scores. */
async function connect(
  config: InferenceConfig,
  kafka: KafkaConfig,
  log: Logger,
): Promise<InferenceDependencies & { readonly bus?: EventBus }> {
  const clientId = 'assay-inference';
  const hasKafka = kafka.brokers.length > 0;
  const streams = hasKafka ? { kafka: kafkaSettings(kafka, clientId) } : {};
  const url = config.eventsUrl?.reveal() ?? (hasKafka ? 'kafka:' : undefined);
  if (url === undefined) return streams;
  const bus = await openEventBus(url, { log, clientId, kafka });
  const { topicPartitions: partitions, topicReplicas: replicas } = kafka;
  const topics = { partitions, ...(replicas === undefined ? {} : { replicas }) };
  return { ...streams, bus, predictions: bus, ...(url === 'kafka:' ? { predictionTopics: topics } : {}) };
}
