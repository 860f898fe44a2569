/**
 * A stream scoring process of the tests: `scoring-worker.ts {"models":[{name,path}],"pipelines":"FILE","brokers":[…],"dir":…}`.
 * It is the inference service itself, with static models. `killAt: {point, transaction}` makes it kill itself with -9 at a
 * point of its N-th transaction that has results; the Kafka client is wrapped for that, the service is as it is.
 */

import { openEventBus } from '@assay/events';
import { createService, createStaticModels, inferenceConfig } from '@assay/inference';
import { kafkaConfig, kafkaSettings, loadKafkajs } from '@assay/kafka';
import { createLogger, loadConfig } from '@assay/runtime';
import type { Producer, ProducerConfig, Transaction } from 'kafkajs';
import type { KillPoint } from './kill-points.ts';

interface WorkerOptions {
  readonly models: readonly { readonly name: string; readonly path: string }[];
  readonly pipelines: string;
  readonly brokers: readonly string[];
  readonly dir: string;
  /** Logs every prediction, on the same broker. */
  readonly logs?: boolean;
  /** Says its URL, and nothing more: for who measures it. */
  readonly quiet?: boolean;
  readonly killAt?: { readonly point: KillPoint; readonly transaction: number };
}

const options: WorkerOptions = JSON.parse(process.argv[2] ?? '{}');
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

let transactions = 0;

function at(point: KillPoint): void {
  const { killAt } = options;
  if (killAt?.point === point && transactions >= killAt.transaction) process.kill(process.pid, 'SIGKILL');
}

function watched(transaction: Transaction): Transaction {
  return {
    ...transaction,
    async sendBatch(batch) {
      transactions++;
      at('begun');
      const sent = await transaction.sendBatch(batch);
      at('sent');
      return sent;
    },
    async sendOffsets(offsets) {
      await transaction.sendOffsets(offsets);
      at('offsets');
    },
    async commit() {
      const committed = transaction.commit();
      setImmediate(() => at('committing'));
      await committed;
      at('committed');
      say({ committed: transactions });
    },
  };
}

const { Kafka } = await loadKafkajs();
const makeProducer = Kafka.prototype.producer;
if (options.quiet !== true)
  Kafka.prototype.producer = function (this: InstanceType<typeof Kafka>, config?: ProducerConfig): Producer {
    const producer = makeProducer.call(this, config);
    if (config?.transactionalId === undefined) return producer;
    return { ...producer, transaction: async () => watched(await producer.transaction()) };
  };

const config = loadConfig(inferenceConfig, {
  flags: {
    port: 0,
    cacheDir: options.dir,
    logLevel: options.quiet === true ? 'silent' : 'info',
    pipelinesFile: options.pipelines,
    predictionLogMaxPerSecond: 1_000_000,
  },
});
const models = await createStaticModels(options.models, { workDir: `${options.dir}/made` });
const kafka = loadConfig(kafkaConfig, { flags: { brokers: options.brokers } });
const log = createLogger({ service: 'inference', level: config.logLevel, destination: process.stdout });
const bus = await openEventBus('kafka:', { log, clientId: 'assay-inference', kafka });
const service = await createService(config, {
  models,
  kafka: kafkaSettings(kafka, 'assay-inference'),
  log,
  ...(options.logs === true ? { predictions: bus, predictionTopics: { partitions: kafka.topicPartitions } } : {}),
});
async function stop(): Promise<void> {
  await service.close();
  await bus.close();
}
process.on('SIGTERM', () => void stop().finally(() => process.exit()));
await service.start();
if (options.quiet === true) process.stdout.write(`${service.addresses.http}\n`);
else say({ url: service.addresses.http });
