/** The scheduling priority of the calling thread alone, so that requests, which other threads answer, go first. */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/**
 * Makes the calling thread as nice as that (0 to 19).
 * @returns why it could not; undefined when it could. Only Linux has it: there a thread has an id of its own, which
 *   setpriority(2) takes in place of a process
 */
export function lowerPriority(niceness: number): string | undefined {
  if (niceness === 0) return undefined;
  try {
    const id = Number(/\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1]);
    if (!Number.isSafeInteger(id)) return '/proc/thread-self does not name a thread';
    setPriority(id, niceness);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
