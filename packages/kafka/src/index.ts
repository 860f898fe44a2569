export type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage, Message, Producer } from 'kafkajs';
export { type KafkaConfig, kafkaConfig, kafkaSettings } from './config.ts';
export { mapKafkaError } from './errors.ts';
export type { Commit, ExactlyOnceObserver, ExactlyOncePipeline } from './exactly-once.ts';
export { runExactlyOnce } from './exactly-once.ts';
export { type LagOptions, watchLag } from './lag.ts';
export {
  fromPlainKafkaSettings,
  type PlainKafkaSettings,
  toPlainKafkaSettings,
} from './plain-settings.ts';
export type { Headers, InputRecord, OutputRecord, Transform } from './records.ts';
export type { KafkaSasl, KafkaSettings, KafkaTls, RetryPace } from './settings.ts';
export { loadKafkajs, openKafka } from './settings.ts';
export type { PipelineState, SupervisorObserver } from './supervisor.ts';
export { superviseExactlyOnce } from './supervisor.ts';
export { countPartitions, ensureTopics, type NewTopic } from './topics.ts';
