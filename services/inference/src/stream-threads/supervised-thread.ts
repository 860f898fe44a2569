/**
 * One stream thread, kept running: started, restarted when it fails, closed by asking. It is never terminated: ending a
 * thread in the middle of a native run aborts the whole process.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { AssayError } from '@assay/contracts';
import { combineSnapshots, countedOf, type MetricSnapshot, nodeArguments, toThreadError } from '@assay/runtime';
import { type Backoff, backoffMs } from '../domain/backoff.ts';
import type { PipelineState } from '../kafka/pipeline-run.ts';
import type { EventSink } from '../predictions/prediction-log.ts';
import type { FromStreamThread, PushedRouting, Request, StreamThreadStart, ToStreamThread } from './messages.ts';
import type { PackageUser, SharedPackages } from './shared-packages.ts';

export interface StreamThreadOptions {
  readonly start: StreamThreadStart;
  readonly entry: URL;
  readonly packages: SharedPackages;
  readonly events: EventSink | undefined;
  /** What a thread serves that begins now. */
  readonly routing: () => PushedRouting | undefined;
  readonly retry: Backoff;
  /** How long it may take to stop. */
  readonly closeTimeoutMs: number;
  readonly onState: (pipeline: string, state: PipelineState) => void;
  /** A line of its log. */
  readonly onLine: (line: string) => void;
  /** It failed, and is started again after so long. */
  readonly onFailed: (reason: Error, retryInMs: number) => void;
}

export interface StreamThread {
  readonly number: number;
  /** Why it does not run; undefined while it does. */
  readonly problem: string | undefined;
  route(routing: PushedRouting): void;
  /** What it has counted, those before it included. Never rejects. */
  metrics(): Promise<readonly MetricSnapshot[]>;
  /** Resolves when it has ended; rejects when it does not in time. */
  close(): Promise<void>;
}

/** A thread that has run so long was not started in vain: the next pause is the first one again. */
const HEALTHY_AFTER_MS = 60_000;
/** A thread that is busy for longer is scraped as it was before. */
const SCRAPE_TIMEOUT_MS = 500;

export function startStreamThread(options: StreamThreadOptions): StreamThread {
  const { start, packages, retry, closeTimeoutMs } = options;
  const stopping = new AbortController();
  const scrapes = new Map<number, (metrics: readonly MetricSnapshot[]) => void>();
  let scrapeNumber = 0;
  /** Of the thread that runs: as it was asked last. */
  let measured: readonly MetricSnapshot[] = [];
  /** Of those that have ended. */
  let carried: readonly MetricSnapshot[] = [];
  let worker: Worker | undefined;
  let problem: string | undefined;

  const tell = (message: ToStreamThread): void => worker?.postMessage(message);

  /** A thread from its start to its end; gives why it ended. */
  function live(): Promise<Error | undefined> {
    const user = packages.user();
    const running = new Worker(options.entry, { workerData: start, execArgv: nodeArguments() });
    worker = running;
    problem = undefined;
    let crash: Error | undefined;
    running.on('message', (message: FromStreamThread) => receive(running, user, message));
    running.on('error', (thrown) => {
      crash = thrown instanceof Error ? thrown : new Error(String(thrown));
    });
    const routing = options.routing();
    if (routing !== undefined) tell({ type: 'route', routing });
    return new Promise((resolve) => {
      running.once('exit', (code) => {
        worker = undefined;
        user.release();
        carried = combineSnapshots([carried, countedOf(measured)]);
        measured = [];
        for (const answer of scrapes.values()) answer([]);
        const isExpected = stopping.signal.aborted && code === 0 && crash === undefined;
        resolve(isExpected ? undefined : (crash ?? new Error(`it ended with code ${code}`)));
      });
    });
  }

  function receive(from: Worker, user: PackageUser, message: FromStreamThread): void {
    if (message.type === 'state') options.onState(message.pipeline, message.state);
    else if (message.type === 'log') options.onLine(message.line);
    else if (message.type === 'retain') user.retain(new Set(message.digests));
    else if (message.type === 'request') void answer(from, user, message.number, message.request);
    else {
      measured = message.metrics;
      if (message.number !== 'last') scrapes.get(message.number)?.(measured);
    }
  }

  async function answer(from: Worker, user: PackageUser, number: number, request: Request): Promise<void> {
    const answered = await handle(user, request).then(
      (value) => (value === undefined ? {} : { value }),
      (error: unknown) => ({ error: toThreadError(error) }),
    );
    from.postMessage({ type: 'answer', number, ...answered } satisfies ToStreamThread);
  }

  async function handle(user: PackageUser, request: Request): Promise<string | undefined> {
    if (request.of === 'fetch') return user.fetch(request.version, stopping.signal);
    if (request.of === 'discard') await user.discard?.(request.digest);
    // Not given up by a stop: what a thread still has to log is why it takes its time.
    else await options.events?.publish(request.topic, request.events);
    return undefined;
  }

  async function keepRunning(): Promise<void> {
    let failures = 0;
    for (;;) {
      const startedMs = performance.now();
      const error = await live();
      if (stopping.signal.aborted || error === undefined) return;
      if (performance.now() - startedMs >= HEALTHY_AFTER_MS) failures = 0;
      const retryInMs = backoffMs(retry, ++failures);
      problem = error.message;
      options.onFailed(error, retryInMs);
      await delay(retryInMs, undefined, { signal: stopping.signal }).catch(() => undefined); // the next line looks
      if (stopping.signal.aborted) return;
    }
  }

  const ended = keepRunning();

  return {
    number: start.thread,
    get problem() {
      return problem;
    },
    route: (routing) => tell({ type: 'route', routing }),
    async metrics() {
      if (worker !== undefined) {
        const number = ++scrapeNumber;
        const late = new AbortController();
        await Promise.race([
          new Promise<unknown>((resolve) => {
            scrapes.set(number, resolve);
            tell({ type: 'scrape', number });
          }),
          delay(SCRAPE_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => undefined), // it was in time
        ]);
        late.abort();
        scrapes.delete(number);
      }
      return [...carried, ...measured];
    },
    async close() {
      stopping.abort();
      tell({ type: 'close' });
      const late = new AbortController();
      const isLate = await Promise.race([
        ended.then(() => false),
        delay(closeTimeoutMs, true, { signal: late.signal }).catch(() => true),
      ]);
      late.abort();
      if (!isLate) return;
      worker?.unref();
      throw new AssayError('INTERNAL', `stream thread ${start.thread} did not stop in time`);
    },
  };
}
