/**
 * A stream scoring process of the tests: `scoring-worker.ts {"models":[{name,path}],"pipelines":"FILE","brokers":[…],"dir":…}`.
 * It is the inference service itself, with static models. `killAt: {point, transaction}` makes it kill itself with -9 at a
 * point of the N-th transaction of a stream thread that has results: stream-thread-under-test.ts does it.
 */

import { openEventBus } from '@assay/events';
import { createService, createStaticModels, inferenceConfig } from '@assay/inference';
import { kafkaConfig, kafkaSettings } from '@assay/kafka';
import { createLogger, loadConfig } from '@assay/runtime';
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
  readonly streamThreads?: number;
  readonly killAt?: { readonly point: KillPoint; readonly transaction: number };
}

const options: WorkerOptions = JSON.parse(process.argv[2] ?? '{}');
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const { killAt } = options;
if (killAt !== undefined) process.env.ASSAY_TEST_KILL_AT = JSON.stringify(killAt);

const config = loadConfig(inferenceConfig, {
  flags: {
    port: 0,
    cacheDir: options.dir,
    logLevel: options.quiet === true ? 'silent' : 'info',
    pipelinesFile: options.pipelines,
    predictionLogMaxPerSecond: 1_000_000,
    ...(options.streamThreads === undefined ? {} : { streamThreads: options.streamThreads }),
  },
});
const models = await createStaticModels(options.models, { workDir: `${options.dir}/made` });
const kafka = loadConfig(kafkaConfig, { flags: { brokers: options.brokers } });
const log = createLogger({ service: 'inference', level: config.logLevel, destination: process.stdout });
const bus = await openEventBus('kafka:', { log, clientId: 'assay-inference', kafka });
const service = await createService(config, {
  models,
  kafka: kafkaSettings(kafka, 'assay-inference'),
  ...(options.quiet === true ? {} : { streamsEntry: new URL('./stream-thread-under-test.ts', import.meta.url) }),
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
