/**
 * The stream thread of the tests, which kills its process with -9 at a point of a transaction: `ASSAY_TEST_KILL_AT` is
 * `{point, transaction}`, of the N-th transaction that has results. The Kafka client is wrapped for that; the thread is as
 * it is. What it says goes to standard output, which the main thread writes for it.
 */
import { loadKafkajs } from '@assay/kafka';
import type { Producer, ProducerConfig, Transaction } from 'kafkajs';
import type { KillPoint } from './kill-points.ts';

interface KillAt {
  readonly point: KillPoint;
  readonly transaction: number;
}

const killAt: KillAt | undefined = JSON.parse(process.env.ASSAY_TEST_KILL_AT ?? 'null') ?? undefined;
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

let transactions = 0;

function at(point: KillPoint): void {
  if (killAt?.point === point && transactions >= killAt.transaction) process.kill(process.pid, 'SIGKILL');
}

function watched(transaction: Transaction): Transaction {
  return {
    ...transaction,
    async sendBatch(batch) {
      transactions++;
      at('begun');
      const sent = await transaction.sendBatch(batch);
      at('sent');
      return sent;
    },
    async sendOffsets(offsets) {
      await transaction.sendOffsets(offsets);
      at('offsets');
    },
    async commit() {
      const committed = transaction.commit();
      setImmediate(() => at('committing'));
      await committed;
      at('committed');
      say({ committed: transactions });
    },
  };
}

const { Kafka } = await loadKafkajs();
const makeProducer = Kafka.prototype.producer;
Kafka.prototype.producer = function (this: InstanceType<typeof Kafka>, config?: ProducerConfig): Producer {
  const producer = makeProducer.call(this, config);
  if (config?.transactionalId === undefined) return producer;
  return { ...producer, transaction: async () => watched(await producer.transaction()) };
};

await import('../../services/inference/src/entries/stream-thread.ts');
