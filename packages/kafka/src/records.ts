/** The records that a transform reads and writes. */

export type Headers = Readonly<Record<string, Buffer | string>>;

export interface InputRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  /** Milliseconds since the epoch, as the producer or the broker set it. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  /** null is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Headers;
}

/**
 * A record to write in the transaction that commits its input. Its partition is its input's modulo the number of
 * partitions of `topic`, so that the order of a key is kept.
 */
export interface OutputRecord {
  readonly topic: string;
  readonly key: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers: Headers;
  /** More headers, one object for many records, whose bytes are made once. None of its names is in `headers`. */
  readonly sharedHeaders?: Headers;
}

/** What to write for a batch of one partition, in order. `signal` ends when the partition is lost or the runner stops. */
export type Transform = (batch: readonly InputRecord[], signal: AbortSignal) => Promise<readonly OutputRecord[]>;
