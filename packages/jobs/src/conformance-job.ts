/** The job that the conformance suite launches: it does what its spec says. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import { currentTrace } from '@assay/runtime';
import { JobError } from './failure.ts';
import type { JobContext } from './job-entry.ts';

export type Behaviour =
  | { readonly do: 'print'; readonly text: string }
  | { readonly do: 'print-environment' }
  /** Of a call that it would make. */
  | { readonly do: 'print-trace' }
  | { readonly do: 'print-slowly'; readonly lines: number }
  | { readonly do: 'fail'; readonly as: 'data' | 'configuration' | 'unavailable' | 'bug' | 'unheard-promise' }
  | { readonly do: 'exit'; readonly code: number }
  | { readonly do: 'signal-itself'; readonly signal: NodeJS.Signals }
  | { readonly do: 'fill-the-heap' }
  /** Takes memory that is not of the JavaScript heap, until it is killed. */
  | { readonly do: 'fill-native-memory' }
  /** Writes more into its folder than that, and waits. */
  | { readonly do: 'fill-the-disk'; readonly sizeBytes: number }
  /** Goes on until it is told to stop. */
  | { readonly do: 'wait' }
  /** Never gives its event loop a turn, as a native call does. */
  | { readonly do: 'block' }
  /** Has a process of its own, prints that one's number, and waits. */
  | { readonly do: 'have-a-child' }
  /** Refuses to run a second time in the same folder. */
  | { readonly do: 'run-once' };

export async function run(job: JobContext): Promise<void> {
  const behaviour = job.spec as Behaviour; // the suite writes nothing else
  switch (behaviour.do) {
    case 'print':
      console.log(behaviour.text);
      console.error(`id ${job.id}`);
      return;
    case 'print-environment':
      console.log(JSON.stringify(process.env));
      console.log(JSON.stringify(process.argv));
      return;
    case 'print-trace':
      console.log(`a call has ${JSON.stringify(currentTrace() ?? null)}`);
      return;
    case 'print-slowly':
      for (let line = 0; line < behaviour.lines; line++) {
        console.log(`line ${line}`);
        await delay(30);
      }
      return;
    case 'fail':
      return failAs(behaviour.as);
    case 'exit':
      return process.exit(behaviour.code);
    case 'signal-itself':
      process.kill(process.pid, behaviour.signal);
      return wait(new AbortController().signal);
    case 'fill-the-heap': {
      const kept: object[] = [];
      for (;;) kept.push({ values: Array.from({ length: 1000 }, () => ({})) });
    }
    case 'fill-native-memory': {
      const kept: Buffer[] = [];
      for (;;) kept.push(Buffer.alloc(16 * 1024 * 1024, 1));
    }
    case 'fill-the-disk':
      writeFileSync(join(job.dir, 'large'), Buffer.alloc(behaviour.sizeBytes, 1));
      console.log('written');
      return wait(job.signal);
    case 'wait':
      console.log('waiting');
      return wait(job.signal);
    case 'block':
      writeFileSync(1, 'blocking\n');
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    case 'have-a-child': {
      const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'ignore' });
      console.log(`child ${child.pid}`);
      return wait(job.signal);
    }
    case 'run-once': {
      const mark = join(job.dir, 'ran');
      if (existsSync(mark)) throw new Error('ran twice');
      writeFileSync(mark, '');
      console.log('ran');
      return;
    }
  }
}

function failAs(as: Extract<Behaviour, { do: 'fail' }>['as']): Promise<void> {
  switch (as) {
    case 'data':
      throw new JobError('data', 'flights.csv:7: expected 5 columns, found 4');
    case 'configuration':
      throw new AssayError('INVALID_ARGUMENT', 'spec.yaml:3: unknown key "modle"; did you mean "model"?');
    case 'unavailable':
      throw new AssayError('UNAVAILABLE', 'the registry cannot be reached');
    case 'bug':
      throw new TypeError('x is not a function');
    case 'unheard-promise':
      void Promise.reject(new Error('nobody heard'));
      return wait(new AbortController().signal);
  }
}

/** Keeps the process alive until the signal aborts, and then throws its reason. */
async function wait(signal: AbortSignal): Promise<void> {
  await delay(2 ** 31 - 1, undefined, { signal });
}
