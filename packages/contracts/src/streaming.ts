/** Stream scoring: a pipeline reads records from a topic, scores them at an endpoint, and writes one result for each. */
import Type from 'typebox';
import { Name } from './registry.ts';

const strict = { additionalProperties: false } as const;

export const TopicName = Type.String({ pattern: '^[a-zA-Z0-9._-]{1,249}$', description: 'A Kafka topic.' });

export const Pipeline = Type.Object(
  {
    name: Name,
    endpoint: Name,
    input: TopicName,
    output: TopicName,
    deadLetters: TopicName,
    group: Type.Optional(Type.String({ minLength: 1, maxLength: 249, description: 'Default: `assay-NAME`.' })),
    maxBatchRecords: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, default: 500 })),
  },
  { $id: 'Pipeline', ...strict },
);
export type Pipeline = Type.Static<typeof Pipeline>;

export const Pipelines = Type.Object(
  { pipelines: Type.Array(Pipeline, { maxItems: 100 }) },
  { $id: 'Pipelines', ...strict },
);
export type Pipelines = Type.Static<typeof Pipelines>;

/** Header names of a result and of a dead letter; an input's own headers are kept beside them. */
export const STREAM_HEADERS = {
  predictionId: 'assay-prediction-id',
  versionId: 'assay-version-id',
  digest: 'assay-digest',
  routingRevision: 'assay-routing-revision',
  /** `TOPIC:PARTITION:OFFSET` of the input. */
  source: 'assay-source',
  errorCode: 'assay-error-code',
  errorMessage: 'assay-error-message',
} as const;
