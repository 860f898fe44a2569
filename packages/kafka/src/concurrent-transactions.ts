/**
 * The broker completes a transaction after it has answered, and tells the next one of the same id to come back until it has
 * (CONCURRENT_TRANSACTIONS). kafkajs takes that for stale metadata: it asks the cluster for all of it, and sends the records
 * again from the beginning. Here only what was refused is asked again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClassOf } from './mixin.ts';

/** kafkajs' own, as far as it is replaced. */
export interface Broker {
  addPartitionsToTxn(of: unknown): Promise<unknown>;
}

const LONGEST_PAUSE_MS = 8;
/** Some 150 ms; then kafkajs goes on as it ever did. */
const MOST_TRIES = 20;

export function awaitConcurrentTransactions(Original: ClassOf<Broker>): ClassOf<Broker> {
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
