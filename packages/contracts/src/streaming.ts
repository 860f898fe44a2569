/** Stream scoring: a pipeline reads records from a topic, scores them at an endpoint, and writes one result for each. */
import Type from 'typebox';
import { EpochMs, Name, Revision } from './registry.ts';

const strict = { additionalProperties: false } as const;

export const TopicName = Type.String({ pattern: '^[a-zA-Z0-9._-]{1,249}$', description: 'A Kafka topic.' });

/** A pipeline but for its name. */
export const PipelineSpec = Type.Object(
  {
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
  strict,
);
export type PipelineSpec = Type.Static<typeof PipelineSpec>;

export const Pipeline = Type.Object({ name: Name, ...PipelineSpec.properties }, { $id: 'Pipeline', ...strict });
export type Pipeline = Type.Static<typeof Pipeline>;

/** More do not run in one service, nor are kept by a registry. */
export const MAX_PIPELINES = 100;

export const Pipelines = Type.Object(
  { pipelines: Type.Array(Pipeline, { maxItems: MAX_PIPELINES }) },
  { $id: 'Pipelines', ...strict },
);
export type Pipelines = Type.Static<typeof Pipelines>;

/** A pipeline as the registry keeps it. */
export const KeptPipeline = Type.Object(
  { ...Pipeline.properties, revision: Revision, updatedAt: EpochMs, updatedBy: Type.String() },
  { $id: 'KeptPipeline', ...strict },
);
export type KeptPipeline = Type.Static<typeof KeptPipeline>;

/** All of it: what is left out has its default. */
export const PutPipeline = Type.Object(
  {
    expectedRevision: Type.Integer({ minimum: 0, description: '0 for one that is not there.' }),
    ...PipelineSpec.properties,
  },
  { $id: 'PutPipeline', ...strict },
);
export type PutPipeline = Type.Static<typeof PutPipeline>;

export function pipelineGroup({ name, group = `assay-${name}` }: Pick<Pipeline, 'name' | 'group'>): string {
  return group;
}

/** What a pipeline may not say, by itself or beside others. */
export interface PipelineProblem {
  /** Of the list. */
  readonly index: number;
  readonly key: keyof Pipeline;
  readonly message: string;
  readonly expected: string;
}

/** What is wrong with pipelines that are to run together, beyond their schema. */
export function pipelineProblems(pipelines: readonly Pipeline[]): PipelineProblem[] {
  const problems: PipelineProblem[] = [];
  const names = new Set<string>();
  const sources = new Map<string, string>();
  pipelines.forEach((pipeline, index) => {
    const wrong = (key: keyof Pipeline, message: string, expected: string) =>
      problems.push({ index, key, message, expected });
    const { name, input } = pipeline;
    if (names.has(name)) wrong('name', `the name "${name}" is taken`, 'a name of its own');
    names.add(name);
    for (const key of ['output', 'deadLetters'] as const) {
      // It would score its own results, for ever.
      if (pipeline[key] === input) wrong(key, 'is the input topic too', 'another topic');
    }
    const source = `${pipelineGroup(pipeline)} ${input}`;
    const other = sources.get(source);
    // Members of one group share partitions: each pipeline would score a part of the input.
    if (other !== undefined) wrong('group', `pipeline "${other}" reads this input in the same group`, 'another group');
    sources.set(source, name);
  });
  return problems;
}

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
