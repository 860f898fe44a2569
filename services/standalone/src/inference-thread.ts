/**
 * Keeps the inference thread running: starts it, restarts it when it crashes, closes it by asking. It is never
 * terminated: ending a thread in the middle of a native run aborts the whole process.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AssayError } from '@assay/contracts';
import type { EventSink, InferenceConfig } from '@assay/inference';
import type { KafkaSettings, PlainKafkaSettings } from '@assay/kafka';
import { entryUrl, fromThreadError, type Logger, nodeArguments, type Service, toThreadError } from '@assay/runtime';
import type { FromThread, ThreadStart, ToThread } from './thread-messages.ts';

export interface InferenceThreadOptions {
  readonly config: InferenceConfig;
  readonly log: Logger;
  /** Where its predictions are logged. */
  readonly events: EventSink;
  /** For the pipelines that the config names. */
  readonly kafka?: KafkaSettings | undefined;
  readonly restartFirstMs: number;
  readonly restartMaxMs: number;
  /** Told of a crash, and of what comes next, for a person. */
  readonly report: (text: string) => void;
  /** Instead of `entries/inference-thread.ts`. */
  readonly entry?: URL;
}

export interface InferenceThread extends Service {
  /** Crashes so far. */
  readonly restarts: number;
}

/** A thread that has run so long was not started in vain: the next pause is the first one again. */
const HEALTHY_AFTER_MS = 60_000;
/** Beyond the service's own time for a stop. */
const CLOSE_GRACE_MS = 5000;

export function createInferenceThread(options: InferenceThreadOptions): InferenceThread {
  const { log, report } = options;
  const entry = options.entry ?? entryUrl('services/standalone', 'inference-thread');
  const stopping = new AbortController();
  let addresses: Readonly<Record<string, string>> = {};
  let worker: Worker | undefined;
  let restarts = 0;
  let restarting: Promise<void> | undefined;

  /** Starts a thread; resolves when it listens, and then watches it. */
  async function run(): Promise<void> {
    // A restart listens where the first start did, also when that took any free port.
    const { serviceKey, ...others } = options.config;
    const { http, grpc } = addresses;
    const config = {
      ...others,
      ...(http === undefined ? {} : { port: portOf(http) }),
      ...(grpc === undefined ? {} : { grpcPort: portOf(`grpc://${grpc}`) }),
    };
    const kafka = options.kafka === undefined ? undefined : await toPlain(options.kafka);
    const workerData: ThreadStart = { config, serviceKey: serviceKey?.reveal(), kafka };
    const started = new Worker(entry, { workerData, execArgv: nodeArguments() });
    worker = started;
    const startedMs = performance.now();
    let crash: unknown;
    const isUp = Promise.withResolvers<void>();
    started.on('message', (message: FromThread) => {
      if (message.type === 'started') {
        addresses = message.addresses;
        isUp.resolve();
      } else if (message.type === 'publish') void publish(started, message);
      else isUp.reject(fromThreadError(message.error));
    });
    started.on('error', (error) => {
      crash = error;
    });
    started.on('exit', (code) => {
      if (worker === started) worker = undefined;
      const reason = crash instanceof Error ? crash.message : `it ended with code ${code}`;
      isUp.reject(
        new AssayError('INTERNAL', `the inference thread ended while it started: ${reason}`, { cause: crash }),
      );
    });
    await isUp.promise;
    started.on('exit', (code) => {
      if (stopping.signal.aborted) return;
      const reason = crash instanceof Error ? crash.message : `it ended with code ${code}`;
      log.error({ err: crash, code }, 'the inference thread crashed');
      restarts++;
      restarting = restart(reason, performance.now() - startedMs);
    });
  }

  async function publish(
    from: Worker,
    { number, topic, events }: Extract<FromThread, { type: 'publish' }>,
  ): Promise<void> {
    const answer = await options.events.publish(topic, events).then(
      () => ({}),
      (error: unknown) => ({ error: toThreadError(error) }),
    );
    from.postMessage({ type: 'published', number, ...answer } satisfies ToThread);
  }

  let failuresInRow = 0;

  async function restart(firstReason: string, ranMs: number): Promise<void> {
    if (ranMs >= HEALTHY_AFTER_MS) failuresInRow = 0;
    let reason = firstReason;
    while (!stopping.signal.aborted) {
      const pauseMs = Math.min(options.restartMaxMs, options.restartFirstMs * 2 ** failuresInRow);
      failuresInRow++;
      report(`inference stopped unexpectedly (${reason}); it starts again in ${pauseMs} ms`);
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        await run();
        log.info({ addresses }, 'the inference thread runs again');
        report('inference runs again');
        return;
      } catch (error) {
        log.error({ err: error }, 'the inference thread did not start');
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }

  return {
    name: 'inference',
    get addresses() {
      return addresses;
    },
    get restarts() {
      return restarts;
    },
    start: run,
    async close() {
      stopping.abort();
      await restarting;
      const running = worker;
      if (running === undefined) return;
      const ended = new Promise<void>((resolve) => running.once('exit', () => resolve()));
      running.postMessage({ type: 'close' } satisfies ToThread);
      const { drainDelayMs, closeTimeoutMs } = options.config;
      const late = new AbortController();
      const isLate = await Promise.race([
        ended.then(() => false),
        delay(drainDelayMs + closeTimeoutMs + CLOSE_GRACE_MS, true, { signal: late.signal }).catch(() => true),
      ]);
      late.abort();
      if (isLate) {
        running.unref();
        throw new AssayError('INTERNAL', 'the inference thread did not stop in time');
      }
    },
  };
}

/** Loads what it needs of Kafka. */
async function toPlain(kafka: KafkaSettings): Promise<PlainKafkaSettings> {
  const { toPlainKafkaSettings } = await import('@assay/kafka');
  return toPlainKafkaSettings(kafka);
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
