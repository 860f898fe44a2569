import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { type AbortedTransaction, type FetchedMessage, filterAbortedMessages } from './aborted-messages.ts';
import { replaceKafkajsParts } from './kafkajs-parts.ts';

const require = createRequire(import.meta.url);

const record = (offset: number, producerId: string | undefined, key: Buffer | null = null): FetchedMessage => ({
  offset: String(offset),
  key,
  isControlRecord: false,
  batchContext: { producerId: producerId ?? '-1', inTransaction: producerId !== undefined },
});
const marker = (offset: number, producerId: string, type: 'abort' | 'commit'): FetchedMessage => ({
  ...record(offset, producerId, Buffer.from([0, 0, 0, type === 'abort' ? 0 : 1])),
  isControlRecord: true,
});
const aborted = (producerId: string, firstOffset: number): AbortedTransaction => ({
  producerId,
  firstOffset: String(firstOffset),
});
const offsetsOf = (messages: readonly FetchedMessage[]) =>
  messages.filter(({ isControlRecord }) => !isControlRecord).map(({ offset }) => Number(offset));

/** Two producers, whose transactions overlap: a aborts 0 and 2, then commits 6; b aborts 1 and 3, and 7. */
const OVERLAPPING = [
  record(0, 'a'),
  record(1, 'b'),
  record(2, 'a'),
  record(3, 'b'),
  marker(4, 'a', 'abort'),
  marker(5, 'b', 'abort'),
  record(6, 'a'),
  record(7, 'b'),
  record(8, undefined),
  marker(9, 'a', 'commit'),
  marker(10, 'b', 'abort'),
];

describe('of aborted transactions nothing is left', () => {
  test.each([
    ['sorted', [aborted('a', 0), aborted('b', 1), aborted('b', 7)]],
    ['the other way round', [aborted('b', 7), aborted('b', 1), aborted('a', 0)]],
    ['as digits sort', [aborted('b', 1), aborted('a', 0), aborted('b', 7)]],
  ])('whatever the order of the list: %s', (_, abortedTransactions) => {
    expect(offsetsOf(filterAbortedMessages({ messages: OVERLAPPING, abortedTransactions }))).toEqual([6, 8]);
  });

  test('where the records begin behind the first offsets of several', () => {
    const messages = OVERLAPPING.slice(2);
    const abortedTransactions = [aborted('a', 0), aborted('b', 1), aborted('b', 7)];
    expect(offsetsOf(filterAbortedMessages({ messages, abortedTransactions }))).toEqual([6, 8]);
  });

  test('where a record has the key of a marker', () => {
    const messages = [record(0, 'a', Buffer.alloc(4)), record(1, 'a'), marker(2, 'a', 'abort'), record(3, 'a')];
    expect(offsetsOf(filterAbortedMessages({ messages, abortedTransactions: [aborted('a', 0)] }))).toEqual([3]);
  });

  test('where offsets are beyond what a double holds', () => {
    const first = '9223372036854775000';
    const messages = [
      { ...record(0, 'a'), offset: '9223372036854774999' },
      { ...record(0, 'a'), offset: first },
    ];
    const abortedTransactions = [{ producerId: 'a', firstOffset: first }];
    expect(filterAbortedMessages({ messages, abortedTransactions }).map(({ offset }) => offset)).toEqual([
      '9223372036854774999',
    ]);
  });
});

test.each([undefined, null, []])('without aborted transactions all is left: %s', (abortedTransactions) => {
  expect(filterAbortedMessages({ messages: OVERLAPPING, abortedTransactions })).toBe(OVERLAPPING);
});

test('kafkajs reads batches through it', () => {
  replaceKafkajsParts();
  const Batch = require('kafkajs/src/consumer/batch');
  const batch = new Batch('t', '0', {
    partition: 0,
    highWatermark: '11',
    messages: OVERLAPPING,
    abortedTransactions: [aborted('b', 7), aborted('b', 1), aborted('a', 0)],
  });
  expect(offsetsOf(batch.messages)).toEqual([6, 8]);
});
