import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { LIBRARY_CACHE, temporaryFolder } from '../trainer-under-test.ts';
import { loadXgBoost } from './binding.ts';
import { findXgBoost } from './library.ts';

const { signal } = new AbortController();

test('the fetched library loads with the OpenMP library of its wheel beside it, and the note of its licence', async () => {
  const path = await findXgBoost('cpu', { cacheDir: LIBRARY_CACHE, signal });
  expect(path.slice(LIBRARY_CACHE.length)).toBe(`/xgboost-cpu-3.2.0-${process.arch}/xgboost/lib/libxgboost.so`);
  const folder = join(LIBRARY_CACHE, `xgboost-cpu-3.2.0-${process.arch}`);
  expect((await readdir(folder)).sort()).toEqual(['METADATA', 'xgboost', 'xgboost_cpu.libs']);
  expect(loadXgBoost(path)).toMatchObject({ path, hasCuda: false });
});

test('a library with CUDA that is there serves the CPU too: nothing is fetched', async () => {
  await using opened = new AsyncDisposableStack();
  const cacheDir = await temporaryFolder(opened);
  const path = join(cacheDir, `xgboost-cuda-3.2.0-${process.arch}`, 'xgboost', 'lib', 'libxgboost.so');
  await mkdir(dirname(path), { recursive: true });
  await cp(await findXgBoost('cpu', { cacheDir: LIBRARY_CACHE, signal }), path); // its name is what counts here
  const onFetch = (what: string) => {
    throw new Error(`fetches ${what}`);
  };
  expect(await findXgBoost('cpu', { cacheDir, signal, onFetch })).toBe(path);
  expect(await findXgBoost('cuda', { cacheDir, signal, onFetch })).toBe(path);
});

test('where it cannot be fetched, the error says what to do', async () => {
  await using opened = new AsyncDisposableStack();
  const cacheDir = await temporaryFolder(opened);
  const { PATH } = process.env;
  opened.defer(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = cacheDir; // no python3 there
  const fetched: string[] = [];
  const fetching = findXgBoost('cuda', { cacheDir, signal, onFetch: (what) => fetched.push(what) });
  await expect(fetching).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  await expect(fetching).rejects.toThrow(/there is no python3 on this machine.*ASSAY_TRAINING_XGBOOST_LIBRARY/);
  expect(fetched).toEqual(['XGBoost 3.2.0 with CUDA (132 MB)']);
  expect(await readdir(cacheDir)).toEqual([]);
});

test('a file that is no library is refused by name', async () => {
  await using opened = new AsyncDisposableStack();
  const library = join(await temporaryFolder(opened), 'libxgboost.so');
  await writeFile(library, 'not ELF');
  const path = await findXgBoost('cpu', { library, cacheDir: LIBRARY_CACHE, signal });
  expect(() => loadXgBoost(path)).toThrow(`${library} does not load`);
});
