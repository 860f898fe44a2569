/** For the tests of this folder: a real registry with keys as a process of its own, models in it, and the command line. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { expect } from 'vitest';
import { assay, type Run } from '../fake-services.ts';
import type { Io } from '../io.ts';

export interface RegistryUnderTest extends AsyncDisposable {
  readonly url: string;
  /** Of the administrator. */
  readonly key: string;
  readonly client: RegistryClient;
  /** The current folder of its commands. */
  readonly dir: string;
  /** `assay …` as the administrator. */
  run(args: readonly string[], io?: Partial<Io>): Promise<Run>;
  /** Writes files below `dir`. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
  /** Registers a version that gives its one feature plus `adds`. */
  register(model: string, adds: number, feature?: string): Promise<void>;
  /** Sequence of the last entry of the audit trail. */
  lastEntry(): Promise<number>;
}

export async function startRegistry(): Promise<RegistryUnderTest> {
  const opened = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'assay-files-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  const key = `assay_root_${'k'.repeat(43)}`;
  await mkdir(join(dir, 'bootstrap'));
  await writeFile(join(dir, 'bootstrap', 'admin'), key);
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ASSAY_DATA_DIR: join(dir, 'data'),
      ASSAY_LOG_LEVEL: 'silent',
      ASSAY_REGISTRY_HOST: '127.0.0.1',
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR: join(dir, 'bootstrap'),
    },
  });
  opened.defer(async () => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('the registry ended before it listened')));
  });
  const url = /http:\S+/.exec(line)?.[0] ?? '';
  const client = opened.use(createRegistryClient({ url, bearerToken: key }));
  const registry: RegistryUnderTest = {
    url,
    key,
    client,
    dir,
    run: (args, io = {}) => assay([...args, '--registry', url], { cwd: dir, env: { ASSAY_API_KEY: key }, ...io }),
    async write(files) {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(dir, path)), { recursive: true });
        await writeFile(join(dir, path), text);
      }
    },
    async register(model, adds, feature = 'x') {
      const graph = new GraphBuilder();
      const x = graph.input(feature, 'float32', ['N', 1]);
      graph.node('Add', [x, graph.constant(float32Tensor([adds]))], { outputs: ['y'] });
      graph.output('y', 'float32', ['N', 1]);
      await writeFile(join(dir, 'model.onnx'), graph.build());
      expect(await registry.run(['register', model, 'model.onnx'])).toMatchObject({ code: 0, err: '' });
    },
    async lastEntry() {
      return (await client.verifyAudit()).entries;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
  return registry;
}
