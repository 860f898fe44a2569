/** A session in its place. */
import { openSession, type Session } from '../session.ts';
import { type ApartOptions, type ApartPlace, openApart } from './apart-session.ts';
import { startProcess, startThread } from './peers.ts';

/** Where a graph runs: in the thread that asks, in a thread or in a process of its own. */
export type SessionPlace = 'loop' | 'thread' | 'process';

const APART = {
  /** A crash in a thread is one of this process. */
  thread: { start: startThread, restarts: false },
  process: { start: startProcess, restarts: true },
} as const satisfies Record<string, ApartPlace>;

/** @throws AssayError UNPROCESSABLE_MODEL */
export function openPlaced(model: Uint8Array, place: SessionPlace, options: ApartOptions): Promise<Session> {
  if (place === 'loop') {
    const { onEnded, ...here } = options;
    return openSession(model, here);
  }
  return openApart(model, options, APART[place]);
}
