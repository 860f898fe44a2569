/**
 * The broker completes a transaction after it has answered, and tells the next one of the same id to come back until it has
 * (CONCURRENT_TRANSACTIONS). kafkajs takes that for stale metadata: it asks the cluster for all of it, and sends the records
 * again from the beginning. Here only what was refused is asked again.
 */
import { setTimeout as delay } from 'node:timers/promises';

/** kafkajs' own, as far as it is replaced. */
export interface Broker {
  addPartitionsToTxn(of: unknown): Promise<unknown>;
}
// A mixin's constructor takes whatever that of its base takes.
// biome-ignore lint/suspicious/noExplicitAny: TypeScript asks for exactly this of a mixin's base
export type BrokerClass = new (...given: any[]) => Broker;

const LONGEST_PAUSE_MS = 8;
/** Some 150 ms; then kafkajs goes on as it ever did. */
const MOST_TRIES = 20;

export function awaitConcurrentTransactions(Original: BrokerClass): BrokerClass {
  return class extends Original {
    override async addPartitionsToTxn(of: unknown): Promise<unknown> {
      for (let attempt = 1; ; attempt++) {
        try {
          return await super.addPartitionsToTxn(of);
        } catch (error) {
          if (attempt === MOST_TRIES || !isConcurrent(error)) throw error;
          await delay(Math.min(LONGEST_PAUSE_MS, 2 ** (attempt - 1)));
        }
      }
    }
  };
}

function isConcurrent(error: unknown): boolean {
  return error instanceof Error && 'type' in error && error.type === 'CONCURRENT_TRANSACTIONS';
}
