/** The registry as a process of its own, on a real broker: what it registers is told over Kafka, also after the broker was away. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRegistryClient } from '@assay/client';
import { type Event, TOPICS } from '@assay/contracts';
import { openEventBus } from '@assay/events';
import { kafkaConfig } from '@assay/kafka';
import { entryUrl, loadConfig, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Broker, startBroker } from '../parts/broker.ts';

const WAIT_MS = 60_000;
const resources = new AsyncDisposableStack();
let broker: Broker;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-registry-kafka-'));
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  broker = resources.use(await startBroker());
});
afterAll(() => resources.disposeAsync());

async function startRegistry(): Promise<{ url: string; stop(): Promise<void> }> {
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ASSAY_DATA_DIR: join(dir, 'data'),
      ASSAY_LOG_LEVEL: 'silent',
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_KAFKA_BROKERS: broker.bootstrap,
    },
  });
  const ended = once(child, 'exit');
  const line = once(createInterface({ input: child.stdout }), 'line');
  const [said] = await Promise.race([line, ended.then(() => Promise.reject(new Error('the registry ended')))]);
  return {
    url: /http:\S+/.exec(said)?.[0] ?? '',
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

describe('a registry with brokers', () => {
  it('tells the versions of a dataset in their order, those that came while the broker was away too', async () => {
    const registry = await startRegistry();
    await using client = createRegistryClient({ url: registry.url });
    const events: Event[] = [];
    const kafka = loadConfig(kafkaConfig, { flags: { brokers: broker.bootstrap, sessionTimeoutMs: 6000 } });
    const log = { warn: () => undefined, error: () => undefined };
    const bus = await openEventBus('kafka:', { kafka, clientId: 'assay-test', log });
    resources.defer(() => bus.close());
    const register = async (text: string) => {
      const file = join(dir, 'table.csv');
      await writeFile(file, `a\n${text}\n`);
      return client.registerDataset('d', {
        format: 'csv',
        rows: 1,
        schema: [{ name: 'a', type: 'VARCHAR', nullable: false }],
        files: [{ name: 'table.csv', file }],
        changes: text,
      });
    };
    const one = await register('one');
    await bus.subscribe({ topics: [TOPICS.models], delivery: 'broadcast', from: 'earliest' }, async (event) => {
      events.push(event);
    });
    const numbers = () => events.filter(({ subject }) => subject === one.datasetId).map(({ sequence }) => sequence);
    await expect.poll(numbers, { timeout: WAIT_MS }).toEqual([1]);

    await broker.kill();
    await register('two');
    await register('three');
    await broker.start();
    // At least once: a publisher that lost its answer tells again.
    await expect.poll(() => [...new Set(numbers())], { timeout: WAIT_MS }).toEqual([1, 2, 3]);
    const last = events.findLast(({ subject }) => subject === one.datasetId);
    expect(last?.data).toEqual(await client.getDataset('d'));
    expect(await readdir(join(dir, 'data'))).not.toContain('events.sqlite');
    await registry.stop();
  }, 180_000);
});
