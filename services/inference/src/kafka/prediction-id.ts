/** Prediction ids of a stream: the same record gives the same id whenever it is scored. */
import { hash } from 'node:crypto';
import type { InputRecord } from '@assay/kafka';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Two characters for each value of ten bits. */
const PAIRS = Array.from({ length: 1024 }, (_, i) => ALPHABET.charAt(i >> 5) + ALPHABET.charAt(i & 31));
const MAX_TIME_MS = 2 ** 48 - 1;
const TWO_20 = 2 ** 20;

/**
 * Ids look like all others (`prd_`, ten characters of time, sixteen that tell apart), with nothing drawn by chance:
 *
 *     time   = base32(the record's timestamp, milliseconds, 50 bits)
 *     source = base32(the first 40 bits of SHA-256(UTF-8 of `["PIPELINE","CLUSTER ID","TOPIC",PARTITION]`))
 *     place  = base32(the record's offset, 40 bits of it)
 *
 * Those of a partition differ by their offsets; those of two partitions whose hashes are alike, which is one pair in 10^12,
 * by offset or time. The client gives no topic ids. The timestamp, which Kafka keeps with the record, stands for it: a topic
 * that is deleted and made again has the same name and offsets, and other records at other times.
 */
export function createPredictionIds(pipeline: string, clusterId: string): (record: InputRecord) => string {
  const sources = new Map<string, string[]>();
  let [lastTimeMs, lastPlaceUpper] = [-1, -1];
  let [timeText, placeUpperText] = ['', ''];
  return ({ topic, partition, offset, timestampMs }) => {
    let ofTopic = sources.get(topic);
    if (ofTopic === undefined) {
      ofTopic = [];
      sources.set(topic, ofTopic);
    }
    ofTopic[partition] ??= sourceOf([pipeline, clusterId, topic, partition]);
    // Those that came together have one time. -1 is a record without a timestamp.
    if (timestampMs !== lastTimeMs) {
      lastTimeMs = timestampMs;
      timeText = base32OfTime(Math.min(Math.max(timestampMs, 0), MAX_TIME_MS));
    }
    const place = Number(BigInt.asUintN(40, offset));
    const upper = Math.floor(place / TWO_20);
    if (upper !== lastPlaceUpper) {
      lastPlaceUpper = upper;
      placeUpperText = base32Of20(upper);
    }
    return `prd_${timeText}${ofTopic[partition]}${placeUpperText}${base32Of20(place % TWO_20)}`;
  };
}

function sourceOf(source: readonly [string, string, string, number]): string {
  const bytes = hash('sha256', JSON.stringify(source), 'buffer');
  return base32Of20(bytes.readUIntBE(0, 3) >> 4) + base32Of20(bytes.readUIntBE(2, 3) % TWO_20);
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

function base32Of20(value: number): string {
  return `${PAIRS[value >> 10]}${PAIRS[value & 1023]}`;
}
