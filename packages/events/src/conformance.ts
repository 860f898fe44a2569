/** What every event bus must do, run by vitest against the real thing. */
import { AssayError, type Event } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EventBus, newEvent, type SubscribeOptions, type Subscription } from './event-bus.ts';

export interface EventBusUnderTest {
  /** A bus of its own on the same events, as another process has; closed by the test. */
  connect(): Promise<EventBus>;
  cleanup(): Promise<void>;
}

const WAIT_MS = 60_000;

export function describeEventBus(name: string, open: () => Promise<EventBusUnderTest>): void {
  describe(`event bus on ${name}`, () => {
    let under: EventBusUnderTest;
    let connected: EventBus[] = [];
    let topics = 0;
    let topic = '';
    beforeEach(async () => {
      under = await open();
      connected = [];
      topic = `assay.test-${process.pid}-${++topics}.v1`;
    });
    afterEach(async () => {
      for (const bus of connected) await bus.close();
      await under.cleanup();
    });

    async function connect(): Promise<EventBus> {
      const bus = await under.connect();
      connected.push(bus);
      return bus;
    }

    const event = (subject: string, sequence: number): Event =>
      newEvent({ source: '/assay/test', type: 'assay.test.changed.v1', subject, sequence, data: { name: 'Zürich ✈' } });
    const events = (subject: string, count: number, from = 0) =>
      Array.from({ length: count }, (_, i) => event(subject, from + i));

    interface Collector {
      readonly seen: Event[];
      readonly subscription: Subscription;
    }

    async function collect(bus: EventBus, options: Omit<SubscribeOptions, 'topics'>): Promise<Collector> {
      const seen: Event[] = [];
      const subscription = await bus.subscribe({ topics: [topic], ...options }, async (each) => {
        seen.push(each);
      });
      return { seen, subscription };
    }

    const sequences = (seen: readonly Event[], subject?: string) =>
      seen.filter((each) => subject === undefined || each.subject === subject).map(({ sequence }) => sequence);
    /** The first of each, in their order: deliveries may repeat. */
    const distinct = (list: readonly number[]) => [...new Set(list)];
    const upTo = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);
    const eventually = <T>(read: () => T) => expect.poll(read, { timeout: WAIT_MS, interval: 20 });

    it('delivers an event whole to a subscriber of another connection', async () => {
      const [publisher, subscriber] = [await connect(), await connect()];
      const { seen } = await collect(subscriber, { delivery: 'broadcast', from: 'latest' });
      const sent = {
        ...event('a', 7),
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        tracestate: 'congo=t61rcWkgMzE',
        extra: 1,
      };
      await publisher.publish(topic, [sent]);
      await eventually(() => seen).toEqual([sent]);
    });

    it('keeps the order of a subject, over many publications', async () => {
      const bus = await connect();
      const { seen } = await collect(bus, { delivery: { group: 'g' }, from: 'earliest' });
      for (let i = 0; i < 300; i += 30) await bus.publish(topic, [...events('a', 30, i), ...events('b', 30, i)]);
      // Each subject by itself: they may be in two partitions.
      for (const subject of ['a', 'b']) {
        await eventually(() => distinct(sequences(seen, subject)).length).toBe(300);
        expect(distinct(sequences(seen, subject))).toEqual(upTo(300));
      }
    });

    it('gives every broadcast subscriber every event, and a group each event once', async () => {
      const [one, two] = [await connect(), await connect()];
      const all = [
        await collect(one, { delivery: 'broadcast', from: 'latest' }),
        await collect(two, { delivery: 'broadcast', from: 'latest' }),
      ];
      const members = [
        await collect(one, { delivery: { group: 'g' }, from: 'latest' }),
        await collect(two, { delivery: { group: 'g' }, from: 'latest' }),
      ];
      const other = await collect(two, { delivery: { group: 'other' }, from: 'latest' });
      await one.publish(topic, events('a', 50));
      for (const { seen } of [...all, other]) await eventually(() => sequences(seen)).toEqual(upTo(50));
      await eventually(() => members.flatMap(({ seen }) => sequences(seen)).toSorted((a, b) => a - b)).toEqual(
        upTo(50),
      );
    });

    it('begins where it is told: with all that is kept, or with what comes', async () => {
      const bus = await connect();
      await bus.publish(topic, events('a', 3));
      const early = await collect(bus, { delivery: 'broadcast', from: 'earliest' });
      const late = await collect(bus, { delivery: 'broadcast', from: 'latest' });
      const earlyGroup = await collect(bus, { delivery: { group: 'early' }, from: 'earliest' });
      const lateGroup = await collect(bus, { delivery: { group: 'late' }, from: 'latest' });
      await bus.publish(topic, events('a', 2, 3));
      await eventually(() => sequences(early.seen)).toEqual(upTo(5));
      await eventually(() => sequences(earlyGroup.seen)).toEqual(upTo(5));
      await eventually(() => sequences(late.seen)).toEqual([3, 4]);
      await eventually(() => sequences(lateGroup.seen)).toEqual([3, 4]);
    });

    it('remembers how far a group is, also while nobody of it is there', async () => {
      const first = await connect();
      const { seen, subscription } = await collect(first, { delivery: { group: 'g' }, from: 'latest' });
      await first.publish(topic, events('a', 3));
      await eventually(() => sequences(seen)).toEqual(upTo(3));
      await subscription.close();
      await first.publish(topic, events('a', 2, 3));
      await first.close();
      const again = await collect(await connect(), { delivery: { group: 'g' }, from: 'latest' });
      await eventually(() => sequences(again.seen)).toEqual([3, 4]);
    });

    it('goes on with another member of the group when one leaves', async () => {
      const [one, two] = [await connect(), await connect()];
      const leaving = await collect(one, { delivery: { group: 'g' }, from: 'latest' });
      const staying = await collect(two, { delivery: { group: 'g' }, from: 'latest' });
      await one.publish(topic, events('a', 20));
      await eventually(() => leaving.seen.length + staying.seen.length).toBeGreaterThanOrEqual(20);
      await leaving.subscription.close();
      const before = leaving.seen.length;
      await one.publish(topic, events('a', 20, 20));
      await eventually(() => distinct(sequences(staying.seen)).filter((sequence) => sequence >= 20)).toEqual(
        upTo(20, 20),
      );
      expect(leaving.seen).toHaveLength(before);
    });

    it.each(['broadcast', { group: 'g' }] as const)(
      'gives an event again until it is handled, and none behind it before (%j)',
      async (delivery) => {
        const bus = await connect();
        const calls: { sequence: number; attempt: number }[] = [];
        await bus.subscribe({ topics: [topic], delivery, from: 'latest' }, async ({ sequence }, { attempt }) => {
          calls.push({ sequence, attempt });
          if (sequence === 1 && attempt < 4) throw new Error('not now');
        });
        await bus.publish(topic, events('a', 3));
        await eventually(() => calls).toEqual([
          { sequence: 0, attempt: 1 },
          { sequence: 1, attempt: 1 },
          { sequence: 1, attempt: 2 },
          { sequence: 1, attempt: 3 },
          { sequence: 1, attempt: 4 },
          { sequence: 2, attempt: 1 },
        ]);
      },
    );

    it('gives an event that was never handled to the next member', async () => {
      const first = await connect();
      let tried = 0;
      const subscription = await first.subscribe(
        { topics: [topic], delivery: { group: 'g' }, from: 'latest' },
        async () => {
          tried++;
          throw new Error('never');
        },
      );
      await first.publish(topic, events('a', 2));
      await eventually(() => tried).toBeGreaterThan(1);
      await subscription.close();
      const { seen } = await collect(await connect(), { delivery: { group: 'g' }, from: 'latest' });
      await eventually(() => sequences(seen)).toEqual([0, 1]);
    });

    it('waits at close for the handler that runs, tells it so, and calls no other', async () => {
      const bus = await connect();
      const started = Promise.withResolvers<void>();
      let handled = 0;
      const subscription = await bus.subscribe(
        { topics: [topic], delivery: 'broadcast', from: 'latest' },
        async (_, { signal }) => {
          started.resolve();
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          handled++;
        },
      );
      await bus.publish(topic, events('a', 5));
      await started.promise;
      await subscription.close();
      expect(handled).toBe(1);
    });

    it('ends a subscription with its signal', async () => {
      const bus = await connect();
      const controller = new AbortController();
      const ended = await collect(bus, { delivery: 'broadcast', from: 'latest', signal: controller.signal });
      const going = await collect(bus, { delivery: 'broadcast', from: 'latest' });
      controller.abort();
      await bus.publish(topic, events('a', 1));
      await eventually(() => going.seen.length).toBe(1);
      expect(ended.seen).toEqual([]);
    });

    it('keeps topics apart, and follows several', async () => {
      const bus = await connect();
      const seen: string[] = [];
      await bus.subscribe(
        { topics: [`${topic}.x`, `${topic}.y`], delivery: 'broadcast', from: 'latest' },
        async (each, delivery) => {
          seen.push(`${delivery.topic} ${each.subject}`);
        },
      );
      await bus.publish(`${topic}.z`, [event('never', 0)]);
      await bus.publish(`${topic}.x`, [event('a', 0)]);
      await bus.publish(`${topic}.y`, [event('b', 0)]);
      await eventually(() => seen.toSorted()).toEqual([`${topic}.x a`, `${topic}.y b`]);
    });

    it('publishes all of a list, or nothing of it', async () => {
      const bus = await connect();
      const { seen } = await collect(bus, { delivery: 'broadcast', from: 'latest' });
      const huge = { ...event('a', 1), data: 'x'.repeat(1024 * 1024) };
      await expect(bus.publish(topic, [event('a', 0), huge])).rejects.toThrow(/over the limit/);
      const wrong = { ...event('a', 1), subject: '' };
      await expect(bus.publish(topic, [event('a', 0), wrong])).rejects.toThrow(/subject/);
      await bus.publish(topic, []);
      await bus.publish(topic, [event('a', 2)]);
      await eventually(() => sequences(seen)).toEqual([2]);
    });

    it.each(['', 'a b', '../up', 'x'.repeat(250)])('refuses the topic or group %j', async (wrong) => {
      const bus = await connect();
      const handle = async () => undefined;
      await expect(bus.publish(wrong, [event('a', 0)])).rejects.toThrow(AssayError);
      const inGroup = { topics: [topic], delivery: { group: wrong }, from: 'latest' } as const;
      await expect(bus.subscribe(inGroup, handle)).rejects.toThrow(AssayError);
      const onTopic = { topics: [wrong], delivery: 'broadcast', from: 'latest' } as const;
      await expect(bus.subscribe(onTopic, handle)).rejects.toThrow(AssayError);
    });

    it('takes nothing once it is closed', async () => {
      const bus = await connect();
      await bus.close();
      await expect(bus.publish(topic, [event('a', 0)])).rejects.toThrow(AssayError);
    });
  });
}
