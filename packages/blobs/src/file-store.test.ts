import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AssayError } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunks, describeBlobStore, readAll } from './conformance.ts';
import { openBlobStore } from './index.ts';
import { temporaryName } from './temporary-files.ts';

describeBlobStore('files', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-blobs-'));
  return {
    store: await openBlobStore(`file:${join(dir, 'new', 'folder')}`),
    cleanup: () => rm(dir, { recursive: true }),
  };
});

describe('blobs in files', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-blobs-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  const open = () => openBlobStore(`file:${dir}`);
  const temporary = () => readdir(join(dir, '.tmp'));

  async function refusal(action: Promise<unknown>): Promise<AssayError> {
    const error = await action.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(AssayError);
    return AssayError.from(error);
  }

  it('opens by path and by file url, and refuses others', async () => {
    await (await openBlobStore(pathToFileURL(join(dir, 'with space')).href)).put('a', chunks('x'));
    expect(await readdir(join(dir, 'with space'))).toContain('a.blob');
    for (const url of ['ftp://bucket', dir, 'file:', 'file://host/path', '']) {
      expect((await refusal(openBlobStore(url))).code).toBe('INVALID_ARGUMENT');
    }
  });

  it('leaves no temporary file, whether a put succeeds or fails', async () => {
    const store = await open();
    await store.put('a', chunks('x'));
    await store.put('a', chunks('x'), { ifAbsent: true }).catch(() => undefined);
    await store.put('b', chunks('x'), { sha256: '0'.repeat(64) }).catch(() => undefined);
    expect(await temporary()).toEqual([]);
  });

  it('shows a body only when it is whole', async () => {
    const store = await open();
    const seen: unknown[] = [];
    await store.put(
      'a',
      (async function* () {
        yield Buffer.from('one');
        seen.push(await store.head('a'), await temporary());
        yield Buffer.from('two');
      })(),
    );
    expect(seen).toEqual([undefined, [expect.any(String)]]);
    expect(await store.head('a')).toEqual({ key: 'a', sizeBytes: 6 });
  });

  it('removes at its start what a dead process left, and nothing that is still written', async () => {
    const store = await open();
    const dead = temporaryName('x').replace(`~${process.pid}~`, '~4194305~'); // above the largest process number of Linux
    const old = temporaryName('old');
    const earlier = temporaryName('earlier'); // of this number, and older than this process
    const elsewhere = 'another-host~1~y';
    for (const name of [dead, old, earlier, elsewhere]) await writeFile(join(dir, '.tmp', name), 'left');
    const dayAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(dir, '.tmp', old), dayAgo, dayAgo);
    const before = new Date(Date.now() - process.uptime() * 1000 - 60_000);
    await utimes(join(dir, '.tmp', earlier), before, before);
    await store.put(
      'a',
      (async function* () {
        yield Buffer.from('one');
        await open();
        yield Buffer.from('two');
      })(),
    );
    expect((await readAll((await store.get('a')).body)).toString()).toBe('onetwo');
    expect(await temporary()).toEqual([elsewhere]);
  });

  it('says that the body changed when a put came between the look and the read', async () => {
    const store = await open();
    await store.put('a', chunks('first'));
    const { body } = await store.get('a');
    await store.put('a', chunks('other'));
    expect((await refusal(readAll(body))).code).toBe('UNAVAILABLE');
    const { body: gone } = await store.get('a');
    await store.delete('a');
    expect((await refusal(readAll(gone))).code).toBe('NOT_FOUND');
  });

  it('ignores files that are no blobs', async () => {
    const store = await open();
    await store.put('a', chunks('x'));
    await writeFile(join(dir, 'README.txt'), '');
    await mkdir(join(dir, 'folder.blob'));
    const found: string[] = [];
    for await (const { key } of store.list('')) found.push(key);
    expect(found).toEqual(['a']);
  });

  it('says that its folder is a file', async () => {
    await writeFile(join(dir, 'taken'), '');
    const error = await refusal(openBlobStore(`file:${join(dir, 'taken', 'blobs')}`));
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain('is a file; choose another folder');
  });
});
