/** What a pipeline makes of records of every kind, on a real broker. */
import { hash } from 'node:crypto';
import type { ErrorBody } from '@assay/contracts';
import { createStaticModels, type ModelSource } from '@assay/inference';
import { idTimeMs } from '@assay/runtime';
import type { Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  flightRecords,
  floatLinearModel,
  identityModel,
  linearModel,
  treeModel,
} from '../../services/inference/src/models-under-test.ts';
import { type Broker, startBroker } from '../parts/broker.ts';
import { type Found, readCommitted } from './checker.ts';
import {
  connect,
  type Fed,
  feed,
  makeTopics,
  PARTITIONS,
  pipelineOf,
  type StreamingInference,
  sourcesOf,
  startInference,
  temporaryFolder,
} from './streams.ts';

const resources = new AsyncDisposableStack();
let broker: Broker;
let kafka: Kafka;
let inference: StreamingInference;
const digests = new Map<string, string>();
/** Opens when the endpoint of the late pipeline may be known. */
const late = Promise.withResolvers<void>();

const MODELS = ['trees', 'linear', 'float-linear'] as const;
const PIPELINES = [
  ...MODELS.map((name) => pipelineOf(name, name)),
  pipelineOf('kinds', 'identity', { maxBatchRecords: 7 }),
  pipelineOf('late', 'late'),
];

beforeAll(async () => {
  broker = resources.use(await startBroker());
  kafka = await connect(broker.bootstrap);
  await makeTopics(kafka, ...PIPELINES);
  const { path: dir } = resources.use(await temporaryFolder());
  const made = {
    trees: await treeModel(dir),
    linear: await linearModel(dir),
    'float-linear': await floatLinearModel(dir),
    identity: await identityModel(dir),
    late: await linearModel(`${dir}/late`),
  };
  for (const [name, { digest }] of Object.entries(made)) digests.set(name, digest);
  const models = await createStaticModels(
    Object.entries(made).map(([name, model]) => ({ name, path: model.dir })),
    { workDir: `${dir}/made` },
  );
  inference = resources.use(await startInference(dir, broker.bootstrap, withLateEndpoint(models), PIPELINES));
});
afterAll(() => resources.disposeAsync());

/** The endpoint `late` is not in the snapshot until `late` resolves. */
function withLateEndpoint(models: ModelSource): ModelSource {
  return {
    ...models,
    isStatic: false,
    routing: {
      async next(after, signal) {
        const whole = await models.routing.next(undefined, signal);
        if (after === undefined) return { ...whole, endpoints: whole.endpoints.filter(({ name }) => name !== 'late') };
        if (after === whole.revision) {
          await Promise.race([late.promise, models.routing.next(after, signal)]);
          return { ...whole, revision: whole.revision + 1 };
        }
        return models.routing.next(after, signal);
      },
    },
  };
}

/** All results and dead letters of a pipeline, once there are `count`. */
async function outcomes(name: string, count: number): Promise<Found[]> {
  return readCommitted(broker.bootstrap, [`${name}.out`, `${name}.dead`], (found) => found.length >= count, {
    timeoutMs: 60_000,
    quietMs: 500,
  });
}

const json = (found: Found | undefined) => JSON.parse(found?.value?.toString() ?? 'null');

describe.each(MODELS)('results of %s', (name) => {
  let found: Found[] = [];

  it('have the bits that REST gives, the key, the headers, and the order of their key', async () => {
    const records =
      name === 'float-linear'
        ? Array.from({ length: 500 }, (_, i) => ({
            x: Array.from({ length: 30 }, (_, j) => Math.fround(Math.sin(i * 31 + j))),
          }))
        : flightRecords(1000);
    await feed(
      kafka,
      `${name}.in`,
      records.map((record, i) => ({
        key: `key-${i % 40}`,
        value: JSON.stringify(record),
        headers: { n: String(i), traceparent: `trace-${i}` },
      })),
    );
    found = await outcomes(name, records.length);
    expect(found.map(({ topic }) => topic)).toEqual(found.map(() => `${name}.out`));
    const byNumber = found.toSorted((a, b) => Number(a.headers.n) - Number(b.headers.n));
    expect(byNumber.map(({ headers }) => headers.n)).toEqual(records.map((_, i) => String(i)));
    const expected = await inference.score(name, records, 17);
    expect(byNumber.map((each) => json(each).outputs)).toEqual(expected);
    expect(byNumber.map(({ key }) => key)).toEqual(records.map((_, i) => `key-${i % 40}`));
    expect(byNumber.map(({ headers }) => headers.traceparent)).toEqual(records.map((_, i) => `trace-${i}`));
    for (let i = 40; i < byNumber.length; i++) {
      expect(byNumber[i]?.offset).toBeGreaterThan(byNumber[i - 40]?.offset ?? 0n);
      expect(byNumber[i]?.partition).toBe(byNumber[i - 40]?.partition);
    }
  });

  it('name what they were made by and from, and have the id that their place gives', async () => {
    const sources = await sourcesOf(kafka, `${name}.in`);
    const digest = digests.get(name);
    const admin = kafka.admin();
    await admin.connect();
    const { clusterId } = await admin.describeCluster();
    await admin.disconnect();
    expect(found.map(({ headers }) => headers['assay-source']).toSorted()).toEqual(sources.toSorted());
    for (const each of found) {
      expect(each.headers).toMatchObject({
        'assay-pipeline': name,
        'assay-version-id': `${name}:1`,
        'assay-digest': digest,
        'assay-routing-revision': '1',
        'assay-prediction-id': json(each).id,
      });
      const [topic, partition, offset] = String(each.headers['assay-source']).split(':');
      const source = hash('sha256', JSON.stringify([name, clusterId, topic, Number(partition)]), 'buffer');
      const place = Buffer.from(
        BigInt(offset ?? '')
          .toString(16)
          .padStart(10, '0'),
        'hex',
      );
      expect(json(each).id.slice(-16)).toBe(base32(Buffer.concat([source.subarray(0, 5), place])));
      expect(Math.abs((idTimeMs(json(each).id) ?? 0) - Date.now())).toBeLessThan(600_000);
    }
  });
});

function base32(bytes: Buffer): string {
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < 16; i++) {
    text = '0123456789abcdefghjkmnpqrstvwxyz'.charAt(Number(bits & 31n)) + text;
    bits >>= 5n;
  }
  return text;
}

const RECORD = {
  i64: 7,
  f64: 0.1,
  f32: 0.5,
  text: 'é',
  flag: true,
  at: '2026-01-31T12:00:00.000001Z',
  vector: [1, 2, 3],
};
const OUTPUTS = Object.fromEntries(Object.entries(RECORD).map(([name, value]) => [`${name}_out`, value]));
const event = {
  specversion: '1.0',
  id: 'e-1',
  source: '/shop',
  type: 'order.placed',
  subject: 'order 1',
  region: 'eu',
};
const STRUCTURED = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };
const BINARY = {
  ce_specversion: '1.0',
  ce_id: 'e-2',
  ce_source: '/shop',
  ce_type: 'order.placed',
  ce_time: '2026-01-01T00:00:00Z',
  ce_region: 'eu',
  'content-type': 'application/json',
};
const { text: _, ...WITHOUT_TEXT } = RECORD;

/** By key: what is fed, and what must come of it. */
const KINDS: Record<string, { fed: Omit<Fed, 'key'>; error?: [code: string, message: RegExp]; place?: string }> = {
  plain: { fed: { value: JSON.stringify(RECORD) } },
  'integer beyond 2^53': { fed: { value: JSON.stringify(RECORD).replace('"i64":7', '"i64":9007199254740993') } },
  'structured event': { fed: { value: JSON.stringify({ ...event, data: RECORD }), headers: STRUCTURED } },
  'structured event with bytes': {
    fed: {
      value: JSON.stringify({ ...event, data_base64: Buffer.from(JSON.stringify(RECORD)).toString('base64') }),
      headers: STRUCTURED,
    },
  },
  'binary event': { fed: { value: JSON.stringify(RECORD), headers: BINARY } },
  'not JSON': { fed: { value: '{"i64": 7,' }, error: ['INVALID_ARGUMENT', /JSON/] },
  'not UTF-8': { fed: { value: Buffer.from([0x22, 0xff, 0x22]) }, error: ['INVALID_ARGUMENT', /UTF-8/] },
  empty: { fed: { value: '' }, error: ['INVALID_ARGUMENT', /./] },
  'not an object': { fed: { value: '[1, 2]' }, error: ['INVALID_ARGUMENT', /object/], place: 'record' },
  'unknown feature': {
    fed: { value: JSON.stringify({ ...RECORD, flags: true }) },
    error: ['INVALID_ARGUMENT', /flags/],
    place: 'flags',
  },
  'missing feature': {
    fed: { value: JSON.stringify(WITHOUT_TEXT) },
    error: ['INVALID_ARGUMENT', /text/],
    place: 'text',
  },
  'wrong type': {
    fed: { value: JSON.stringify({ ...RECORD, vector: [1, 'two', 3] }) },
    error: ['INVALID_ARGUMENT', /vector/],
    place: 'vector[1]',
  },
  'structured event of another version': {
    fed: { value: JSON.stringify({ ...event, specversion: '0.3', data: RECORD }), headers: STRUCTURED },
    error: ['INVALID_ARGUMENT', /specversion/],
  },
  'binary event without id': {
    fed: { value: JSON.stringify(RECORD), headers: { ...BINARY, ce_id: '' } },
    error: ['INVALID_ARGUMENT', /ce_id/],
  },
  'binary event of text': {
    fed: { value: JSON.stringify(RECORD), headers: { ...BINARY, 'content-type': 'text/plain' } },
    error: ['UNSUPPORTED_MEDIA_TYPE', /text\/plain/],
  },
  'batch of events': {
    fed: { value: '[]', headers: { 'content-type': 'application/cloudevents-batch+json' } },
    error: ['UNSUPPORTED_MEDIA_TYPE', /batch/],
  },
};

describe('records of every kind', () => {
  let found: Found[];
  beforeAll(async () => {
    const kinds = Object.entries(KINDS).map(([key, { fed }]) => ({ key, ...fed }));
    const tombstones = [
      { key: 'deleted', value: null, headers: { kept: 'yes' } },
      { key: null, value: null },
    ];
    await feed(kafka, 'kinds.in', [...kinds, ...tombstones]);
    found = await outcomes('kinds', kinds.length + tombstones.length);
  });
  const ofKey = (key: string | undefined) => found.filter((each) => each.key === key);

  it('give one outcome each', () => {
    expect(found.length).toBe(Object.keys(KINDS).length + 2);
  });

  it.each(Object.entries(KINDS).filter(([, { error }]) => error !== undefined))(
    '%s is a dead letter, as it came, with the reason',
    async (key, { fed, error, place }) => {
      const [letter, ...others] = ofKey(key);
      expect(others).toEqual([]);
      expect(letter?.topic).toBe('kinds.dead');
      expect(letter?.value).toEqual(Buffer.from(fed.value ?? ''));
      expect(letter?.headers).toMatchObject(fed.headers ?? {});
      expect(letter?.headers['assay-error-code']).toBe(error?.[0]);
      expect(letter?.headers['assay-error-message']).toMatch(error?.[1] ?? /never/);
      expect(letter?.headers['assay-source']).toMatch(/^kinds\.in:\d:\d+$/);
      expect(letter?.headers['assay-prediction-id']).toBeUndefined();
      if (place === undefined) return;
      const rest = await fetch(`${inference.url}/v1/endpoints/identity/score`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"records":[${fed.value}]}`,
      });
      const { error: byRest }: ErrorBody = JSON.parse(await rest.text());
      const details = JSON.parse(letter?.headers['assay-error-details'] ?? '[]');
      expect(details).toEqual(
        byRest.details.map((detail) => ({
          ...detail,
          place: detail.place === 'records[0]' ? 'record' : detail.place.replace(/^records\[0\]\.?/, ''),
        })),
      );
      expect(details[0].place).toBe(place);
    },
  );

  it('plain JSON gives plain JSON, integers exact', () => {
    expect(json(ofKey('plain')[0]).outputs).toEqual(OUTPUTS);
    expect(ofKey('integer beyond 2^53')[0]?.value?.toString()).toContain('"i64_out":9007199254740993,');
  });

  it.each(['structured event', 'structured event with bytes'])('a %s gives a structured event', (key) => {
    const [result] = ofKey(key);
    const { time, ...attributes } = json(result);
    expect(Date.parse(time)).toBeGreaterThan(0);
    expect(result?.headers['content-type']).toBe(STRUCTURED['content-type']);
    expect(attributes).toEqual({
      specversion: '1.0',
      id: result?.headers['assay-prediction-id'],
      source: '/assay/pipelines/kinds',
      type: 'assay.stream.result.v1',
      subject: 'order 1',
      region: 'eu',
      datacontenttype: 'application/json',
      inputid: 'e-1',
      inputsource: '/shop',
      data: { id: result?.headers['assay-prediction-id'], outputs: OUTPUTS },
    });
  });

  it('a binary event gives a binary event', () => {
    const [result] = ofKey('binary event');
    expect(json(result)).toEqual({ id: result?.headers['assay-prediction-id'], outputs: OUTPUTS });
    expect(result?.headers).toMatchObject({
      ce_specversion: '1.0',
      ce_id: result?.headers['assay-prediction-id'],
      ce_source: '/assay/pipelines/kinds',
      ce_type: 'assay.stream.result.v1',
      ce_region: 'eu',
      ce_inputid: 'e-2',
      ce_inputsource: '/shop',
      'content-type': 'application/json',
    });
    expect(result?.headers.ce_time).not.toBe(BINARY.ce_time);
  });

  it('a tombstone is passed on, so that the result of its key goes too; without a key it is a dead letter', () => {
    expect(ofKey('deleted')).toMatchObject([{ topic: 'kinds.out', value: null, headers: { kept: 'yes' } }]);
    expect(ofKey(undefined)).toMatchObject([{ topic: 'kinds.dead', value: null }]);
  });

  it('are counted by outcome', async () => {
    const text = await inference.metrics();
    const dead = Object.values(KINDS).filter(({ error }) => error !== undefined).length;
    const results = Object.keys(KINDS).length - dead;
    expect(text).toContain(`assay_stream_records_total{pipeline="kinds",outcome="result"} ${results}`);
    expect(text).toContain(`assay_stream_records_total{pipeline="kinds",outcome="dead_letter"} ${dead + 1}`);
    expect(text).toContain('assay_stream_records_total{pipeline="kinds",outcome="tombstone"} 1');
    expect(text).toContain('assay_stream_state{pipeline="kinds",state="running"} 1');
    expect(text).toMatch(/assay_stream_lag_records\{pipeline="kinds",partition="\d"\} 0/);
  });
});

describe('an endpoint that is not there yet', () => {
  it('is waited for and named; nothing becomes a dead letter, and nothing is lost', async () => {
    const records = flightRecords(100);
    await feed(
      kafka,
      'late.in',
      records.map((record, i) => ({ key: `${i}`, value: JSON.stringify(record) })),
    );
    const before = await inference.ready();
    expect(before.status).toBe(503);
    expect(before.text).toContain('pipeline \\"late\\" waits: there is no endpoint \\"late\\"');
    late.resolve();
    const found = await outcomes('late', records.length);
    expect(found.map(({ topic }) => topic)).toEqual(records.map(() => 'late.out'));
    expect(new Set(found.map(({ partition }) => partition)).size).toBe(PARTITIONS);
    await expect.poll(async () => (await inference.ready()).status).toBe(200);
  });
});
