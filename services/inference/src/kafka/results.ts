/** What becomes of one input: a result, a dead letter, or a tombstone that is passed on. */
import { type AssayError, type ErrorDetail, STREAM_HEADERS } from '@assay/contracts';
import type { InputRecord, OutputRecord } from '@assay/kafka';
import type { Scored } from '../domain/dataplane.ts';
import { type Envelope, seal } from './cloud-events.ts';
import type { PipelineSpec } from './pipelines.ts';

/** Headers are for people; what is longer is in the record itself. */
const MAX_MESSAGE_CHARACTERS = 1000;
const MAX_DETAILS_CHARACTERS = 8000;

export interface ScoredRecord {
  readonly id: string;
  readonly scored: Scored;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** The input's key and headers are kept; of two headers of one name ours wins, as when pipelines follow each other. */
export function resultOf(
  pipeline: PipelineSpec,
  input: InputRecord,
  envelope: Envelope,
  { id, scored, outputs }: ScoredRecord,
  nowMs: number,
): OutputRecord {
  const { version } = scored.variant;
  // As an element of REST's `predictions`; JSON.stringify writes exact int64s, which are raw JSON.
  const json = `{"id":"${id}","outputs":${JSON.stringify(outputs)}}`;
  const { value, headers } = seal(envelope, input, { id, json, pipeline: pipeline.name, nowMs });
  return {
    topic: pipeline.output,
    key: input.key,
    value,
    headers: {
      ...headers,
      [STREAM_HEADERS.pipeline]: pipeline.name,
      [STREAM_HEADERS.source]: sourceOf(input),
      [STREAM_HEADERS.predictionId]: id,
      [STREAM_HEADERS.versionId]: version.id,
      [STREAM_HEADERS.digest]: version.digest,
      [STREAM_HEADERS.routingRevision]: String(scored.endpoint.endpoint.revision),
    },
  };
}

/** The input as it came, and why it was not scored. */
export function deadLetterOf(
  pipeline: PipelineSpec,
  input: InputRecord,
  error: Pick<AssayError, 'code' | 'message' | 'details'>,
): OutputRecord {
  const details = boundedDetails(error.details);
  return {
    topic: pipeline.deadLetters,
    key: input.key,
    value: input.value,
    headers: {
      ...input.headers,
      [STREAM_HEADERS.pipeline]: pipeline.name,
      [STREAM_HEADERS.source]: sourceOf(input),
      [STREAM_HEADERS.errorCode]: error.code,
      [STREAM_HEADERS.errorMessage]: error.message.slice(0, MAX_MESSAGE_CHARACTERS),
      ...(details === undefined ? {} : { [STREAM_HEADERS.errorDetails]: details }),
    },
  };
}

/** A deletion of the key: the result that a compacted output topic holds for it goes too. */
export function tombstoneOf(pipeline: PipelineSpec, input: InputRecord): OutputRecord {
  return {
    topic: pipeline.output,
    key: input.key,
    value: null,
    headers: {
      ...input.headers,
      [STREAM_HEADERS.pipeline]: pipeline.name,
      [STREAM_HEADERS.source]: sourceOf(input),
    },
  };
}

function sourceOf({ topic, partition, offset }: InputRecord): string {
  return `${topic}:${partition}:${offset}`;
}

function boundedDetails(details: readonly ErrorDetail[]): string | undefined {
  for (let count = details.length; count > 0; count--) {
    const text = JSON.stringify(details.slice(0, count));
    if (text.length <= MAX_DETAILS_CHARACTERS) return text;
  }
  return undefined;
}
