/** For the tests of this service: `assay up --keys` in a process of its own, on free ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { RunFile } from '@assay/client';
import type { StandaloneServices } from './standalone.ts';

const START_TIMEOUT_MS = 60_000;

export interface UpUnderTest extends AsyncDisposable {
  readonly dataDir: string;
  readonly url: StandaloneServices;
  readonly process: ChildProcess;
  /** All that it wrote, to standard output and standard error. */
  output(): string;
  /** The key of that name, as it stands in the data folder. */
  key(name: string): Promise<string>;
  stop(): Promise<void>;
}

/** The data folder is a new one unless named, and is removed at the end. */
export async function startUp(dataDir?: string): Promise<UpUnderTest> {
  const dir = dataDir ?? (await mkdtemp(join(tmpdir(), 'assay-keys-')));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  const child = spawn(process.execPath, [join(import.meta.dirname, 'fixtures', 'up-with-keys.ts'), dir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  opened.defer(stop);
  const line = await firstLine(child, () => text);
  const { services }: RunFile = JSON.parse(line);
  const urlOf = (name: string) => services[name]?.http ?? '';
  const resources = opened.move();
  return {
    dataDir: dir,
    url: {
      registry: urlOf('registry'),
      inference: urlOf('inference'),
      training: urlOf('training'),
      batch: urlOf('batch'),
      monitoring: urlOf('monitoring'),
    },
    process: child,
    output: () => text,
    key: async (name) => (await readFile(join(dir, 'keys', name), 'utf8')).trim(),
    stop,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** The line that says that all services run. */
async function firstLine(child: ChildProcess, output: () => string): Promise<string> {
  const signal = AbortSignal.timeout(START_TIMEOUT_MS);
  for (;;) {
    const line = output()
      .split('\n')
      .find((one) => one.startsWith('{"pid"') && one.endsWith('}'));
    if (line !== undefined) return line;
    if (child.exitCode !== null || signal.aborted) throw new Error(`the services did not start: ${output()}`);
    await setTimeout(50);
  }
}
