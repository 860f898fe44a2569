/** What becomes of one input: a result, a dead letter, or a tombstone that is passed on. */
import { type AssayError, type ErrorDetail, STREAM_HEADERS } from '@assay/contracts';
import type { Headers, InputRecord, OutputRecord } from '@assay/kafka';
import type { Scored } from '../domain/dataplane.ts';
import type { ServedVariant } from '../domain/routing-table.ts';
import { type Envelope, seal } from './cloud-events.ts';
import type { RunnablePipeline } from './pipelines.ts';

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
  pipeline: RunnablePipeline,
  input: InputRecord,
  envelope: Envelope,
  { id, scored, outputs }: ScoredRecord,
  nowMs: number,
): OutputRecord {
  // As an element of REST's `predictions`; JSON.stringify writes exact int64s, which are raw JSON.
  const json = `{"id":"${id}","outputs":${JSON.stringify(outputs)}}`;
  const { value, headers } = seal(envelope, input, { id, json, pipeline: pipeline.name, nowMs });
  const shared = headersOfAll(pipeline, scored);
  const record = { topic: pipeline.output, key: input.key, value };
  const own = { ...headers, [STREAM_HEADERS.source]: sourceOf(input), [STREAM_HEADERS.predictionId]: id };
  if (hasAny(headers, shared)) return { ...record, headers: { ...own, ...shared } };
  return { ...record, headers: own, sharedHeaders: shared };
}

const sharedBy = new WeakMap<ServedVariant, Map<RunnablePipeline, Headers>>();

/** What every result of a pipeline has by one variant of one revision: a new revision has variants of its own. */
function headersOfAll(pipeline: RunnablePipeline, { variant, endpoint }: Scored): Headers {
  let byPipeline = sharedBy.get(variant);
  if (byPipeline === undefined) {
    byPipeline = new Map();
    sharedBy.set(variant, byPipeline);
  }
  let shared = byPipeline.get(pipeline);
  if (shared === undefined) {
    shared = {
      [STREAM_HEADERS.pipeline]: pipeline.name,
      [STREAM_HEADERS.versionId]: variant.version.id,
      [STREAM_HEADERS.digest]: variant.version.digest,
      [STREAM_HEADERS.routingRevision]: String(endpoint.endpoint.revision),
    };
    byPipeline.set(pipeline, shared);
  }
  return shared;
}

function hasAny(headers: Headers, names: Headers): boolean {
  for (const name in headers) if (name in names) return true;
  return false;
}

/** The input as it came, and why it was not scored. */
export function deadLetterOf(
  pipeline: RunnablePipeline,
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
export function tombstoneOf(pipeline: RunnablePipeline, input: InputRecord): OutputRecord {
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
