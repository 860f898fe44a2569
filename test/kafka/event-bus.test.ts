import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Event, TOPICS } from '@assay/contracts';
import { type EventBus, newEvent, openEventBus } from '@assay/events';
import { describeEventBus } from '@assay/events/conformance';
import { kafkaConfig, openKafka } from '@assay/kafka';
import { loadConfig } from '@assay/runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../parts/broker.ts';

const WORKER = fileURLToPath(new URL('./event-worker.ts', import.meta.url));
const WAIT_MS = 90_000;

let broker: Broker;
let complaints: string[] = [];
let opened: EventBus[] = [];
let topics = 0;

beforeAll(async () => {
  broker = await startBroker();
});
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const bus of opened) await bus.close();
  opened = [];
  complaints = [];
});

const log = {
  warn: (_: unknown, message?: string) => void complaints.push(message ?? ''),
  error: (_: unknown, message?: string) => void complaints.push(message ?? ''),
};

async function connect(): Promise<EventBus> {
  const kafka = loadConfig(kafkaConfig, { flags: { brokers: broker.bootstrap, sessionTimeoutMs: 6000 } });
  const bus = await openEventBus('kafka:', { kafka, clientId: 'assay-test', log });
  opened.push(bus);
  return bus;
}

describeEventBus('Kafka', async () => ({ connect, cleanup: async () => undefined }));

const event = (subject: string, sequence: number): Event =>
  newEvent({ source: '/assay/test', type: 'assay.test.v1', subject, sequence, data: null });
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
const newTopic = () => `assay.kafka-test-${++topics}.v1`;
const distinct = (list: readonly number[]) => [...new Set(list)];

async function administer<T>(use: (admin: ReturnType<Awaited<ReturnType<typeof openKafka>>['admin']>) => Promise<T>) {
  const pace = { initialRetryTimeMs: 50, maxRetryTimeMs: 1000, retries: 10 };
  const admin = (await openKafka({ brokers: [broker.bootstrap], clientId: 'test' }, pace)).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

describe('events on Kafka', () => {
  it('are in topics that keep the last event of each resource, and facts for their time', async () => {
    const bus = await connect();
    for (const topic of [TOPICS.models, TOPICS.predictions, TOPICS.audit]) await bus.publish(topic, [event('a', 1)]);
    const found = await administer(async (admin) => {
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [TOPICS.models, TOPICS.predictions, TOPICS.audit].map((name) => ({ type: 2, name })),
      });
      return resources.map(({ configEntries }) => {
        const value = (name: string) => configEntries.find((each) => each.configName === name)?.configValue;
        return [value('cleanup.policy'), value('retention.ms')];
      });
    });
    expect(found[0]?.[0]).toBe('compact');
    expect(found[1]).toEqual(['delete', String(7 * 24 * 60 * 60 * 1000)]);
    expect(found[2]).toEqual(['delete', '-1']);
  });

  it('may have a megabyte, and many are published at once', async () => {
    const [bus, topic] = [await connect(), newTopic()];
    const seen: number[] = [];
    await bus.subscribe({ topics: [topic], delivery: 'broadcast', from: 'latest' }, async ({ sequence }) => {
      seen.push(sequence);
    });
    const large = { ...event('a', 0), data: 'x'.repeat(1024 * 1024 - 500) };
    const publications = upTo(3000).map((sequence) =>
      bus.publish(topic, [sequence === 0 ? large : event('a', sequence)]),
    );
    await Promise.all(publications);
    await expect.poll(() => seen.length, { timeout: WAIT_MS }).toBe(3000);
    expect(seen).toEqual(upTo(3000));
  });

  it('are passed over where a record is none, and that is told', async () => {
    const [bus, topic] = [await connect(), newTopic()];
    const seen: number[] = [];
    await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async ({ sequence }) => {
      seen.push(sequence);
    });
    const pace = { initialRetryTimeMs: 50, maxRetryTimeMs: 1000, retries: 10 };
    const producer = (await openKafka({ brokers: [broker.bootstrap], clientId: 'foreign' }, pace)).producer();
    await producer.connect();
    await producer.send({
      topic,
      messages: ['{', '{"specversion":"1.0"}', null].map((value) => ({ key: 'a', value })),
    });
    await producer.disconnect();
    await bus.publish(topic, [event('a', 1)]);
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([1]);
    expect(complaints.filter((each) => each.endsWith('is no event; it is passed over'))).toHaveLength(2);
  });

  it('reach a new group from the moment at which the first of several members has subscribed', async () => {
    for (let round = 0; round < 3; round++) {
      const topic = newTopic();
      const seen: number[] = [];
      const buses = [await connect(), await connect(), await connect()];
      await buses[0]?.publish(topic, [event('a', 1000)]); // before, and so not for the group
      const subscribed = buses.map((bus) =>
        bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async ({ sequence }) => {
          seen.push(sequence);
        }),
      );
      await Promise.race(subscribed);
      for (const sequence of upTo(30)) await buses[0]?.publish(topic, [event(`subject-${sequence % 7}`, sequence)]);
      await Promise.all(subscribed);
      await expect.poll(() => distinct(seen).toSorted((a, b) => a - b), { timeout: WAIT_MS }).toEqual(upTo(30));
    }
  });

  it('reach the rest of a group when a member is killed with -9 at work', async () => {
    const topic = newTopic();
    const bus = await connect();
    const [kafka] = [broker.bootstrap];
    const child = spawn(process.execPath, [WORKER, kafka, topic], { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    const handledBy = () => [...printed.matchAll(/^handled (\d+)$/gm)].map((match) => Number(match[1]));
    try {
      await expect.poll(() => printed, { timeout: WAIT_MS }).toContain('subscribed');
      for (const sequence of upTo(300)) await bus.publish(topic, [event(`s${sequence % 11}`, sequence)]);
      await expect.poll(() => handledBy().length, { timeout: WAIT_MS }).toBeGreaterThan(20);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    const seen: number[] = [];
    await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async ({ sequence }) => {
      seen.push(sequence);
    });
    await expect
      .poll(() => distinct([...handledBy(), ...seen]).toSorted((a, b) => a - b), { timeout: WAIT_MS })
      .toEqual(upTo(300));
    expect(seen.length).toBeGreaterThan(0);
    for (let subject = 0; subject < 11; subject++) {
      const ofSubject = distinct(seen.filter((sequence) => sequence % 11 === subject));
      expect(ofSubject).toEqual(ofSubject.toSorted((a, b) => a - b));
    }
  });

  it('are neither lost nor out of order when the broker is killed, away, and comes back', async () => {
    const [bus, topic] = [await connect(), newTopic()];
    const group: number[] = [];
    const all: number[] = [];
    await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async ({ sequence }) => {
      group.push(sequence);
    });
    await bus.subscribe({ topics: [topic], delivery: 'broadcast', from: 'latest' }, async ({ sequence }) => {
      all.push(sequence);
    });
    await bus.publish(
      topic,
      upTo(10).map((sequence) => event('a', sequence)),
    );
    await expect.poll(() => [group.length, all.length], { timeout: WAIT_MS }).toEqual([10, 10]);
    await broker.kill();
    try {
      const refused = await bus.publish(topic, [event('a', 10)]).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).toMatchObject({ code: 'UNAVAILABLE' });
      expect(String(refused)).toContain(`Kafka at ${broker.bootstrap}: `);
    } finally {
      await broker.start();
    }
    for (const sequence of upTo(30).slice(10)) {
      // As an outbox does: the same event again until it is taken.
      await expect
        .poll(
          () =>
            bus.publish(topic, [event('a', sequence)]).then(
              () => 'sent',
              () => 'refused',
            ),
          { timeout: WAIT_MS },
        )
        .toBe('sent');
    }
    await expect.poll(() => distinct(group), { timeout: WAIT_MS }).toEqual(upTo(30));
    await expect.poll(() => distinct(all), { timeout: WAIT_MS }).toEqual(upTo(30));
  });

  it('are followed once the broker is there, by who subscribed before', async () => {
    const topic = newTopic();
    await broker.kill();
    const bus = await connect();
    const seen: number[] = [];
    const subscribed = bus.subscribe(
      { topics: [topic], delivery: { group: 'g' }, from: 'latest' },
      async ({ sequence }) => {
        seen.push(sequence);
      },
    );
    const given = new AbortController();
    const givenUp = bus.subscribe(
      { topics: [topic], delivery: 'broadcast', from: 'latest', signal: given.signal },
      async () => undefined,
    );
    try {
      await expect
        .poll(() => complaints, { timeout: WAIT_MS })
        .toContain('events cannot be followed now; trying again');
      given.abort(new Error('given up'));
      await expect(givenUp).rejects.toThrow('given up');
    } finally {
      await broker.start();
    }
    await subscribed;
    await bus.publish(topic, [event('a', 1)]);
    await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([1]);
  });
});

describe('the url of an event bus', () => {
  it.each(['kafka://host:9092', 'redis:', 'kafka'])('is refused: %s', async (url) => {
    await expect(openEventBus(url, { clientId: 'x', log })).rejects.toThrow('is no event bus url; expected kafka:');
  });

  it('is an embedded log in a database too', async () => {
    const bus = await openEventBus('sqlite::memory:', { clientId: 'x', log });
    await bus.publish('assay.test.v1', [event('a', 1)]);
    await bus.close();
  });
});
