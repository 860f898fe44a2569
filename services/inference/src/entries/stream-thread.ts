/** Stream scoring in a thread of its own: what it costs, requests do not wait for. */
import { parentPort, workerData } from 'node:worker_threads';
import type { StreamThreadStart } from '../stream-threads/messages.ts';
import { runStreamThread } from '../stream-threads/run-stream-thread.ts';

if (parentPort === null) throw new Error('stream-thread is the entry of a worker thread');
await runStreamThread(workerData as StreamThreadStart, parentPort); // given by ../stream-threads/supervised-thread.ts
parentPort.close(); // nothing is left then that keeps the thread
