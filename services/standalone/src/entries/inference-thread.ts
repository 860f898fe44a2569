/** The inference service in a thread of its own: what blocks the main thread (a durable commit) does not block scoring. */
import { parentPort, workerData } from 'node:worker_threads';
import { createService } from '@assay/inference';
import type { KafkaSettings, PlainKafkaSettings } from '@assay/kafka';
import { createLogger, Secret, type Service, toThreadError } from '@assay/runtime';
import { createThreadEvents } from '../thread-events.ts';
import type { FromThread, ThreadStart, ToThread } from '../thread-messages.ts';

const port = parentPort;
if (port === null) throw new Error('inference-thread is the entry of a worker thread');
const start = workerData as ThreadStart; // given by ../inference-thread.ts
const { config } = start;
const say = (message: FromThread): void => port.postMessage(message);

const log = createLogger({
  service: 'inference',
  level: config.logLevel,
  destination: { write: (line: string) => void process.stderr.write(line) },
});

const events = createThreadEvents(say);
let service: Service | undefined;

/** Loads what it needs of Kafka. */
async function revive(plain: PlainKafkaSettings): Promise<KafkaSettings> {
  const { fromPlainKafkaSettings } = await import('@assay/kafka');
  return fromPlainKafkaSettings(plain);
}

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
  const serviceKey = start.serviceKey === undefined ? undefined : new Secret(start.serviceKey);
  const kafka = start.kafka === undefined ? {} : { kafka: await revive(start.kafka) };
  service = await createService({ ...config, serviceKey }, { log, predictions: events, ...kafka });
  // Listening first: a close that comes during a long start is not lost.
  port.on('message', (message: ToThread) => {
    if (message.type === 'close') void end();
    else events.answered(message);
  });
  await service.start();
  say({ type: 'started', addresses: { ...service.addresses } });
} catch (error) {
  say({ type: 'failed', error: toThreadError(error) });
  await end();
}
