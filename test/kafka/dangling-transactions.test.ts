import { createRequire } from 'node:module';
import { ensureTopics, openKafka } from '@assay/kafka';
import { expect, it, vi } from 'vitest';
import { claimPartition } from '../../packages/kafka/src/claim.ts';
import type { Coordinator } from '../../packages/kafka/src/dangling-transactions.ts';
import { startBroker } from '../parts/broker.ts';
import { readCommitted } from './checker.ts';

/** kafkajs' class, as it was mended. */
const BrokerClass = (): { prototype: Coordinator } => createRequire(import.meta.url)('kafkajs/src/broker/index');

const result = (source: string) => ({ topic: 'out', key: null, value: Buffer.from(source), headers: { source } });

/**
 * As a broker leaves it that calls a transaction complete before any of its markers is written: records and the offset are
 * in the logs, and the coordinator knows of nothing. (The broker is told not to ask it before it takes them.)
 */
it('a claim ends what brokers left without an end, and begins at the offset before it', async () => {
  await using broker = await startBroker({ settings: ['transaction.partition.verification.enable=false'] });
  const kafka = await openKafka(
    { brokers: [broker.bootstrap], clientId: 'test' },
    { initialRetryTimeMs: 50, maxRetryTimeMs: 1000, retries: 10 },
  );
  const admin = kafka.admin();
  await admin.connect();
  const partitionsOf = new Map([
    ['in', 1],
    ['out', 1],
  ]);
  await ensureTopics(
    admin,
    [...partitionsOf.keys()].map((topic) => ({ topic, partitions: 1 })),
    AbortSignal.timeout(20_000),
  );
  // In the product the group has been joined before.
  await expect
    .poll(() => admin.fetchOffsets({ groupId: 'group', topics: ['in'] }).catch(() => undefined), { timeout: 20_000 })
    .toBeDefined();
  const options = { group: 'group', topic: 'in', partition: 0, transactionTimeoutMs: 15_000, partitionsOf };

  const first = claimPartition(kafka, admin, options, () => true);
  await first.settled;
  expect(await first.commit([result('0')], { first: 0n, last: 0n })).toBe(true);
  // Acknowledged before its markers are written, which would be those of the next one, too.
  const offset = async () => (await admin.fetchOffsets({ groupId: 'group', topics: ['in'] }))[0]?.partitions[0]?.offset;
  await expect.poll(offset, { timeout: 20_000 }).toBe('1');
  const limits = { timeoutMs: 30_000, quietMs: 1500 };
  expect((await readCommitted(broker.bootstrap, ['out'], (all) => all.length >= 1, limits)).length).toBe(1);
  const { prototype } = BrokerClass();
  for (const step of ['addPartitionsToTxn', 'addOffsetsToTxn', 'endTxn'] as const) {
    vi.spyOn(prototype, step).mockResolvedValue(undefined);
  }
  expect(await first.commit([result('1'), result('2')], { first: 1n, last: 2n })).toBe(true);
  vi.restoreAllMocks();
  await first.retire();

  const second = claimPartition(kafka, admin, options, () => true);
  await second.settled;
  expect(second.next).toBe(1n);
  expect(await second.commit([result('1'), result('2')], { first: 1n, last: 2n })).toBe(true);
  await second.retire();
  await admin.disconnect();
  const found = await readCommitted(broker.bootstrap, ['out'], (all) => all.length >= 3, limits);
  expect(found.map(({ headers }) => headers.source)).toEqual(['0', '1', '2']);
});
