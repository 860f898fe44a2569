/**
 * When all brokers that lead the partitions of a transaction are stopped at once, even in good order, the coordinator may
 * call the transaction complete though none of its markers was written: it takes partitions without a leader for deleted
 * ones (seen on Apache Kafka 4.3.1; a commit that was acknowledged 2 ms before). Its records and offsets then lie in the logs
 * as if it went on: the committed offset is the one before it, and the next transaction of the same id would commit its
 * records with its own, a second time.
 *
 * So whoever takes over a transactional id first ends an empty transaction over the same partitions: its abort markers end
 * what dangles, records and offsets alike, and the committed offset is right.
 */
import type { ClassOf } from './mixin.ts';

/** What the transactions of an id are over. */
export interface TransactionScope {
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  readonly groupId: string;
}

interface ProducerIdentity {
  readonly producerId: string;
  readonly producerEpoch: number;
}

/** kafkajs' own, as far as it is replaced. */
export interface Coordinator {
  initProducerId(of: { readonly transactionalId?: string }): Promise<ProducerIdentity>;
  addPartitionsToTxn(of: unknown): Promise<unknown>;
  addOffsetsToTxn(of: unknown): Promise<unknown>;
  endTxn(of: unknown): Promise<unknown>;
}

/** One a partition that this process ever claimed. */
const scopes = new Map<string, TransactionScope>();

/** From now on a producer of this id ends what dangles of it when it is initialised. */
export function settleWhenInitialised(transactionalId: string, scope: TransactionScope): void {
  scopes.set(transactionalId, scope);
}

export function endDanglingTransactions(Original: ClassOf<Coordinator>): ClassOf<Coordinator> {
  return class extends Original {
    override async initProducerId(of: { readonly transactionalId?: string }): Promise<ProducerIdentity> {
      const identity = await super.initProducerId(of);
      const { transactionalId } = of;
      const scope = transactionalId === undefined ? undefined : scopes.get(transactionalId);
      if (scope === undefined) return identity;
      const { producerId, producerEpoch } = identity;
      const transaction = { transactionalId, producerId, producerEpoch };
      await this.addPartitionsToTxn({ ...transaction, topics: scope.topics });
      await this.addOffsetsToTxn({ ...transaction, groupId: scope.groupId });
      await this.endTxn({ ...transaction, transactionResult: false });
      return identity;
    }
  };
}
