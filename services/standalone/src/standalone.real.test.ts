import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { batchConfig } from '@assay/batch';
import {
  createBatchClient,
  createRegistryClient,
  createScoringClient,
  createTrainingClient,
  readRunFile,
  runFilePath,
} from '@assay/client';
import { AssayError } from '@assay/contracts';
import { inferenceConfig } from '@assay/inference';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { createLogger, loadConfigs } from '@assay/runtime';
import { trainingConfig } from '@assay/training';
import { afterEach, describe, expect, test } from 'vitest';
import { standaloneConfig } from './config.ts';
import { createStandalone, type Standalone, type StandaloneDependencies } from './standalone.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-standalone-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function standalone(
  dataDir: string,
  deps: StandaloneDependencies = {},
  ports: { registry?: number; inference?: number; training?: number; batch?: number; monitoring?: number } = {},
): Promise<Standalone> {
  const definitions = [
    standaloneConfig,
    registryConfig,
    trainingConfig,
    batchConfig,
    inferenceConfig,
    monitoringConfig,
  ] as const;
  const configs = loadConfigs(definitions, {
    flags: {
      standalone: { dataDir },
      registry: { port: ports.registry ?? 0 },
      training: { port: ports.training ?? 0 },
      batch: { port: ports.batch ?? 0 },
      inference: { port: ports.inference ?? 0, logLevel: 'silent' },
      monitoring: { port: ports.monitoring ?? 0 },
    },
  });
  return createStandalone(configs, { log: (service) => createLogger({ service, level: 'silent' }), ...deps });
}

describe('standalone', () => {
  test('runs all services on one data folder, and says where until it stops', async () => {
    const dataDir = await folder();
    // As a process that was killed leaves it.
    await writeFile(runFilePath(dataDir), JSON.stringify({ pid: 1, version: 'old', services: {} }));
    let atPreparation: boolean | undefined;
    const running = await standalone(dataDir, {
      async prepare() {
        atPreparation = existsSync(runFilePath(dataDir));
      },
    });
    await running.start();
    expect(atPreparation).toBe(false);
    const { pid, services } = await readRunFile(dataDir);
    expect(pid).toBe(process.pid);
    await using registry = createRegistryClient({ url: services.registry?.http ?? '' });
    await using training = createTrainingClient({ url: services.training?.http ?? '' });
    await using inference = createScoringClient({ url: services.inference?.http ?? '' });
    expect((await registry.listModels()).items).toEqual([]);
    expect((await training.listJobs()).items).toEqual([]);
    await using batch = createBatchClient({ url: services.batch?.http ?? '' });
    expect((await batch.listJobs()).items).toEqual([]);
    expect(await inference.ready()).toBe(true);
    await running.close();
    expect(existsSync(runFilePath(dataDir))).toBe(false);
    await expect(registry.listModels()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('lets no second process onto its folder, and the next one once it has stopped', async () => {
    const dataDir = await folder();
    const first = await standalone(dataDir);
    await expect(standalone(dataDir)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('in use'),
    });
    await first.close();
    const second = await standalone(dataDir);
    await second.close();
  });

  test.each(['registry', 'inference', 'training', 'batch', 'monitoring'] as const)(
    'stops all that it had started when the port of %s is taken',
    async (service) => {
      const dataDir = await folder();
      const taken = createServer();
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
      cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
      const address = taken.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const failing = await standalone(dataDir, {}, { [service]: port });
      const thrown: unknown = await failing.start().catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(AssayError);
      expect(String(thrown)).toMatch(new RegExp(`${port}.*ASSAY_${service.toUpperCase()}_PORT`));
      await failing.close();
      expect(existsSync(runFilePath(dataDir))).toBe(false);
      const next = await standalone(dataDir);
      await next.start();
      await next.close();
    },
  );

  test('goes on when the inference thread crashes, which comes back at its address', async () => {
    const dataDir = await folder();
    const script = join(dataDir, 'inference');
    await writeFile(script, 'serve\nserve');
    const reports: string[] = [];
    const running = await standalone(dataDir, {
      inferenceEntry: new URL('./fixtures/scripted-thread.ts', import.meta.url),
      report: (text) => reports.push(text),
    });
    cleanups.push(() => running.close());
    await running.start();
    await fetch(`${running.services.inference}/crash`);
    await expect.poll(() => reports.at(-1), { timeout: 20_000 }).toBe('inference runs again');
    expect(running.inferenceRestarts).toBe(1);
    expect(await (await fetch(running.services.inference)).text()).toBe('here');
    await using registry = createRegistryClient({ url: running.services.registry });
    expect((await registry.listModels()).items).toEqual([]);
    expect(existsSync(runFilePath(dataDir))).toBe(true);
  });

  test('stops what it had started when the preparation fails', async () => {
    const dataDir = await folder();
    const running = await standalone(dataDir, {
      prepare: () => Promise.reject(new AssayError('CANCELLED', 'stopped')),
    });
    await expect(running.start()).rejects.toMatchObject({ code: 'CANCELLED' });
    await running.close();
    expect(existsSync(runFilePath(dataDir))).toBe(false);
    await expect(fetch(running.services.registry)).rejects.toThrow();
  });
});
