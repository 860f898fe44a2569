import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import koffi from 'koffi';
import { expect, test } from 'vitest';
import { LIBRARY_CACHE, temporaryFolder } from '../trainer-under-test.ts';
import { loadLightGbm } from './binding.ts';
import { findLightGbm } from './library.ts';

const { signal } = new AbortController();

test('the fetched OpenMP library serves LightGBM where the machine has none', async () => {
  const location = await findLightGbm({ cacheDir: LIBRARY_CACHE, signal });
  const openmp = await location.openmp();
  // Loaded first, it is what the loader finds under the name that LightGBM asks for; the system's own stays out.
  koffi.load(openmp, { global: true });
  const library = await loadLightGbm(location);
  expect(library.parameterAliases().get('num_leaves')).toContain('max_leaves');
  const mapped = (await readFile('/proc/self/maps', 'utf8'))
    .split('\n')
    .flatMap((line) => /\/\S*libgomp\S*/.exec(line)?.[0] ?? []);
  expect([...new Set(mapped)]).toEqual([openmp]);
});

test('two processes that fetch at once get one library, and leave nothing else behind', async () => {
  await using opened = new AsyncDisposableStack();
  const cacheDir = await temporaryFolder(opened);
  const fetched: string[] = [];
  const options = { cacheDir, signal, onFetch: (what: string) => fetched.push(what) };
  const [first, second] = await Promise.all([findLightGbm(options), findLightGbm(options)]);
  expect(second.lightgbm).toBe(first.lightgbm);
  expect(fetched).toHaveLength(2);
  const [folder = '', ...others] = await readdir(cacheDir);
  expect(others).toEqual([]);
  expect((await readdir(join(cacheDir, folder))).sort()).toEqual(['LICENSE', 'lib_lightgbm.so']);
  await findLightGbm(options);
  expect(fetched).toHaveLength(2); // the third found it
});

test('where it cannot be fetched, the error says what to do', async () => {
  await using opened = new AsyncDisposableStack();
  const cacheDir = await temporaryFolder(opened);
  const { PATH } = process.env;
  opened.defer(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = cacheDir; // no python3 there
  const fetching = findLightGbm({ cacheDir, signal });
  await expect(fetching).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  await expect(fetching).rejects.toThrow(/there is no python3 on this machine.*ASSAY_TRAINING_LIGHTGBM_LIBRARY/);
  expect(await readdir(cacheDir)).toEqual([]);
});

test('a file that is no library is refused by name', async () => {
  await using opened = new AsyncDisposableStack();
  const library = join(await temporaryFolder(opened), 'lib_lightgbm.so');
  await writeFile(library, 'not ELF');
  const location = await findLightGbm({ library, cacheDir: LIBRARY_CACHE, signal });
  await expect(loadLightGbm(location)).rejects.toThrow(`${library} does not load`);
});
