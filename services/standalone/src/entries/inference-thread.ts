/** The inference service in a thread of its own: what blocks the main thread (a durable commit) does not block scoring. */
import { parentPort, workerData } from 'node:worker_threads';
import { createService } from '@assay/inference';
import { createLogger, type Service } from '@assay/runtime';
import { type FromThread, type ThreadStart, type ToThread, toThreadError } from '../thread-messages.ts';

const port = parentPort;
if (port === null) throw new Error('inference-thread is the entry of a worker thread');
const { config } = workerData as ThreadStart; // given by ../inference-thread.ts
const say = (message: FromThread): void => port.postMessage(message);

const log = createLogger({
  service: 'inference',
  level: config.logLevel,
  destination: { write: (line: string) => void process.stderr.write(line) },
});

let service: Service | undefined;

/** Nothing is left then that keeps the thread. */
async function end(): Promise<void> {
  try {
    await service?.close();
  } catch (error) {
    log.error({ err: error }, 'the inference service did not stop cleanly');
  } finally {
    port?.close();
  }
}

try {
  service = await createService(config, { log });
  // Listening first: a close that comes during a long start is not lost.
  port.on('message', (message: ToThread) => {
    if (message.type === 'close') void end();
  });
  await service.start();
  say({ type: 'started', addresses: { ...service.addresses } });
} catch (error) {
  say({ type: 'failed', error: toThreadError(error) });
  await end();
}
