/**
 * MurmurHash3, x86, 32 bits (https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp), over the UTF-8 bytes
 * of a text. Its values are part of what Assay promises: two replicas of any version route a key alike, and any language
 * has this hash (Python: `mmh3.hash(key, seed, signed=False)`). It is not cryptographic and need not be.
 */

const encoder = new TextEncoder();
/** Reused between calls, which are synchronous; a longer text gets bytes of its own. */
const scratch = new Uint8Array(1024);

/** The hash as an unsigned 32-bit integer. */
export function murmur3(text: string, seed: number): number {
  // A UTF-16 unit is at most three UTF-8 bytes.
  if (text.length * 3 <= scratch.length) {
    const { written } = encoder.encodeInto(text, scratch);
    return hashBytes(scratch, written, seed);
  }
  const bytes = encoder.encode(text);
  return hashBytes(bytes, bytes.length, seed);
}

function hashBytes(bytes: Uint8Array, length: number, seed: number): number {
  let hash = seed | 0;
  const blocksEnd = length & ~3;
  for (let i = 0; i < blocksEnd; i += 4) {
    hash ^= mixBlock(at(bytes, i) | (at(bytes, i + 1) << 8) | (at(bytes, i + 2) << 16) | (at(bytes, i + 3) << 24));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = length - 1; i >= blocksEnd; i--) tail = (tail << 8) | at(bytes, i);
  hash ^= mixBlock(tail) ^ length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mixBlock(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
