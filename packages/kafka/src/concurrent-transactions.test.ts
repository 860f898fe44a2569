import { expect, test } from 'vitest';
import { awaitConcurrentTransactions } from './concurrent-transactions.ts';

/** A broker that answers with these, one a call. */
function brokerOf(answers: readonly (string | 'ok')[]) {
  let calls = 0;
  const Broker = awaitConcurrentTransactions(
    class {
      async addPartitionsToTxn(of: unknown): Promise<unknown> {
        const type = answers[Math.min(calls++, answers.length - 1)];
        if (type === 'ok') return of;
        throw Object.assign(new Error(type), { type });
      }
    },
  );
  return { broker: new Broker(), calls: () => calls };
}

test('a transaction waits for the one before it, and is asked for again', async () => {
  const { broker, calls } = brokerOf(['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS', 'ok']);
  expect(await broker.addPartitionsToTxn('these')).toBe('these');
  expect(calls()).toBe(3);
});

test('it does not wait for ever, and for nothing else', async () => {
  const busy = brokerOf(['CONCURRENT_TRANSACTIONS']);
  await expect(busy.broker.addPartitionsToTxn('these')).rejects.toThrow('CONCURRENT_TRANSACTIONS');
  expect(busy.calls()).toBe(20);
  const fenced = brokerOf(['INVALID_PRODUCER_EPOCH', 'ok']);
  await expect(fenced.broker.addPartitionsToTxn('these')).rejects.toThrow('INVALID_PRODUCER_EPOCH');
  expect(fenced.calls()).toBe(1);
});
