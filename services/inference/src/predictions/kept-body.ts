/** As long as the block that a socket is read into: a body of more has memory of its own. */
const MAX_COPIED_BYTES = 64 * 1024;

/**
 * A body for who holds it longer than its request. However small, it may lie in the block of 64 KiB that its socket was read
 * into: those that wait would hold such blocks all over the heap.
 */
export function keptBody(body: Buffer): Buffer {
  return body.length <= MAX_COPIED_BYTES ? Buffer.from(body) : body;
}
