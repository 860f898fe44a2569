import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createTrainingClient } from '@assay/client';
import { entryUrl } from '@assay/runtime';
import { expect, test } from 'vitest';
import { startRegistry } from './registry-under-test.ts';
import {
  customerSpec,
  follow,
  LIBRARY_CACHE,
  startTraining,
  temporaryFolder,
  writeCustomers,
} from './training-under-test.ts';

/** Many rounds on few rows: it is seen to train before it has ended. */
const MANY_ROUNDS = { name: 'lightgbm', rounds: 400, params: { num_leaves: 15 } } as const;
const ROWS = 4000;

async function pidOf(dataDir: string, launch: string): Promise<number> {
  const text = await readFile(join(dataDir, 'training', 'launches', launch, 'process.json'), 'utf8');
  const { pid }: { pid: number } = JSON.parse(text);
  return pid;
}

test('a job whose process is killed while it trains is begun again, and leaves one version', async () => {
  await using opened = new AsyncDisposableStack();
  const folder = await temporaryFolder(opened);
  const training = opened.use(await startTraining());
  const spec = customerSpec(await writeCustomers(folder, ROWS), MANY_ROUNDS);
  const { id } = await training.client.createJob({ spec });
  let killed = 0;
  for await (const job of training.client.followJob(id)) {
    if (job.attempts === 1 && job.progress?.stage === 'train' && killed === 0) {
      killed++;
      process.kill(await pidOf(training.dataDir, `${id}.1`), 'SIGKILL');
    }
  }
  expect(killed).toBe(1);
  expect(await training.client.getJob(id)).toMatchObject({ state: 'succeeded', attempts: 2, failure: null });
  expect(training.registry.versions).toHaveLength(1);
});

test('a job that is killed when its version is registered, before it knows, leaves that one version', async () => {
  await using opened = new AsyncDisposableStack();
  const folder = await temporaryFolder(opened);
  const training = opened.use(await startTraining());
  const registered = training.registry.swallowNextAnswer();
  const { id } = await training.client.createJob({ spec: customerSpec(await writeCustomers(folder, ROWS)) });
  await registered;
  process.kill(await pidOf(training.dataDir, `${id}.1`), 'SIGKILL');
  const job = await follow(training.client, id);
  const [version, ...others] = training.registry.versions;
  expect(others).toEqual([]);
  expect(training.registry.registrations).toBe(2);
  expect(job).toMatchObject({
    state: 'succeeded',
    attempts: 2,
    result: { versionId: version?.id, digest: version?.digest },
  });
  expect(training.registry.aliases.get('champion')).toBe(version?.id);
});

test('a job whose service is killed with it goes on when the service is started again, and leaves one version', async () => {
  await using opened = new AsyncDisposableStack();
  const folder = await temporaryFolder(opened);
  const registry = opened.use(await startRegistry());
  const spec = customerSpec(await writeCustomers(folder, ROWS), MANY_ROUNDS);

  const first = await startService(folder, registry.url);
  const job = await first.client.createJob({ spec });
  for await (const seen of first.client.followJob(job.id)) if (seen.progress?.stage === 'train') break;
  await first.kill();

  const second = await startService(folder, registry.url);
  opened.defer(() => second.kill());
  expect(await follow(second.client, job.id)).toMatchObject({ state: 'succeeded', attempts: 2 });
  expect(registry.versions).toHaveLength(1);
});

/** The service as a process of its own. */
async function startService(dataDir: string, registryUrl: string) {
  const child = spawn(process.execPath, [fileURLToPath(entryUrl('services/training', 'training'))], {
    env: {
      ...process.env,
      ASSAY_DATA_DIR: dataDir,
      ASSAY_REGISTRY_URL: registryUrl,
      ASSAY_TRAINING_PORT: '0',
      ASSAY_TRAINING_LIBRARY_CACHE_DIR: LIBRARY_CACHE,
      ASSAY_LOG_LEVEL: 'silent',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const found = /listens on (\S+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (code) => reject(new Error(`the service ended with ${code} before it listened`)));
  });
  const client = createTrainingClient({ url });
  return {
    client,
    async kill() {
      await client.close();
      child.kill('SIGKILL');
      await exited;
    },
  };
}
