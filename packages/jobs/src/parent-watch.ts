/**
 * A job must not outlive the service that started it, not even one that is killed with -9. The launcher holds one end of
 * a pipe and never writes to it; when the launcher's process is gone, however it went, the other end closes. A thread of
 * its own watches that, since a trainer's native call may block the main thread for minutes.
 */
import { Worker } from 'node:worker_threads';

/** The file descriptor of the pipe in a job's process. */
export const PARENT_PIPE_FD = 3;

/** In plain JavaScript and in one string: it loads no file, so it is the same from source and in the bundle. */
const WATCH = `
const { parentPort } = require('node:worker_threads');
const { Socket } = require('node:net');
const end = () => {
  try { process.kill(-process.pid, 'SIGKILL'); } catch {}
  process.kill(process.pid, 'SIGKILL');
};
const pipe = new Socket({ fd: ${PARENT_PIPE_FD}, readable: true, writable: false });
pipe.on('error', end).on('close', end).on('end', end).resume();
parentPort.postMessage('watching');
`;

/** Resolves when this process is sure to end, with all its group, as soon as its launcher has. */
export async function endWithParent(): Promise<void> {
  const watcher = new Worker(WATCH, { eval: true, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 16 } });
  await new Promise<void>((resolve, reject) => {
    watcher.once('message', () => resolve());
    watcher.once('error', reject);
  });
  watcher.unref();
}
