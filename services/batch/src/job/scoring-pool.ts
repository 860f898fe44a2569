/**
 * Threads that score. Each chunk goes to a thread that is free; results are taken in the order in which chunks were given.
 * A thread is never ended from outside: that would abort the process while the graph runs.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { AssayError } from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import type { FeatureChunk } from '@assay/tables';
import type { ScoredChunk } from './judge.ts';
import { buffersOf, type FromThread, type ScorerFacts, type ScoringSetup, type ToThread } from './scoring-thread.ts';

export interface ScoringPool {
  readonly facts: ScorerFacts;
  readonly threads: number;
  /**
   * Takes the chunk's memory. Waits for a free thread.
   * @param logged the rows of the chunk that go into the prediction log, ascending
   */
  score(chunk: FeatureChunk, logged: readonly number[]): Promise<ScoredChunk>;
  /** Lets each thread finish what it is at. */
  close(): Promise<void>;
}

interface Thread {
  readonly worker: Worker;
  readonly ended: Promise<unknown>;
  answer: PromiseWithResolvers<FromThread>;
}

export async function openScoringPool(setup: ScoringSetup, threads: number): Promise<ScoringPool> {
  const all = Array.from({ length: threads }, () => startThread(setup));
  const close = async (): Promise<void> => {
    for (const { worker } of all) worker.postMessage({ type: 'close' } satisfies ToThread);
    await Promise.all(all.map(({ ended }) => ended));
  };
  const first = await Promise.all(all.map(({ answer }) => answer.promise)).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const [ready] = first;
  const failure = first.find((message) => message.type === 'failed');
  if (failure !== undefined || ready?.type !== 'ready') {
    await close();
    throw toError(failure);
  }
  const free = [...all];
  const waiting: ((thread: Thread) => void)[] = [];
  const take = (): Promise<Thread> => {
    const thread = free.pop();
    return thread === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(thread);
  };
  const release = (thread: Thread): void => {
    const next = waiting.shift();
    if (next === undefined) free.push(thread);
    else next(thread);
  };
  return {
    facts: ready.facts,
    threads,
    async score(chunk, logged) {
      const thread = await take();
      try {
        thread.answer = Promise.withResolvers();
        thread.worker.postMessage({ type: 'score', chunk, logged } satisfies ToThread, buffersOf(memoryOf(chunk)));
        const message = await thread.answer.promise;
        if (message.type !== 'scored') throw toError(message);
        return message.scored;
      } finally {
        release(thread);
      }
    },
    close,
  };
}

function startThread(setup: ScoringSetup): Thread {
  const worker = new Worker(entryUrl('services/batch', 'score'), { workerData: setup, execArgv: nodeArguments() });
  const thread: Thread = { worker, ended: once(worker, 'exit'), answer: Promise.withResolvers() };
  worker.on('message', (message: FromThread) => thread.answer.resolve(message));
  worker.on('error', (error) => thread.answer.reject(error));
  worker.on('exit', () => thread.answer.reject(new AssayError('INTERNAL', 'a scoring thread ended')));
  thread.answer.promise.catch(() => undefined); // heard by whoever waits for it
  return thread;
}

function memoryOf({ columns }: FeatureChunk): unknown[] {
  return columns.flatMap((column) => {
    if (column.kind === 'texts') return [column.codes];
    return 'valid' in column ? [column.values, column.valid] : [column.values];
  });
}

function toError(message: FromThread | undefined): AssayError {
  return message?.type === 'failed'
    ? new AssayError(message.code, message.message)
    : new AssayError('INTERNAL', 'a scoring thread gave no answer');
}
