import { type Event, TOPICS } from '@assay/contracts';
import { type EventBus, newEvent, openEventBus } from '@assay/events';
import { ensureTopics, kafkaConfig, kafkaSettings, mapKafkaError, openKafka, superviseExactlyOnce } from '@assay/kafka';
import { loadConfig } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SecureBroker, startSecureBroker } from '../parts/secure-broker.ts';
import { readCommitted } from './checker.ts';

const PACE = { initialRetryTimeMs: 20, maxRetryTimeMs: 100, retries: 2 };
const WAIT_MS = 60_000;

let secure: SecureBroker;
beforeAll(async () => {
  secure = await startSecureBroker();
});
afterAll(async () => {
  await secure?.[Symbol.asyncDispose]();
});

/** The settings of an installation, as its environment has them. */
function load(env: Record<string, string>) {
  const prefixed = Object.fromEntries(Object.entries(env).map(([name, value]) => [`ASSAY_KAFKA_${name}`, value]));
  return loadConfig(kafkaConfig, { env: prefixed });
}

/** The way by which each listener is to be reached. */
const ways = (): Record<string, Record<string, string>> => {
  const { addresses, certificates, user } = secure;
  const login = { SASL_USERNAME: user.name, SASL_PASSWORD: user.password };
  const tls = { TLS_CA_FILE: certificates.caFile };
  return {
    TLS: { BROKERS: addresses.tls, ...tls },
    'mutual TLS': {
      ...{ BROKERS: addresses.mutualTls, ...tls },
      ...{ TLS_CERT_FILE: certificates.clientCertFile, TLS_KEY_FILE: certificates.clientKeyFile },
    },
    'SASL PLAIN over TLS': { BROKERS: addresses.saslTls, ...tls, SASL_MECHANISM: 'plain', ...login },
    'SASL SCRAM-SHA-256': { BROKERS: addresses.sasl, SASL_MECHANISM: 'scram-sha-256', ...login },
    'SASL SCRAM-SHA-512': { BROKERS: addresses.sasl, SASL_MECHANISM: 'scram-sha-512', ...login },
    'SASL SCRAM-SHA-512 over TLS': { BROKERS: addresses.saslTls, ...tls, SASL_MECHANISM: 'scram-sha-512', ...login },
  };
};

const WAYS = [
  'TLS',
  'mutual TLS',
  'SASL PLAIN over TLS',
  'SASL SCRAM-SHA-256',
  'SASL SCRAM-SHA-512',
  'SASL SCRAM-SHA-512 over TLS',
];

describe.each(WAYS)('Kafka by %s', (way) => {
  it('carries events to a group and back', async () => {
    const log = { warn: () => undefined, error: () => undefined };
    const bus: EventBus = await openEventBus('kafka:', { kafka: load(ways()[way] ?? {}), clientId: 'secure', log });
    const topic = `${TOPICS.models}.${way.replaceAll(' ', '-')}`;
    const seen: Event[] = [];
    try {
      await bus.subscribe({ topics: [topic], delivery: { group: 'g' }, from: 'latest' }, async (event) => {
        seen.push(event);
      });
      const event = newEvent({ source: '/assay/test', type: 'assay.test.v1', subject: 'a', sequence: 1, data: way });
      await bus.publish(topic, [event]);
      await expect.poll(() => seen, { timeout: WAIT_MS }).toEqual([event]);
    } finally {
      await bus.close();
    }
  });
});

it('a pipeline is exactly once by TLS and SCRAM too', async () => {
  const settings = kafkaSettings(load(ways()['SASL SCRAM-SHA-512 over TLS'] ?? {}), 'secure-pipeline');
  const kafka = await openKafka(settings, { ...PACE, retries: 10 });
  const admin = kafka.admin();
  await admin.connect();
  const [input, output] = ['secure.in', 'secure.out'];
  const partitions = 2;
  await ensureTopics(
    admin,
    [input, output].map((topic) => ({ topic, partitions })),
    AbortSignal.timeout(WAIT_MS),
  );
  await admin.disconnect();
  // Without it, an answer that one partition has no leader yet makes the client send to the other partition again.
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const values = Array.from({ length: 200 }, (_, i) => String(i));
  await producer.send({ topic: input, messages: values.map((value) => ({ key: value, value })) });
  await producer.disconnect();
  const stop = new AbortController();
  const running = superviseExactlyOnce(
    { kafka: settings, input, outputs: [output], group: 'secure', maxBatchRecords: 20 },
    async (batch) => batch.map(({ key, value, headers }) => ({ topic: output, key, value, headers })),
    stop.signal,
  );
  const found = await readCommitted(secure.broker.bootstrap, [output], (all) => all.length >= values.length, {
    timeoutMs: WAIT_MS,
    quietMs: 500,
  });
  stop.abort();
  await running;
  const numbers = found.map(({ value }) => Number(value)).toSorted((a, b) => a - b);
  expect(numbers).toEqual(values.map(Number));
});

describe('Kafka that refuses is named in one clear line', () => {
  const refusal = async (env: Record<string, string>) => {
    const settings = kafkaSettings(load(env), 'refused');
    const admin = (await openKafka(settings, PACE)).admin();
    const error = await admin.connect().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    await admin.disconnect();
    expect(error).toBeDefined();
    const told = mapKafkaError(error, settings.brokers);
    expect(told.message).not.toMatch(/\n/);
    expect(told.message).not.toContain(secure.user.password);
    expect(told.message).toContain(`Kafka at ${env.BROKERS}: `);
    return told;
  };

  it('a wrong password, by PLAIN and by SCRAM, and an unknown user', async () => {
    for (const way of ['SASL PLAIN over TLS', 'SASL SCRAM-SHA-256', 'SASL SCRAM-SHA-512']) {
      const wrong = await refusal({ ...ways()[way], SASL_PASSWORD: 'hunter2' });
      expect(wrong.code).toBe('FAILED_PRECONDITION');
      expect(wrong.message).toMatch(/refused the SASL user or password/);
      expect(wrong.message).not.toContain('hunter2');
    }
    const unknown = await refusal({ ...ways()['SASL SCRAM-SHA-512'], SASL_USERNAME: 'someone' });
    expect(unknown.message).toMatch(/refused the SASL user or password/);
  });

  it('a broker whose certificate another authority signed', async () => {
    const error = await refusal({ ...ways().TLS, TLS_CA_FILE: secure.certificates.otherCaFile });
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toMatch(/the TLS handshake failed .*; check the CA file/);
  });

  it('no certificate where the broker wants one', async () => {
    const { TLS_CERT_FILE: _, TLS_KEY_FILE: __, ...without } = ways()['mutual TLS'] ?? {};
    const error = await refusal({ BROKERS: secure.addresses.mutualTls, ...without });
    expect(error.message).toMatch(/TLS|certificate|connection/i);
  });

  it('no TLS where the broker speaks it, and no listener', async () => {
    expect((await refusal({ BROKERS: secure.addresses.tls })).retryable).toBe(true);
    const absent = await refusal({ BROKERS: '127.0.0.1:1' });
    expect(absent.code).toBe('UNAVAILABLE');
    expect(absent.message).toContain('cannot be reached');
  });

  it('to a pipeline too, which waits and says why', async () => {
    const settings = kafkaSettings(load({ ...ways()['SASL SCRAM-SHA-512'], SASL_PASSWORD: 'hunter2' }), 'refused');
    const stop = new AbortController();
    const reasons: string[] = [];
    const pipeline = { kafka: settings, input: 'in', outputs: ['out'], group: 'g' };
    const running = superviseExactlyOnce(pipeline, async () => [], stop.signal, {
      onState: (state) => {
        if (state.state === 'waiting') reasons.push(state.reason);
      },
    });
    await expect.poll(() => reasons.length, { timeout: WAIT_MS }).toBeGreaterThan(0);
    stop.abort();
    await running;
    expect(reasons[0]).toMatch(/refused the SASL user or password/);
    expect(reasons.join()).not.toContain('hunter2');
  });
});
