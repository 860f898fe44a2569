/** A producer that feeds a pipeline's input all the time, and the judgement of what came out: each input exactly once. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pipeline } from '@assay/contracts';
import { STREAM_HEADERS } from '@assay/contracts';
import { type Found, judge, readCommitted } from '../kafka/checker.ts';
import { connect, makeTopics, sourcesOf } from '../kafka/streams.ts';
import { check } from './step.ts';

type Topics = Pick<Pipeline, 'name' | 'endpoint' | 'input' | 'output' | 'deadLetters'>;

export async function createTopics(broker: string, pipeline: Topics): Promise<void> {
  await makeTopics(await connect(broker), pipeline);
}

export interface PipelineLoad {
  /** Records so far. */
  readonly sent: number;
  /** @returns how many records were sent */
  stop(): Promise<number>;
}

const EVERY_MS = 100;
const KEYS = 20;

/** @param perSecond a multiple of 10 */
export async function startPipelineLoad(options: {
  readonly broker: string;
  readonly topic: string;
  readonly records: readonly unknown[];
  readonly perSecond: number;
}): Promise<PipelineLoad> {
  const { records } = options;
  const kafka = await connect(options.broker);
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const stopping = new AbortController();
  let sent = 0;
  const sending = (async () => {
    while (!stopping.signal.aborted) {
      const messages = Array.from({ length: (options.perSecond * EVERY_MS) / 1000 }, () => {
        const number = sent++;
        return { key: `key-${number % KEYS}`, value: JSON.stringify(records[number % records.length]) };
      });
      await producer.send({ topic: options.topic, acks: -1, messages });
      await delay(EVERY_MS);
    }
  })();
  return {
    get sent() {
      return sent;
    },
    async stop() {
      stopping.abort();
      await sending;
      await producer.disconnect();
      return sent;
    },
  };
}

export interface PipelineVerdict {
  readonly inputs: number;
  /** By the version that scored them. */
  readonly byVersion: Readonly<Record<string, number>>;
}

/**
 * Reads all that came out, and throws unless each input has exactly one result, in order within its key, none is a dead
 * letter, and each is what `outputsOf` says for its record and the version that it names.
 */
export async function judgePipeline(options: {
  readonly broker: string;
  readonly pipeline: Topics;
  readonly records: readonly unknown[];
  /** The outputs of all records by a version, as REST gave them. */
  readonly outputsOf: (versionId: string) => readonly unknown[];
}): Promise<PipelineVerdict> {
  const { broker, pipeline, records } = options;
  const kafka = await connect(broker);
  // `PARTITION:OFFSET`, as the checker has it.
  const withoutTopic = (source: string): string => source.split(':').slice(1).join(':');
  const sources = (await sourcesOf(kafka, pipeline.input)).map(withoutTopic);
  const found = await readCommitted(
    broker,
    [pipeline.output, pipeline.deadLetters],
    (all) => all.length >= sources.length,
    {
      timeoutMs: 90_000,
      quietMs: 5000,
    },
  );
  const dead = found.filter(({ topic }) => topic === pipeline.deadLetters);
  check(dead.length === 0, `${dead.length} dead letters: ${JSON.stringify(dead[0]?.headers)}`);
  const named = found.map(
    (each): Found => ({
      ...each,
      headers: { ...each.headers, source: withoutTopic(each.headers[STREAM_HEADERS.source] ?? '') },
    }),
  );
  const { doubled, lost, outOfOrder } = judge(sources, named);
  check(doubled.length === 0, `${doubled.length} inputs have several results: ${doubled.slice(0, 3).join(' ')}`);
  check(lost.length === 0, `${lost.length} of ${sources.length} inputs have no result: ${lost.slice(0, 3).join(' ')}`);
  check(outOfOrder.length === 0, `${outOfOrder.length} results are out of order: ${outOfOrder.slice(0, 3).join(' ')}`);
  const inputs = await readCommitted(broker, [pipeline.input], (all) => all.length >= sources.length, {
    timeoutMs: 60_000,
    quietMs: 500,
  });
  const recordAt = new Map(inputs.map(({ partition, offset, value }) => [`${partition}:${offset}`, String(value)]));
  const numberOf = new Map(records.map((record, number) => [JSON.stringify(record), number]));
  const byVersion: Record<string, number> = {};
  for (const { headers, value } of named) {
    const versionId = headers[STREAM_HEADERS.versionId] ?? '';
    byVersion[versionId] = (byVersion[versionId] ?? 0) + 1;
    const expected = options.outputsOf(versionId)[numberOf.get(recordAt.get(headers.source ?? '') ?? '') ?? -1];
    const { outputs } = JSON.parse(String(value)) as { outputs: unknown }; // an element of a ScoreResponse's predictions
    check(JSON.stringify(outputs) === JSON.stringify(expected), `the result of ${headers.source} is ${String(value)}`);
  }
  return { inputs: sources.length, byVersion };
}
