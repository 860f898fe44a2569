/** Which predictions go into the log: chosen by their ids, so that another attempt chooses the same. */

/** @param ratio the share of all, from 0 to 1 */
export function isSampled(id: string, ratio: number): boolean {
  return ratio >= 1 || hash(id) / 2 ** 32 < ratio;
}

/** FNV-1a, 32 bits, with the last mixing of MurmurHash3: ids that follow each other end far apart. */
function hash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
