/**
 * Records of a stream through the dataplane: judged one by one, scored in batches. What cannot be scored for its own sake
 * (undecodable, not what the signature says) is a dead letter; what cannot be scored now (no such endpoint yet, not loaded,
 * overloaded) is an error that is worth another try.
 */
import { AssayError, type ErrorDetail, type Signature } from '@assay/contracts';
import type { InputRecord, OutputRecord } from '@assay/kafka';
import type { InputBatch } from '@assay/scoring';
import type { Dataplane, Scored } from '../domain/dataplane.ts';
import { chooseVariant, type ServedEndpoint, type ServedVariant } from '../domain/routing-table.ts';
import { ROUTING_KEY_HEADER } from '../http/caller.ts';
import { readJson } from '../http/read-json.ts';
import { bareEnvelope, type Envelope, open, traceparentOf } from './cloud-events.ts';
import type { RunnablePipeline } from './pipelines.ts';
import { deadLetterOf, resultOf, tombstoneOf } from './results.ts';
import type { StreamPrediction } from './stream-log.ts';

export type Outcome = 'result' | 'dead_letter' | 'tombstone';

/** What became of one record. */
export interface Judged {
  readonly outcome: Outcome;
  readonly record: OutputRecord;
  /** Of a result, for who logs predictions. */
  readonly prediction?: StreamPrediction;
}

export interface RecordScorer {
  readonly pipeline: RunnablePipeline;
  readonly dataplane: Dataplane;
  readonly predictionId: (record: InputRecord) => string;
  readonly signal: AbortSignal;
}

/** Longer waits are the pipeline's own, which can say what it waits for. */
const TIMEOUT_MS = 30_000;

/** What became of each record, at its place. */
type JudgedRecords = (Judged | undefined)[];

/**
 * One outcome for each of `records`, in their order.
 * @throws NOT_FOUND, UNAVAILABLE, OVERLOADED, DEADLINE_EXCEEDED: try again later; CANCELLED when `signal` aborts; INTERNAL
 */
export async function scoreRecords(scorer: RecordScorer, records: readonly InputRecord[]): Promise<Judged[]> {
  const judged: JudgedRecords = new Array(records.length);
  const scorable: Placed[] = [];
  records.forEach((input, at) => {
    if (input.value === null) judged[at] = judgeTombstone(scorer.pipeline, input);
    else scorable.push({ input, value: input.value, at });
  });
  // Looked up and scored in one turn of the event loop: a variant cannot go in between.
  const endpoint = scorer.dataplane.endpoint(scorer.pipeline.endpoint);
  const groups = groupByVariant(scorer, endpoint, scorable);
  await Promise.all(Array.from(groups, ([variant, group]) => scoreGroup(scorer, variant, group, judged)));
  return Array.from(judged, (one, at) => {
    if (one !== undefined) return one;
    const { topic, partition, offset } = records[at] ?? {};
    throw new AssayError('INTERNAL', `${topic}/${partition}/${offset} was not judged`);
  });
}

/** A record that has a value, and its place among all. */
interface Placed {
  readonly input: InputRecord;
  readonly value: Buffer;
  readonly at: number;
}

/** Without a key there is no result that it could delete. */
function judgeTombstone(pipeline: RunnablePipeline, record: InputRecord): Judged {
  if (record.key !== null) return { outcome: 'tombstone', record: tombstoneOf(pipeline, record) };
  return deadLetter(pipeline, record, new AssayError('INVALID_ARGUMENT', 'the record has neither value nor key'));
}

function deadLetter(pipeline: RunnablePipeline, record: InputRecord, error: AssayError): Judged {
  return { outcome: 'dead_letter', record: deadLetterOf(pipeline, record, error) };
}

function groupByVariant(
  scorer: RecordScorer,
  endpoint: ServedEndpoint,
  records: readonly Placed[],
): Map<ServedVariant, readonly Placed[]> {
  if (records.length === 0) return new Map();
  if (endpoint.owners === undefined) return new Map([[chooseVariant(endpoint, undefined), records]]);
  return Map.groupBy(records, ({ input }) => chooseVariant(endpoint, routingKey(scorer, input)));
}

/** As by REST; a record without a key is routed by its prediction id, so that a retry goes to the same variant. */
function routingKey({ predictionId }: RecordScorer, record: InputRecord): string {
  return (record.headers[ROUTING_KEY_HEADER] ?? record.key)?.toString() || predictionId(record);
}

interface Accepted {
  readonly placed: Placed;
  readonly envelope: Envelope;
  /** The record as it was asked. */
  features(): unknown;
}

/** Scores records of one variant together. */
async function scoreGroup(
  scorer: RecordScorer,
  variant: ServedVariant,
  records: readonly Placed[],
  judged: JudgedRecords,
): Promise<void> {
  const { pipeline, dataplane, signal } = scorer;
  const accepted: Accepted[] = [];
  let scored: Scored;
  try {
    scored = await dataplane.score(
      pipeline.endpoint,
      (signature) => (batch) => {
        for (const placed of records) {
          const appended = append(placed, signature, batch);
          if (appended instanceof AssayError) judged[placed.at] = deadLetter(pipeline, placed.input, appended);
          else accepted.push(appended);
        }
        if (accepted.length === 0) throw new NothingToScore();
        return accepted.length;
      },
      { door: 'kafka', version: variant.version.id, receivedAtMs: performance.now(), timeoutMs: TIMEOUT_MS, signal },
    );
  } catch (error) {
    if (accepted.length === 0 && records.every(({ at }) => judged[at] !== undefined)) return;
    if (!(error instanceof AssayError) || error.code !== 'INVALID_ARGUMENT') throw error;
    // The graph refuses what the signature allows. It does not say which row: each by itself, as REST has them.
    const [only, ...others] = accepted;
    if (only === undefined) throw error;
    if (others.length === 0) judged[only.placed.at] = deadLetter(pipeline, only.placed.input, error);
    else for (const { placed } of accepted) await scoreGroup(scorer, variant, [placed], judged);
    return;
  }
  const nowMs = Date.now();
  const { outputs, firstRow } = scored.rows;
  accepted.forEach(({ placed, envelope, features }, i) => {
    const { input, value, at } = placed;
    const id = scorer.predictionId(input);
    const record = resultOf(pipeline, input, envelope, { id, scored, outputs: outputs.record(firstRow + i) }, nowMs);
    const traceparent = traceparentOf(envelope, input.headers);
    const prediction = { id, atMs: nowMs, features, scored, row: i, sizeBytes: value.length, traceparent };
    judged[at] = { outcome: 'result', record, prediction };
  });
}

class NothingToScore extends AssayError {
  constructor() {
    super('INVALID_ARGUMENT', 'no record of the slice can be scored');
  }
}

/** Puts a record behind the rows of the batch, unless there is something wrong with it. */
function append(placed: Placed, signature: Signature, batch: InputBatch): Accepted | AssayError {
  const { value, input } = placed;
  try {
    const bare = bareEnvelope(input.headers);
    if (bare !== undefined && scanWhole(value, batch)) {
      return { placed, envelope: bare, features: () => readJson(value, signature) };
    }
    const { envelope, data } = open(value, input.headers, signature);
    return refusal(batch.tryAppendRecord(data)) ?? { placed, envelope, features: () => data };
  } catch (error) {
    if (error instanceof AssayError) return error;
    throw error;
  }
}

/** A record in its usual form, with nothing behind it. */
function scanWhole(value: Buffer, batch: InputBatch): boolean {
  const { rows } = batch;
  const end = batch.scanRecord(value, 0);
  if (end === value.length) return true;
  batch.truncate(rows);
  return false;
}

/** The encoder's own details, in words. */
function refusal(details: readonly ErrorDetail[] | undefined): AssayError | undefined {
  if (details === undefined) return undefined;
  const text = details.map(({ place, message, expected }) => {
    return `${place}: ${message}${expected === undefined ? '' : `; expected ${expected}`}`;
  });
  return new AssayError('INVALID_ARGUMENT', text.join('; '), { details });
}
