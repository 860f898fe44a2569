import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlobStore, openBlobStore } from '@assay/blobs';
import type { AuditVerification, DatasetVersion, Page, Version } from '@assay/contracts';
import { nodeArguments } from '@assay/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';
import { databaseUrlIn } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { pathsIn, readManifest } from './manifest.ts';
import { restoreBackup } from './restore-backup.ts';
import { type RegistryPlaces, writeBackup } from './write-backup.ts';

const { signal } = new AbortController();
const noCheck = { checkPackage: async () => {} };

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'assay-backup-'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

const blobsOf = (dir: string): Promise<BlobStore> => openBlobStore(`file:${join(dir, 'registry', 'blobs')}`);
const placesOf = async (dir: string): Promise<RegistryPlaces> => ({
  databaseUrl: databaseUrlOf(dir),
  blobs: await blobsOf(dir),
});
const backUp = async (registry: RegistryUnderTest, name = 'backup') => {
  const target = join(work, name);
  return { target, manifest: await writeBackup(await placesOf(registry.dir), target, signal) };
};

async function addDataset(registry: RegistryUnderTest, text: string): Promise<DatasetVersion> {
  const bytes = Buffer.from(text);
  await registry.put(bytes);
  const { body } = await registry.call<DatasetVersion>('POST', '/v1/datasets/d/versions', {
    format: 'csv',
    files: [{ name: 'a.csv', sha256: sha256Of(bytes), sizeBytes: bytes.length }],
    rows: 1,
    schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
    changes: text,
  });
  return body;
}

async function startWithContents(): Promise<RegistryUnderTest> {
  const registry = await startRegistry({ deps: noCheck });
  await registry.call('POST', '/v1/models', { name: 'm', description: 'naïve “quotes”\n' });
  const made = await makePackage();
  expect((await registry.register('m', made)).status).toBe(201);
  const move = await registry.call('PUT', '/v1/models/m/aliases/champion', { version: 1, expectedRevision: 0 });
  expect(move.status).toBe(200);
  await addDataset(registry, 'a\n1\n');
  return registry;
}

describe('a backup', { timeout: 120_000 }, () => {
  it('restored on an empty machine gives the same registry, whose audit chain verifies and goes on', async () => {
    await using registry = await startWithContents();
    const { target, manifest } = await backUp(registry);
    const dir = join(work, 'restored');
    const restored = await restoreBackup(target, await placesOf(dir), signal);
    expect(restored.audit).toMatchObject({ valid: true, entries: manifest.audit.entries });

    await using again = await startRegistry({ dir, deps: noCheck });
    for (const path of [
      '/v1/models',
      '/v1/models/m/versions',
      '/v1/datasets/d/versions',
      '/v1/endpoints',
      '/v1/audit',
    ]) {
      const [before, after] = [await registry.call('GET', path), await again.call('GET', path)];
      expect(after, path).toMatchObject({ status: 200, body: before.body });
    }
    const { body } = await again.call<Version>('GET', '/v1/models/m/versions/1');
    for (const file of body.files) {
      const answer = await fetch(`${again.url}/v1/blobs/${file.sha256}`, { method: 'HEAD' });
      expect(answer.status).toBe(200);
    }
    expect((await again.register('m', await makePackage({ adds: 2 }))).body.version).toBe(2);
    const verdict = await again.call<AuditVerification>('GET', '/v1/audit/verify');
    expect(verdict.body.valid).toBe(true);
    expect(verdict.body.entries).toBeGreaterThan(manifest.audit.entries);
  });

  it('goes from one database into the other, and back', async () => {
    await using registry = await startWithContents();
    const { target } = await backUp(registry);
    const sqlite = { databaseUrl: databaseUrlIn(join(work, 'other')), blobs: await blobsOf(join(work, 'other')) };
    expect((await restoreBackup(target, sqlite, signal)).audit.valid).toBe(true);
    await writeBackup(sqlite, join(work, 'second'), signal);
    const [first, second] = [await readManifest(target), await readManifest(join(work, 'second'))];
    const rowsOf = ({ tables }: typeof first) => tables.map(({ name, rows }) => [name, rows]);
    expect(rowsOf(second)).toEqual(rowsOf(first));
    expect(second.audit).toEqual(first.audit);
    const back = await restoreBackup(join(work, 'second'), await placesOf(join(work, 'back')), signal);
    expect(back.audit).toMatchObject({ valid: true, headHash: first.audit.headHash });
  });

  it('taken while others write has every blob of every version in it, and a chain that verifies', async () => {
    await using registry = await startWithContents();
    const stop = new AbortController();
    let written = 0;
    let enough = (): void => undefined;
    const some = new Promise<void>((resolve) => {
      enough = resolve;
    });
    const writer = async (worker: number): Promise<void> => {
      for (let i = 0; !stop.signal.aborted; i += 1) {
        await addDataset(registry, `a\n${worker}${i}\n`);
        written += 1;
        if (written === 10) enough();
      }
    };
    const writers = [writer(1), writer(2)];
    await some;
    const before = written;
    const { target, manifest } = await backUp(registry);
    stop.abort();
    await Promise.all(writers);
    expect(manifest.blobs.count).toBeGreaterThanOrEqual(before);

    const dir = join(work, 'restored');
    expect((await restoreBackup(target, await placesOf(dir), signal)).audit.valid).toBe(true);
    await using again = await startRegistry({ dir, deps: noCheck });
    const { body } = await again.call<Page<DatasetVersion>>('GET', '/v1/datasets/d/versions?limit=1');
    const newest = body.items[0]?.version ?? 0;
    expect(newest).toBeGreaterThanOrEqual(before);
    const blobs = await blobsOf(dir);
    for (let version = 1; version <= newest; version += 1) {
      const { body: one } = await again.call<DatasetVersion>('GET', `/v1/datasets/d/versions/${version}`);
      for (const { sha256 } of one.files) {
        expect(await blobs.head(`sha256/${sha256.slice(0, 2)}/${sha256}`), `version ${version}`).toBeDefined();
      }
    }
  });

  it('begins again when an artifact was deleted while blobs were copied', async () => {
    await using registry = await startWithContents();
    const path = '/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/note.txt';
    expect((await fetch(`${registry.url}${path}`, { method: 'PUT', body: 'a note' })).status).toBe(200);
    const places = await placesOf(registry.dir);
    let deleted = 0;
    const whileCopied: BlobStore = {
      ...places.blobs,
      async get(key, options) {
        if (deleted === 0) {
          deleted += 1;
          expect((await fetch(`${registry.url}${path}`, { method: 'DELETE' })).status).toBe(200);
        }
        return places.blobs.get(key, options);
      },
    };
    const target = join(work, 'backup');
    await writeBackup({ ...places, blobs: whileCopied }, target, signal);
    expect(deleted).toBe(1);
    expect((await restoreBackup(target, await placesOf(join(work, 'restored')), signal)).audit.valid).toBe(true);
  });

  it('of a store that lost a blob is refused, and leaves nothing', async () => {
    await using registry = await startWithContents();
    const { blobs } = await placesOf(registry.dir);
    for await (const { key } of blobs.list('sha256/')) await blobs.delete(key);
    await expect(backUp(registry)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    expect(await readdir(work)).toEqual([]);
  });

  it('killed in the middle never looks whole, and the next one is', async () => {
    await using registry = await startWithContents();
    const target = join(work, 'backup');
    const url = new URL('./backup-to-kill.ts', import.meta.url);
    const child = spawn(
      process.execPath,
      [...nodeArguments(), url.pathname, databaseUrlOf(registry.dir), join(registry.dir, 'registry', 'blobs'), target],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    expect(await readdir(work)).toEqual(['backup.partial']);
    await expect(readManifest(target)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(readManifest(`${target}.partial`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await backUp(registry);
    expect(await readdir(work)).toEqual(['backup']);
  });

  it('does not replace another', async () => {
    await using registry = await startWithContents();
    await backUp(registry);
    await expect(backUp(registry)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });
});

describe('a restore', { timeout: 120_000 }, () => {
  it('into a registry that holds something is refused, and changes nothing', async () => {
    await using registry = await startWithContents();
    const { target } = await backUp(registry);
    await expect(restoreBackup(target, await placesOf(registry.dir), signal)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
  });

  it.each([
    ['a table', async (target: string) => appendFile(pathsIn(target).table('audit'), '\n')],
    ['the list of blobs', async (target: string) => appendFile(pathsIn(target).blobList, '{}\n')],
    ['a table that is missing', async (target: string) => rm(pathsIn(target).table('models'))],
    [
      'a blob',
      async (target: string) => {
        const copies = await openBlobStore(pathsIn(target).blobsUrl);
        for await (const { key } of copies.list('sha256/')) await copies.put(key, only(Buffer.from('other')));
      },
    ],
  ])('of a backup with another content of %s is refused, and the database stays empty', async (_what, damage) => {
    await using registry = await startWithContents();
    const { target } = await backUp(registry);
    const { target: good } = await backUp(registry, 'good');
    await damage(target);
    const places = await placesOf(join(work, 'restored'));
    await expect(restoreBackup(target, places, signal)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await restoreBackup(good, places, signal)).audit.valid).toBe(true); // it is refused where there is anything
  });

  it('says so where there is no backup', async () => {
    await expect(restoreBackup(join(work, 'none'), await placesOf(work), signal)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(stat(join(work, 'registry', 'registry.sqlite'))).rejects.toThrow();
  });
});

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
