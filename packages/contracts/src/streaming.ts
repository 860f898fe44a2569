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
    /** Where what cannot be scored goes, as it came, with the reason in headers. */
    deadLetters: TopicName,
    group: Type.Optional(Type.String({ minLength: 1, maxLength: 249, description: 'Default: `assay-NAME`.' })),
    maxBatchRecords: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: 500,
        description: 'Records of one transaction at most. More is faster with a backlog and slower for each record.',
      }),
    ),
    sessionTimeoutMs: Type.Optional(
      Type.Integer({
        minimum: 6000,
        maximum: 300_000,
        default: 10_000,
        description: 'A process that is silent for so long loses its partitions to the others. In milliseconds.',
      }),
    ),
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
  /** The pipeline's name. */
  pipeline: 'assay-pipeline',
  predictionId: 'assay-prediction-id',
  versionId: 'assay-version-id',
  digest: 'assay-digest',
  routingRevision: 'assay-routing-revision',
  /** `TOPIC:PARTITION:OFFSET` of the input. */
  source: 'assay-source',
  errorCode: 'assay-error-code',
  errorMessage: 'assay-error-message',
  /** The wrong places as a JSON list of `{place, message, expected}`, when there are any. */
  errorDetails: 'assay-error-details',
} as const;

/** The type of a result that is a CloudEvent, which it is when its input was one. */
export const STREAM_RESULT_TYPE = 'assay.stream.result.v1';
