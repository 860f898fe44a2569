/**
 * Leaves out the records of aborted transactions, as read_committed asks
 * (https://cwiki.apache.org/confluence/display/KAFKA/KIP-98, "the consumer"). A record is aborted when its batch is of a
 * transaction of a producer that is in the broker's list with a first offset at or before it, up to that producer's next
 * marker of an abort.
 *
 * kafkajs' own took the list as sorted by first offset, which the protocol does not promise; took one entry of it a record,
 * so that a batch which begins behind several of them let aborted records through; and took every record whose key is four
 * zero bytes for a marker.
 */

export interface AbortedTransaction {
  readonly producerId: string;
  readonly firstOffset: string;
}

export interface FetchedMessage {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly isControlRecord?: boolean;
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
}

interface Fetched<Message> {
  readonly messages: Message[];
  readonly abortedTransactions?: readonly AbortedTransaction[] | null | undefined;
}

/** The key of a marker: version int16, type int16; 0 is an abort, 1 a commit. */
const ABORT_TYPE = 0;

export function filterAbortedMessages<Message extends FetchedMessage>(fetched: Fetched<Message>): Message[] {
  const { messages, abortedTransactions } = fetched;
  if (abortedTransactions === undefined || abortedTransactions === null || abortedTransactions.length === 0) {
    return messages;
  }
  const begun = abortedTransactions
    .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: BigInt(firstOffset) }))
    .toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0));
  const aborting = new Set<string>();
  let next = 0;
  return messages.filter((message) => {
    const offset = BigInt(message.offset);
    for (let first = begun[next]; first !== undefined && first.firstOffset <= offset; first = begun[++next]) {
      aborting.add(first.producerId);
    }
    const { producerId, inTransaction } = message.batchContext;
    if (message.isControlRecord === true) {
      if (isAbort(message.key)) aborting.delete(producerId);
      return true; // who reads the batch leaves markers out
    }
    return !(inTransaction && aborting.has(producerId));
  });
}

function isAbort(key: Buffer | null): boolean {
  return key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT_TYPE;
}
