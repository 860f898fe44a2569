/** Prediction ids of a stream: the same record gives the same id whenever it is scored. */
import { hash } from 'node:crypto';
import type { InputRecord } from '@assay/kafka';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Two characters for each value of ten bits. */
const PAIRS = Array.from({ length: 1024 }, (_, i) => ALPHABET.charAt(i >> 5) + ALPHABET.charAt(i & 31));
const MAX_TIME_MS = 2 ** 48 - 1;

/**
 * Ids look like all others (`prd_`, ten characters of time, sixteen that tell apart), with nothing drawn by chance:
 *
 *     time = base32(the record's timestamp, milliseconds, 50 bits)
 *     rest = base32(the first 80 bits of SHA-256(UTF-8 of `["PIPELINE","CLUSTER ID","TOPIC",PARTITION,OFFSET]`))
 *
 * The client gives no topic ids. The timestamp, which Kafka keeps with the record, stands for it: a topic that is deleted
 * and made again has the same name and offsets, and other records at other times.
 */
export function createPredictionIds(pipeline: string, clusterId: string): (record: InputRecord) => string {
  const heads = new Map<string, string>();
  return ({ topic, partition, offset, timestampMs }) => {
    let head = heads.get(topic);
    if (head === undefined) {
      head = JSON.stringify([pipeline, clusterId, topic]).slice(0, -1);
      heads.set(topic, head);
    }
    // As text: making a buffer costs five times as much as the hash.
    const digest = hash('sha256', `${head},${partition},${offset}]`, 'hex');
    // -1 is a record without a timestamp.
    const timeMs = Math.min(Math.max(timestampMs, 0), MAX_TIME_MS);
    const [high, low] = [Number.parseInt(digest.slice(0, 10), 16), Number.parseInt(digest.slice(10, 20), 16)];
    return `prd_${base32(timeMs, 5)}${base32(high, 4)}${base32(low, 4)}`;
  };
}

function base32(value: number, pairs: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < pairs; i++) {
    text = PAIRS[rest % 1024] + text;
    rest = Math.floor(rest / 1024);
  }
  return text;
}
