/**
 * Ids that never repeat and sort by the time they were made: a prefix, `_`, and a ULID
 * (https://github.com/ulid/spec) in lower case, since Kubernetes names have no capitals.
 */
import { randomFillSync } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Two characters for each value of ten bits. */
const PAIRS = Array.from({ length: 1024 }, (_, i) => ALPHABET.charAt(i >> 5) + ALPHABET.charAt(i & 31));
const [TWO_20, TWO_40] = [2 ** 20, 2 ** 40];

const randomBytes = new Uint8Array(10 * 256);
let randomOffset = randomBytes.length;

let lastMs = -1;
let timePart = '';
/** The 80 random bits of the last id, as three numbers of 40, 20 and 20 bits. */
let high = 0;
let middle = 0;
let low = 0;
/** What ids have in common until `middle` changes: time, `high` and `middle`. */
let beginning = '';

/**
 * A new id such as `mdl_01jd8q2v7k3m9x4w5e6r7t8y9z`: 48 bits of time in milliseconds, then 80 random bits. Within one
 * millisecond (or while the clock stands or runs back) the random part is counted up, so that ids of one thread always
 * grow; two threads or processes differ by their random bits.
 * @param prefix names the kind of resource: `mdl`, `ver`, `job`
 */
export function newId(prefix: string): string {
  const nowMs = Date.now();
  if (nowMs > lastMs) {
    lastMs = nowMs;
    timePart = encodeTime(nowMs);
    high = random40() % (TWO_40 / 2); // the top bit stays free, so that counting up cannot overflow
    const rest = random40();
    middle = Math.floor(rest / TWO_20);
    low = rest % TWO_20;
    beginning = timePart + encode40(high) + encode20(middle);
  } else if (++low === TWO_20) {
    low = 0;
    if (++middle === TWO_20) {
      middle = 0;
      high++;
    }
    beginning = timePart + encode40(high) + encode20(middle);
  }
  return `${prefix}_${beginning}${encode20(low)}`;
}

/** The milliseconds since 1970 in an id of `newId`; undefined when it is not one. */
export function idTimeMs(id: string): number | undefined {
  const match = /_([0-7][0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}$/.exec(id);
  if (match?.[1] === undefined) return undefined;
  let ms = 0;
  for (const character of match[1]) ms = ms * 32 + ALPHABET.indexOf(character);
  return ms;
}

function random40(): number {
  if (randomOffset + 5 > randomBytes.length) {
    randomFillSync(randomBytes);
    randomOffset = 0;
  }
  let value = 0;
  for (let i = 0; i < 5; i++) value = value * 256 + (randomBytes[randomOffset++] ?? 0);
  return value;
}

/** Ten characters: fifty bits, of which the upper two are zero. */
function encodeTime(ms: number): string {
  const upper = Math.floor(ms / TWO_40);
  return (PAIRS[upper & 1023] ?? '') + encode40(ms % TWO_40);
}

function encode40(value: number): string {
  return encode20(Math.floor(value / TWO_20)) + encode20(value % TWO_20);
}

function encode20(value: number): string {
  return (PAIRS[value >> 10] ?? '') + (PAIRS[value & 1023] ?? '');
}
