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
  let lastTimeMs = -1;
  let timeText = '';
  return ({ topic, partition, offset, timestampMs }) => {
    let head = heads.get(topic);
    if (head === undefined) {
      head = JSON.stringify([pipeline, clusterId, topic]).slice(0, -1);
      heads.set(topic, head);
    }
    // Those that came together have one time. -1 is a record without a timestamp.
    if (timestampMs !== lastTimeMs) {
      lastTimeMs = timestampMs;
      timeText = base32OfTime(Math.min(Math.max(timestampMs, 0), MAX_TIME_MS));
    }
    // As text, a character a byte: making a buffer costs five times as much as the hash.
    const digest = hash('sha256', `${head},${partition},${offset}]`, 'latin1');
    return `prd_${timeText}${base32OfBytes(digest, 0)}${base32OfBytes(digest, 5)}`;
  };
}

function base32OfTime(timeMs: number): string {
  let rest = timeMs;
  let text = '';
  for (let i = 0; i < 5; i++) {
    text = PAIRS[rest % 1024] + text;
    rest = Math.floor(rest / 1024);
  }
  return text;
}

/** Five bytes, which are four values of ten bits. */
function base32OfBytes(bytes: string, from: number): string {
  const high = (bytes.charCodeAt(from) << 12) | (bytes.charCodeAt(from + 1) << 4) | (bytes.charCodeAt(from + 2) >> 4);
  const low =
    ((bytes.charCodeAt(from + 2) & 15) << 16) | (bytes.charCodeAt(from + 3) << 8) | bytes.charCodeAt(from + 4);
  return `${PAIRS[high >> 10]}${PAIRS[high & 1023]}${PAIRS[low >> 10]}${PAIRS[low & 1023]}`;
}
