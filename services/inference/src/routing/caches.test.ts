import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RoutedVersion } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { routedEndpoint, routedVersion, snapshot } from '../domain/fake-versions.ts';
import { createPackageCache } from './package-cache.ts';
import { createSnapshotCache } from './snapshot-cache.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-inference-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('the cached snapshot', () => {
  test('is read as it was written, the newest of several', async () => {
    const cache = createSnapshotCache(join(dir, 'deep', 'routing.json'));
    expect(await cache.read()).toBeUndefined();
    const newest = snapshot(3, routedEndpoint('a', 3, [2]));
    await Promise.all([cache.write(snapshot(1)), cache.write(snapshot(2)), cache.write(newest)]);
    expect(await cache.read()).toEqual(newest);
    expect(await readdir(join(dir, 'deep'))).toEqual(['routing.json']);
  });

  test('is not believed when it was damaged', async () => {
    const path = join(dir, 'routing.json');
    const cache = createSnapshotCache(path);
    await cache.write(snapshot(3, routedEndpoint('a', 3, [2])));
    const text = await readFile(path, 'utf8');
    for (const damaged of [text.replace('flights', 'fl1ghts'), text.slice(0, -20), '', '{}', 'null']) {
      await writeFile(path, damaged);
      await expect(cache.read()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    }
  });
});

describe('the package cache', () => {
  const sized = (number: number, sizeBytes: number): RoutedVersion => ({
    ...routedVersion(number),
    files: [{ path: 'model.onnx', sha256: '0'.repeat(64), sizeBytes }],
  });

  function open(maxBytes: number) {
    const downloads: string[] = [];
    const cache = createPackageCache({
      dir: join(dir, 'packages'),
      maxBytes,
      async download(version, target) {
        downloads.push(version.id);
        await mkdir(target, { recursive: true });
        for (const file of version.files) await writeFile(join(target, file.path), new Uint8Array(file.sizeBytes));
      },
    });
    return { cache, downloads };
  }
  const signal = AbortSignal.timeout(10_000);

  test('downloads a package once, and again when a file of it is not as it should be', async () => {
    const { cache, downloads } = open(1000);
    const version = sized(1, 10);
    const folder = await cache.fetch(version, signal);
    expect(await cache.fetch(version, signal)).toBe(folder);
    expect(downloads).toEqual(['ver_1']);
    await writeFile(join(folder, 'model.onnx'), 'short');
    await cache.fetch(version, signal);
    expect((await stat(join(folder, 'model.onnx'))).size).toBe(10);
    await cache.discard(version.digest);
    await cache.fetch(version, signal);
    expect(downloads).toEqual(['ver_1', 'ver_1', 'ver_1']);
  });

  test('downloads a package once when two versions of the same content ask for it together', async () => {
    const { cache, downloads } = open(1000);
    const twin = { ...sized(2, 10), digest: sized(1, 10).digest };
    await Promise.all([cache.fetch(sized(1, 10), signal), cache.fetch(twin, signal)]);
    expect(downloads).toEqual(['ver_1']);
  });

  test('removes what was used longest ago when it is over its limit, never what is in use', async () => {
    const { cache } = open(25);
    const versions = [sized(1, 10), sized(2, 10), sized(3, 10), sized(4, 10)];
    for (const [i, version] of versions.entries()) {
      const folder = await cache.fetch(version, signal);
      await utimes(folder, 1000 + i, 1000 + i);
    }
    const [oldest = '', , , newest] = versions.map((version) => version.digest);
    cache.retain(new Set([oldest]));
    await cache.idle();
    expect((await readdir(join(dir, 'packages'))).toSorted()).toEqual([oldest, newest].toSorted());
  });
});
