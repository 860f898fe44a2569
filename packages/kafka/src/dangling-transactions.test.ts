import { expect, test } from 'vitest';
import { endDanglingTransactions, settleWhenInitialised } from './dangling-transactions.ts';

const IDENTITY = { producerId: '7', producerEpoch: 3 };

/** A coordinator that notes what it is asked, and refuses one step. */
function coordinatorOf(refused?: string) {
  const calls: unknown[] = [];
  const asked = async (step: string, of: unknown) => {
    calls.push([step, of]);
    if (step === refused) throw new Error(`no ${step}`);
    return IDENTITY;
  };
  const Coordinator = endDanglingTransactions(
    class {
      initProducerId(of: object) {
        return asked('init', of);
      }
      addPartitionsToTxn(of: unknown) {
        return asked('partitions', of);
      }
      addOffsetsToTxn(of: unknown) {
        return asked('offsets', of);
      }
      endTxn(of: unknown) {
        return asked('end', of);
      }
    },
  );
  return { coordinator: new Coordinator(), calls };
}

test('a producer whose partitions are known aborts an empty transaction over them before it is used', async () => {
  settleWhenInitialised('known', { topics: [{ topic: 'out', partitions: [2] }], groupId: 'group' });
  const { coordinator, calls } = coordinatorOf();
  expect(await coordinator.initProducerId({ transactionalId: 'known' })).toEqual(IDENTITY);
  const transaction = { transactionalId: 'known', ...IDENTITY };
  expect(calls).toEqual([
    ['init', { transactionalId: 'known' }],
    ['partitions', { ...transaction, topics: [{ topic: 'out', partitions: [2] }] }],
    ['offsets', { ...transaction, groupId: 'group' }],
    ['end', { ...transaction, transactionResult: false }],
  ]);
});

test("where that fails there is no producer: it is another one's, or tried again", async () => {
  settleWhenInitialised('known', { topics: [{ topic: 'out', partitions: [2] }], groupId: 'group' });
  for (const step of ['partitions', 'offsets', 'end']) {
    const { coordinator } = coordinatorOf(step);
    await expect(coordinator.initProducerId({ transactionalId: 'known' })).rejects.toThrow(`no ${step}`);
  }
});

test('other producers are initialised as ever', async () => {
  const { coordinator, calls } = coordinatorOf();
  for (const of of [{}, { transactionalId: 'unknown' }]) expect(await coordinator.initProducerId(of)).toEqual(IDENTITY);
  expect(calls.length).toBe(2);
});
