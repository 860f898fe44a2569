/** A session that runs apart (apart/apart-session.ts), in a worker thread or a child process: whichever this is. */
import { parentPort } from 'node:worker_threads';
import { lowerPriority } from '@assay/runtime';
import { hostSession } from '../apart/host.ts';
import type { FromHost, ToHost } from '../apart/messages.ts';

/**
 * Of a thread that runs a slow model: where it shares a core with the event loop, requests are read, refused and answered
 * between its runs, and do not wait for a time slice to end.
 */
const NICENESS = 5;

const port = parentPort;
if (port !== null) {
  lowerPriority(NICENESS); // where it cannot be had, what is refused waits a little longer
  const take = hostSession({
    say: (message, transfer) => port.postMessage(message, transfer),
    end: () => port.close(),
  });
  port.on('message', (message: ToHost) => take(message));
} else if (process.send !== undefined) {
  const send = process.send.bind(process);
  const take = hostSession({
    say: (message: FromHost) => void send(message),
    end: () => process.disconnect?.(),
  });
  process.on('message', (message) => take(message as ToHost)); // its parent's, which sends nothing else
  // Whoever asked is gone, or said that it was all.
  process.once('disconnect', () => process.exit());
}
