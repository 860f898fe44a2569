/** The moments at which a registration and a collection meet: each is held open here, and the other comes in between. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import type { Collection, DatasetVersion } from '@assay/contracts';
import { createLogger } from '@assay/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { restoreBackup } from '../backup/restore-backup.ts';
import { writeBackup } from '../backup/write-backup.ts';
import { makePackage, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { type CollectOptions, collect } from './collect.ts';

/** A place where the work of one side waits for the other. */
function gate() {
  const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  return {
    reached: reached.promise,
    open: opened.resolve,
    async pass(): Promise<void> {
      reached.resolve();
      await opened.promise;
    },
  };
}
type Gate = ReturnType<typeof gate>;

let dir: string;
let blobs: BlobStore;
let registry: RegistryUnderTest;
let atCheck: Gate | undefined;
let atDelete: Gate | undefined;
let atList: Gate | undefined;
/** Of each test its own. */
let content: Buffer;
let sha256: string;
let contents = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-collection-'));
  blobs = await openBlobStore(`file:${join(dir, 'registry', 'blobs')}`);
  const held: BlobStore = {
    ...blobs,
    async delete(key, options) {
      await atDelete?.pass();
      await blobs.delete(key, options);
    },
    async *list(prefix, options) {
      await atList?.pass();
      yield* blobs.list(prefix, options);
    },
  };
  registry = await startRegistry({
    dir,
    deps: { blobs: held, checkPackage: async () => atCheck?.pass() },
    flags: { deletedRetentionMs: 1, unusedBlobGraceMs: 1 },
  });
  await registry.call('POST', '/v1/models', { name: 'm' });
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(() => {
  contents += 1;
  content = Buffer.from(`a\n${contents}\n`);
  sha256 = sha256Of(content);
});
afterEach(() => {
  for (const each of [atCheck, atDelete, atList]) each?.open();
  [atCheck, atDelete, atList] = [undefined, undefined, undefined];
});

const remove = () => registry.call<Collection>('POST', '/v1/collect', { delete: true });
const keyOf = (sha256: string): string => `sha256/${sha256.slice(0, 2)}/${sha256}`;
const isThere = async (sha256: string): Promise<boolean> => (await blobs.head(keyOf(sha256))) !== undefined;
const registerTable = () =>
  registry.call<DatasetVersion & { error?: { code: string } }>('POST', '/v1/datasets/d/versions', {
    format: 'csv',
    files: [{ name: 'a.csv', sha256, sizeBytes: content.length }],
    rows: 1,
    schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
    changes: sha256,
  });
/** As another process would, with times of its own. */
async function collectBeside(options: Partial<CollectOptions> & { readonly blobs?: BlobStore }): Promise<Collection> {
  await using database = await openRegistryDatabase(databaseUrlOf(dir));
  const store = { database, onRerouted: () => undefined, onRekeyed: () => undefined };
  const log = createLogger({ service: 'registry', level: 'silent' });
  const actor = { principal: 'test', keyId: null, requestId: 'req_test', traceparent: '' };
  const { blobs: its = blobs, ...more } = options;
  const all = { actor, retentionMs: 1, graceMs: 1, signal: new AbortController().signal, ...more };
  return await collect({ store, blobs: its, log }, all); // the database is open as long
}
/** A collection that is killed when it has asked for so many deletions. */
async function collectUntilKilled(deletions: number, settledAfterMs: number): Promise<void> {
  let asked = 0;
  const dying: BlobStore = {
    ...blobs,
    async delete(key) {
      asked += 1;
      if (asked > deletions) throw new Error('killed');
      await blobs.delete(key);
    },
  };
  await expect(collectBeside({ blobs: dying, times: { leaseMs: 30_000, settledAfterMs } })).rejects.toThrow('killed');
}

describe('a registration that finds its contents in the store', () => {
  it('keeps them while its package is checked, however long a collection has waited for them', async () => {
    const made = await makePackage();
    await registry.upload(made);
    atCheck = gate();
    const registering = registry.call('POST', '/v1/models/m/versions', { files: made.files });
    await atCheck.reached;
    expect((await remove()).body).toMatchObject({ blobs: { count: 0 }, kept: { young: { count: made.files.length } } });
    atCheck.open();
    expect((await registering).status).toBe(201);
    for (const file of made.files) expect(await isThere(file.sha256)).toBe(true);
  });

  it('keeps what it names after a collection has read what is named', async () => {
    await registry.put(content);
    atList = gate();
    const collecting = remove();
    await atList.reached;
    expect((await registerTable()).status).toBe(201);
    atList.open();
    expect((await collecting).body).toMatchObject({ blobs: { count: 0 }, kept: { young: { count: 1 } } });
    expect(await isThere(sha256)).toBe(true);
    await using database = await openRegistryDatabase(databaseUrlOf(dir));
    expect(await database.db.selectFrom('blob_claims').selectAll().execute()).toEqual([]);
  });

  it('is told to come back while they are being deleted, and then to put them again', async () => {
    await registry.put(content);
    atDelete = gate();
    const collecting = remove();
    await atDelete.reached;
    const head = await fetch(`${registry.url}/v1/blobs/${sha256}`, { method: 'HEAD' });
    const [put, register] = [await registry.put(content), await registerTable()];
    expect([head.status, put.status, register.status]).toEqual([404, 503, 503]);
    atDelete.open();
    expect((await collecting).body.blobs.count).toBe(1);
    expect((await registerTable()).body.error?.code).toBe('FAILED_PRECONDITION');
    expect((await registry.put(content)).status).toBe(201);
    expect((await registerTable()).status).toBe(201);
    expect(await isThere(sha256)).toBe(true);
  });
});

describe('a collection', () => {
  it('that is killed between marking and deleting is finished by the next, and names nothing that is gone', async () => {
    for (const text of ['one', 'two', 'three']) await registry.put(Buffer.from(text));
    await collectUntilKilled(1, 60_000);
    expect((await registry.put(Buffer.from('two'))).status).toBe(503); // its deletion may be on its way
    await collectBeside({});
    for (const text of ['one', 'two', 'three']) expect(await isThere(sha256Of(Buffer.from(text)))).toBe(false);
    expect((await registry.put(Buffer.from('two'))).status).toBe(503);
  });

  it('that was killed gives the contents back when nothing of it can be on its way any more', async () => {
    await registry.put(content);
    await collectUntilKilled(0, 1);
    await expect.poll(async () => (await registry.put(content)).status).toBe(200);
    expect((await registerTable()).status).toBe(201);
    await collectBeside({});
    expect(await isThere(sha256)).toBe(true);
  });

  it('is refused while another is under way', async () => {
    await registry.put(content);
    atDelete = gate();
    const first = remove();
    await atDelete.reached;
    const second = await registry.fails('POST', '/v1/collect', { delete: true });
    expect([second.status, second.body.error.retryable]).toEqual([503, true]);
    atDelete.open();
    expect((await first).status).toBe(200);
  });

  it('that lost its lease deletes nothing more', async () => {
    await registry.put(content);
    atList = gate();
    const collecting = registry.fails('POST', '/v1/collect', { delete: true });
    await atList.reached;
    await using database = await openRegistryDatabase(databaseUrlOf(dir));
    await database.db.updateTable('collector').set({ owner: 'another', until_ms: 0 }).execute();
    atList.open();
    expect((await collecting).status).toBe(503);
    expect(await isThere(sha256)).toBe(true);
  });

  it('leaves the checkpoints of the audit chain, and whatever else is in the store, alone', async () => {
    await blobs.put('audit/checkpoints/1.json', only(content));
    await blobs.put('of-others/a', only(content));
    await registry.put(content);
    expect((await remove()).body.blobItems.map(({ key }) => key)).toContain(keyOf(sha256));
    for (const key of ['audit/checkpoints/1.json', 'of-others/a']) expect(await blobs.head(key)).toBeDefined();
  });

  it('beside a backup takes nothing from it: the backup begins again', async () => {
    await registry.put(content);
    await registerTable();
    await registry.register('m', await makePackage({ adds: 2 }));
    await registry.call('DELETE', '/v1/datasets/d');
    let collections = 0;
    const whileCopied: BlobStore = {
      ...blobs,
      async get(key, options) {
        if (collections === 0) {
          collections += 1;
          expect((await remove()).body.blobItems.map(({ key }) => key)).toContain(keyOf(sha256));
        }
        return blobs.get(key, options);
      },
    };
    const { signal } = new AbortController();
    const target = join(dir, 'backup');
    await writeBackup({ databaseUrl: databaseUrlOf(dir), blobs: whileCopied }, target, signal);
    const restored = join(dir, 'restored');
    const places = {
      databaseUrl: databaseUrlOf(restored),
      blobs: await openBlobStore(`file:${join(restored, 'registry', 'blobs')}`),
    };
    expect((await restoreBackup(target, places, signal)).audit.valid).toBe(true);
    expect(await places.blobs.head(keyOf(sha256))).toBeUndefined();
  });
});

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
