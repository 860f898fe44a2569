/** For a test: a registry in which everything that nobody needs goes at once. Its argument is the data folder; it prints its address. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig } from '@assay/runtime';
import { registryConfig } from '../config.ts';
import { createRegistry } from '../service.ts';

const dataDir = process.argv[2] ?? '';
await mkdir(join(dataDir, 'registry'), { recursive: true });
const config = loadConfig(registryConfig, {
  flags: { port: 0, dataDir, logLevel: 'silent', deletedRetentionMs: 1, unusedBlobGraceMs: 1 },
  env: process.env,
});
const log = createLogger({ service: 'registry', level: 'silent' });
const bus = await openDatabaseEventBus({ url: `sqlite:${join(dataDir, 'events.sqlite')}`, log });
const registry = await createRegistry(config, {
  bus,
  log,
  checkPackage: async () => {},
  collectionTimes: { leaseMs: 1000, settledAfterMs: 300 },
});
await registry.start();
process.stdout.write(`${registry.addresses.http}\n`);
