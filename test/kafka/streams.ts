/** For the tests of stream scoring: topics, records, and the real inference service with pipelines. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pipeline } from '@assay/contracts';
import { createService, type InferenceDependencies, inferenceConfig, type ModelSource } from '@assay/inference';
import { ensureTopics, openKafka } from '@assay/kafka';
import { createLogger, loadConfig, type Service } from '@assay/runtime';
import type { Kafka } from 'kafkajs';
import { stringify } from 'yaml';

export const PARTITIONS = 6;
const PACE = { initialRetryTimeMs: 50, maxRetryTimeMs: 2000, retries: 20 };

export function connect(bootstrap: string): Promise<Kafka> {
  return openKafka({ brokers: [bootstrap], clientId: 'test' }, PACE);
}

/** A folder that goes away at the end of its scope. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'assay-streams-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A pipeline with topics of its own name. */
export function pipelineOf(name: string, endpoint: string, more: Partial<Pipeline> = {}): Pipeline {
  return { name, endpoint, input: `${name}.in`, output: `${name}.out`, deadLetters: `${name}.dead`, ...more };
}

export async function makeTopics(kafka: Kafka, ...pipelines: readonly Pipeline[]): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const topics = pipelines.flatMap(({ input, output, deadLetters }) => [input, output, deadLetters]);
  await ensureTopics(
    admin,
    topics.map((topic) => ({ topic, partitions: PARTITIONS })),
    AbortSignal.timeout(30_000),
  );
  await admin.disconnect();
}

export interface Fed {
  readonly key: string | null;
  readonly value: string | Buffer | null;
  readonly headers?: Record<string, string>;
}

/** Sends the records in their order. */
export async function feed(kafka: Kafka, topic: string, records: readonly Fed[]): Promise<void> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let from = 0; from < records.length; from += 500) {
    await producer.send({
      topic,
      acks: -1,
      messages: records.slice(from, from + 500).map((record) => ({ ...record })),
    });
  }
  await producer.disconnect();
}

/** `TOPIC:PARTITION:OFFSET` of all that the topic holds. */
export async function sourcesOf(kafka: Kafka, topic: string): Promise<string[]> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return offsets.flatMap(({ partition, low, high }) =>
    Array.from({ length: Number(high) - Number(low) }, (_, i) => `${topic}:${partition}:${Number(low) + i}`),
  );
}

export async function writePipelines(dir: string, pipelines: readonly Pipeline[]): Promise<string> {
  const path = join(dir, 'pipelines.yaml');
  await mkdir(dir, { recursive: true });
  await writeFile(path, stringify({ pipelines }));
  return path;
}

export interface StreamingInference extends AsyncDisposable {
  readonly url: string;
  readonly service: Service;
  /** The predictions of these records by REST, `batch` at a time. */
  score(endpoint: string, records: readonly unknown[], batch: number): Promise<unknown[]>;
  /** Status and body of /readyz. */
  ready(): Promise<{ status: number; text: string }>;
  metrics(): Promise<string>;
}

export async function startInference(
  dir: string,
  bootstrap: string,
  models: ModelSource,
  pipelines: readonly Pipeline[],
  deps: Pick<InferenceDependencies, 'predictions' | 'predictionTopics'> = {},
): Promise<StreamingInference> {
  const config = loadConfig(inferenceConfig, {
    flags: {
      port: 0,
      logLevel: 'silent',
      cacheDir: join(dir, 'cache'),
      pipelinesFile: await writePipelines(dir, pipelines),
    },
  });
  const service = await createService(config, {
    ...deps,
    models,
    kafka: { brokers: [bootstrap], clientId: 'assay-inference' },
    log: createLogger({ service: 'inference', level: process.env.DEBUG_STREAMS === undefined ? 'silent' : 'info' }),
  });
  try {
    await service.start();
  } catch (error) {
    await service.close();
    throw error;
  }
  const url = service.addresses.http ?? '';
  return {
    url,
    service,
    score: (endpoint, records, batch) => scoreByRest(url, endpoint, records, batch),
    async ready() {
      const response = await fetch(`${url}/readyz`);
      return { status: response.status, text: await response.text() };
    },
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
    [Symbol.asyncDispose]: () => service.close(),
  };
}

/** The outputs that REST gives, `batch` records at a time. */
export async function scoreByRest(
  url: string,
  endpoint: string,
  records: readonly unknown[],
  batch: number,
): Promise<unknown[]> {
  const outputs: unknown[] = [];
  for (let from = 0; from < records.length; from += batch) {
    const response = await fetch(`${url}/v1/endpoints/${endpoint}/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ records: records.slice(from, from + batch) }),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status} ${text}`);
    const { predictions }: { predictions: { outputs: unknown }[] } = JSON.parse(text); // ScoreResponse of the contracts
    outputs.push(...predictions.map((prediction) => prediction.outputs));
  }
  return outputs;
}
