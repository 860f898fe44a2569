/** Traces over a real broker: those of records through a pipeline, and that of a change with its event. */
import { type Event, PredictionsLogged, parse, TOPICS } from '@assay/contracts';
import { type EventBus, openEventBus } from '@assay/events';
import { createStaticModels } from '@assay/inference';
import { kafkaConfig } from '@assay/kafka';
import { loadConfig } from '@assay/runtime';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { versionModel } from '../../services/inference/src/models-under-test.ts';
import { startRegistry } from '../../services/registry/src/registry-under-test.ts';
import { type Broker, startBroker } from '../parts/broker.ts';
import { type Found, readCommitted } from './checker.ts';
import { connect, type Fed, feed, makeTopics, pipelineOf, startInference, temporaryFolder } from './streams.ts';

const PIPELINE = pipelineOf('traced', 'flights');
const LIMITS = { timeoutMs: 60_000, quietMs: 500 };
const SPAN = '00f067aa0ba902b7';
const STATE = 'congo=t61rcWkgMzE,rojo=1';

const resources = new AsyncDisposableStack();
let broker: Broker;
let kafka: Kafka;
let bus: EventBus;
let dir: string;

beforeAll(async () => {
  broker = resources.use(await startBroker());
  kafka = await connect(broker.bootstrap);
  await makeTopics(kafka, PIPELINE);
  dir = resources.use(await temporaryFolder()).path;
  const log = { warn: () => undefined, error: () => undefined };
  const config = loadConfig(kafkaConfig, { flags: { brokers: broker.bootstrap } });
  bus = await openEventBus('kafka:', { kafka: config, clientId: 'assay-test', log });
  resources.defer(() => bus.close());
});
afterAll(() => resources.disposeAsync());

const traceIdOf = (digit: string) => digit.repeat(32);
const traceparentOf = (digit: string) => `00-${traceIdOf(digit)}-${SPAN}-01`;
const record = JSON.stringify({ x: 1 });
const event = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'order.placed' };
const binary = { ce_specversion: '1.0', ce_id: 'e-2', ce_source: '/shop', ce_type: 'order.placed' };
const structured = { 'content-type': 'application/cloudevents+json' };

/** By key: what is fed, and the digit of the trace that its prediction has in the log. */
const KINDS: Record<string, { readonly fed: Omit<Fed, 'key'>; readonly digit?: string }> = {
  plain: { fed: { value: record, headers: { traceparent: traceparentOf('a'), tracestate: STATE } }, digit: 'a' },
  binary: {
    fed: { value: record, headers: { ...binary, ce_traceparent: traceparentOf('b'), ce_tracestate: STATE } },
    digit: 'b',
  },
  structured: {
    fed: {
      value: JSON.stringify({ ...event, traceparent: traceparentOf('c'), tracestate: STATE, data: { x: 1 } }),
      headers: structured,
    },
    digit: 'c',
  },
  none: { fed: { value: record } },
  malformed: { fed: { value: record, headers: { traceparent: 'trace-7', tracestate: STATE } } },
};
const BAD = { key: 'bad', value: '{"y":1}', headers: { traceparent: traceparentOf('d'), tracestate: STATE } };

/** What the outcome has of a trace, wherever its kind has it. */
function traceOf({ headers, value }: Found): readonly unknown[] {
  if (headers['content-type']?.includes('cloudevents') !== true) {
    const { traceparent = headers.ce_traceparent, tracestate = headers.ce_tracestate } = headers;
    return [traceparent, tracestate];
  }
  const { traceparent, tracestate }: Partial<Event> = JSON.parse(String(value));
  return [traceparent, tracestate];
}

test('a result, a dead letter and a logged prediction have the trace of their record', async () => {
  const model = await versionModel(dir, 1);
  const models = await createStaticModels([{ name: 'flights', path: model.dir }], { workDir: `${dir}/made` });
  const logs = { predictions: bus, predictionTopics: { partitions: 1 } };
  await using _ = await startInference(dir, broker.bootstrap, models, [PIPELINE], logs);
  await feed(kafka, PIPELINE.input, [...Object.entries(KINDS).map(([key, { fed }]) => ({ key, ...fed })), BAD]);
  const count = Object.keys(KINDS).length + 1;
  const topics = [PIPELINE.output, PIPELINE.deadLetters];
  const found = await readCommitted(broker.bootstrap, topics, ({ length }) => length >= count, LIMITS);
  const outcomes = Object.fromEntries(found.map((each) => [each.key, [each.topic, ...traceOf(each)]]));
  const [out, dead] = topics;
  expect(outcomes).toEqual({
    plain: [out, traceparentOf('a'), STATE],
    binary: [out, traceparentOf('b'), STATE],
    structured: [out, traceparentOf('c'), STATE],
    none: [out, undefined, undefined],
    malformed: [out, 'trace-7', STATE], // a header like any other: what comes in goes out
    bad: [dead, traceparentOf('d'), STATE],
  });

  const ids = new Map(found.map(({ key, headers }) => [headers['assay-prediction-id'], key]));
  const logged = (events: readonly Found[]) =>
    events.flatMap(({ value }) => parse(PredictionsLogged, JSON.parse(String(value)).data, 'data').predictions);
  const results = Object.keys(KINDS).length;
  const enough = (events: readonly Found[]) => logged(events).length >= results;
  const predictions = logged(await readCommitted(broker.bootstrap, [TOPICS.predictions], enough, LIMITS));
  const traceIds = Object.fromEntries(predictions.map(({ id, traceId }) => [ids.get(id), traceId]));
  const expected = Object.entries(KINDS).map(([key, { digit }]) => [key, digit && traceIdOf(digit)]);
  expect(traceIds).toEqual(Object.fromEntries(expected));
});

test('the event of a change has the trace of its request, in the headers of its record too', async () => {
  await using registry = await startRegistry({ deps: { bus } });
  const answer = await fetch(`${registry.url}/v1/models`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: traceparentOf('e'), tracestate: STATE },
    body: JSON.stringify({ name: 'flights' }),
  });
  expect(answer.status).toBe(201);
  const [found] = await readCommitted(broker.bootstrap, [TOPICS.models], ({ length }) => length > 0, LIMITS);
  if (found === undefined) throw new Error('no event was found');
  const { headers } = found;
  const { traceparent, tracestate }: Event = JSON.parse(String(found.value));
  expect(traceparent).toMatch(new RegExp(`^00-${traceIdOf('e')}-(?!${SPAN})[0-9a-f]{16}-01$`));
  expect([tracestate, headers.traceparent, headers.tracestate]).toEqual([STATE, traceparent, STATE]);
});
