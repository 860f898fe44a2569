/**
 * For the tests: a registry that ends itself with SIGKILL at a chosen point of a registration. Its arguments are the data
 * folder and the point; it prints its address.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import type { Database } from '@assay/database';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger, loadConfig } from '@assay/runtime';
import { loadInChild } from '@assay/scoring';
import { registryConfig } from './config.ts';
import { createRegistry, databaseUrlIn, openRegistryDatabase } from './service.ts';
import type { RegistryTables } from './store/tables.ts';

export const KILL_POINTS = [
  'never',
  'while a content arrives',
  'when a content is stored and not acknowledged',
  'while the package is put together',
  'before the check',
  'after the check',
  'in the transaction, before its end',
  'after the transaction, before the answer',
] as const;
export type KillPoint = (typeof KILL_POINTS)[number];

if (import.meta.main) await main(process.argv[2] ?? '', process.argv[3] ?? 'never');

async function main(dir: string, point: string): Promise<void> {
  const die = (at: KillPoint): void => {
    if (at === point) process.kill(process.pid, 'SIGKILL');
  };
  const registryDir = join(dir, 'registry');
  await mkdir(registryDir, { recursive: true });
  const config = loadConfig(registryConfig, { flags: { port: 0, dataDir: dir, logLevel: 'silent' } });
  const log = createLogger({ service: 'registry', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dir, 'events.sqlite')}`, log });
  const blobs = await openBlobStore(`file:${join(registryDir, 'blobs')}`);
  const database = await openRegistryDatabase(databaseUrlIn(registryDir));
  const registry = await createRegistry(config, {
    bus,
    log,
    blobs: dyingBlobs(blobs, die),
    database: dyingDatabase(database, die),
    async checkPackage(packageDir, signal) {
      die('before the check');
      await loadInChild(packageDir, {
        timeoutMs: config.checkTimeoutMs,
        maxMemoryBytes: config.checkMemoryBytes,
        signal,
      });
      die('after the check');
    },
  });
  await registry.start();
  process.stdout.write(`${registry.addresses.http}\n`);
}

function dyingBlobs(blobs: BlobStore, die: (at: KillPoint) => void): BlobStore {
  return {
    ...blobs,
    async put(key, body, options) {
      async function* dying(): AsyncGenerator<Uint8Array> {
        for await (const chunk of body) {
          yield chunk;
          die('while a content arrives');
        }
      }
      const stored = await blobs.put(key, dying(), options);
      die('when a content is stored and not acknowledged');
      return stored;
    },
    async get(key, options) {
      const found = await blobs.get(key, options);
      die('while the package is put together');
      return found;
    },
  };
}

/** Only the transaction that registers a version is the point: the one that inserts one of a model or of a dataset. */
function dyingDatabase(database: Database<RegistryTables>, die: (at: KillPoint) => void): Database<RegistryTables> {
  const countVersions = async (db: Pick<Database<RegistryTables>['db'], 'selectFrom'>): Promise<number> => {
    let count = 0;
    for (const table of ['versions', 'dataset_versions'] as const) {
      const row = await db
        .selectFrom(table)
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .executeTakeFirst();
      count += row?.count ?? 0;
    }
    return count;
  };
  return {
    ...database,
    async transaction(write, options) {
      let registers = false;
      const value = await database.transaction(async (trx) => {
        const before = await countVersions(trx);
        const written = await write(trx);
        registers = (await countVersions(trx)) > before;
        if (registers) die('in the transaction, before its end');
        return written;
      }, options);
      if (registers) die('after the transaction, before the answer');
      return value;
    },
  };
}
