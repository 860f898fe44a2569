import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { AuditVerification, Dataset, DatasetVersion } from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assay as run } from '../fake-services.ts';

const FLIGHTS = join(import.meta.dirname, '../../../examples/flights/flights.parquet');

let dir: string;
let registry: { readonly child: ChildProcess; readonly url: string };
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-datasets-'));
  const child = spawn(
    process.execPath,
    [...nodeArguments(), fileURLToPath(entryUrl('services/registry', 'registry'))],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ASSAY_DATA_DIR: join(dir, 'data'), ASSAY_LOG_LEVEL: 'silent', ASSAY_REGISTRY_PORT: '0' },
    },
  );
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('the registry ended before it listened')));
  });
  registry = { child, url: /http:\S+/.exec(line)?.[0] ?? '' };
});
afterAll(async () => {
  const ended = new Promise((resolve) => registry.child.once('close', resolve));
  registry.child.kill('SIGTERM');
  await ended;
  await rm(dir, { recursive: true, force: true });
});

const assay = (...args: string[]) => run([...args, '--registry', registry.url], { cwd: dir });

async function files(contents: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(contents)) await writeFile(join(dir, name), text);
}

async function added(...args: string[]): Promise<DatasetVersion> {
  const { code, out, err } = await assay('datasets', 'add', ...args, '--json');
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out);
}

describe('assay datasets add', () => {
  test('registers what a Parquet file holds, with schema, rows and profile', async () => {
    const { code, out, err } = await assay('datasets', 'add', 'flights', FLIGHTS, '--owner', 'data@example.com');
    expect([code, err]).toEqual([0, '1 file, 843.7 KiB, 200000 rows: registering …\n']);
    expect(out).toMatch(/^dataset +flights\nversion +1\nformat +parquet\nrows +200000\n/);
    expect(out).toMatch(/\nowner +data@example.com\n/);
    const version: DatasetVersion = JSON.parse((await assay('datasets', 'show', 'flights', '--json')).out);
    expect(version.schema).toEqual([
      { name: 'date', type: 'TIMESTAMP', nullable: false },
      { name: 'delay', type: 'SMALLINT', nullable: false },
      { name: 'distance', type: 'SMALLINT', nullable: false },
      { name: 'origin', type: 'VARCHAR', nullable: false },
      { name: 'destination', type: 'VARCHAR', nullable: false },
    ]);
    const profile = new Map(version.profile?.map((column) => [column.name, column]));
    expect(profile.get('distance')).toMatchObject({ dtype: 'int64', count: 200_000, missing: 0, distinct: 1101 });
    expect(profile.get('distance')?.numeric).toMatchObject({ min: 30, max: 4962, infinite: 0 });
    expect(profile.get('origin')?.top?.[0]).toEqual({ value: 'ORD', count: 11_277 });
  });

  test('takes files of one schema by name or glob, and keeps personal data out of the profile', async () => {
    await files({ 'people-1.csv': 'id,name,born\n1,Ada,1815-12-10\n2,,1906-12-09\n' });
    await files({ 'people-2.csv': 'id,name,born\n3,Grace,1906-12-09\n' });
    const version = await added('people', 'people-*.csv', '--personal-data', 'name,born', '--layer', 'cleaned');
    expect(version).toMatchObject({ rows: 3, fileCount: 2, layer: 'cleaned', personalData: ['name', 'born'] });
    expect(version.files.map(({ name }) => name)).toEqual(['people-1.csv', 'people-2.csv']);
    expect(version.schema).toEqual([
      { name: 'id', type: 'BIGINT', nullable: false },
      { name: 'name', type: 'VARCHAR', nullable: true },
      { name: 'born', type: 'DATE', nullable: false },
    ]);
    expect(version.profile?.slice(1)).toEqual([
      { name: 'name', dtype: 'string', count: 3, missing: 1, distinct: 2 },
      { name: 'born', dtype: 'timestamp', count: 3, missing: 0, distinct: 2 },
    ]);
    expect(JSON.stringify(version)).not.toMatch(/Ada|Grace/);
  });

  test('reads columns of any type, text that is no category, and numbers that end the doubles', async () => {
    const long = 'long '.repeat(100);
    await files({
      'odd.ndjson': [
        { list: [1, 2], struct: { a: 1 }, yes: true, text: long, huge: 1e308, 'a "quoted" name': 1 },
        { list: [], struct: null, yes: null, text: 'short', huge: -1e308, 'a "quoted" name': 2 },
      ]
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    });
    const version = await added('odd', 'odd.ndjson');
    expect(version.schema.map(({ name, nullable }) => [name, nullable])).toEqual([
      ['list', false],
      ['struct', true],
      ['yes', true],
      ['text', false],
      ['huge', false],
      ['a "quoted" name', false],
    ]);
    const profile = new Map(version.profile?.map((column) => [column.name, column]));
    expect(profile.get('list')).toMatchObject({ dtype: 'string', distinct: 2 });
    expect(profile.get('text')?.top).toBeUndefined();
    expect(profile.get('huge')).toMatchObject({ dtype: 'string', count: 2, missing: 0, distinct: 2 });
    expect(profile.get('yes')?.top).toEqual([{ value: 'true', count: 1 }]);
  });

  test('refuses files of differing schemas, with the file and the column', async () => {
    await files({
      'first.csv': 'id,code\n1,7\n',
      'text.csv': 'id,code\n1,A7\n',
      'less.csv': 'id\n1\n',
      'more.csv': 'id,code,extra\n1,7,x\n',
      'turned.csv': 'code,id\n7,1\n',
    });
    const refusal = async (other: string): Promise<string> => {
      const { code, out, err } = await assay('datasets', 'add', 'differing', 'first.csv', other);
      expect([code, out]).toEqual([2, '']);
      return err.replaceAll(dir, '.');
    };
    expect(await refusal('text.csv')).toMatch(
      /\.\/text\.csv: column "code" is VARCHAR, in \.\/first\.csv it is BIGINT/,
    );
    expect(await refusal('less.csv')).toMatch(/\.\/less\.csv: there is no column "code", which \.\/first\.csv has/);
    expect(await refusal('more.csv')).toMatch(/\.\/more\.csv: there is a column "extra"/);
    expect(await refusal('turned.csv')).toMatch(/\.\/turned\.csv: column "id" is at another position/);
    const version = await added('differing', 'first.csv', 'text.csv', '--type', 'code=VARCHAR');
    expect(version.schema[1]).toEqual({ name: 'code', type: 'VARCHAR', nullable: false });
  });

  test.each([
    ['a file that is not there', ['none.csv'], /none\.csv: there is no such file/],
    ['an empty file', ['empty.csv'], /empty\.csv: the file is empty/],
    ['a folder', ['folder'], /folder/],
    ['a row that is broken', ['broken.csv'], /broken\.csv.*row 3/s],
    ['a name that a dataset cannot have', ['a b.csv'], /a b\.csv: a file of a dataset has a name of/],
    ['two files of one name', ['good.csv', 'folder/good.csv'], /have the same name in the dataset/],
    ['no format', ['good.txt'], /csv, ndjson or parquet/],
    ['a type of no column', ['good.csv', '--type', 'aa=VARCHAR'], /--type: .*"aa"/],
    ['a type that is none', ['good.csv', '--type', 'a=NONE'], /NONE/],
    ['half a type', ['good.csv', '--type', 'a'], /--type a: expected COLUMN=TYPE/],
    ['a type for Parquet', [FLIGHTS, '--type', 'delay=VARCHAR'], /--type is for CSV/],
    ['personal data in no column', ['good.csv', '--personal-data', 'b'], /--personal-data: the data has no column "b"/],
    ['a layer that is none', ['good.csv', '--layer', 'gold'], /Allowed choices are raw, cleaned, labelled, processed/],
    ['a parent that is none', ['good.csv', '--parent', 'flights@x'], /"flights@x" is no dataset version/],
  ])('refuses %s in words, and registers nothing', async (_, args, message) => {
    await files({ 'empty.csv': '', 'broken.csv': 'a,b\n1,2\n1,2,3\n', 'a b.csv': 'a\n1\n', 'good.csv': 'a\n1\n' });
    await files({ 'good.txt': 'a\n1\n' });
    await mkdir(join(dir, 'folder'), { recursive: true });
    await writeFile(join(dir, 'folder/good.csv'), 'a\n2\n');
    const { code, out, err } = await assay('datasets', 'add', 'refused', ...args);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(message);
    expect((await assay('datasets', 'show', 'refused')).code).toBe(4);
  });

  test('asks what changed from the second version on, keeps the lineage, and makes no twin', async () => {
    await files({ 'steps.csv': 'a\n1\n' });
    const one = await added('steps', 'steps.csv');
    expect(await added('steps', 'steps.csv')).toEqual(one);
    await files({ 'steps.csv': 'a\n1\n2\n' });
    const silent = await assay('datasets', 'add', 'steps', 'steps.csv');
    expect([silent.code, silent.err]).toEqual([2, expect.stringContaining('say what changed since')]);
    const two = await added(
      'steps',
      'steps.csv',
      '--changes',
      'a row more',
      '--parent',
      'steps@1',
      '--parent',
      'flights',
    );
    expect(two).toMatchObject({ version: 2, changes: 'a row more' });
    expect(two.parents[0]).toBe(one.id);
    const { out } = await assay('datasets', 'show', 'steps');
    expect(out).toMatch(/\nmade from +steps@1, flights@1\n/);
    expect(out).toMatch(/VERSION +ROWS +CREATED +BY +CHANGES\n2 +2 .* a row more\n1 +1 .* -\n$/);
  });
});

describe('another schema than that of the version before', () => {
  test('is told when it is registered', async () => {
    await files({ 'drift.csv': 'id,code,age\n1,A1,30\n' });
    await added('drift', 'drift.csv');
    await files({ 'drift.csv': 'id,code,city\n,12,Bern\n3,13,Basel\n' });
    const { code, err } = await assay('datasets', 'add', 'drift', 'drift.csv', '--changes', 'from the new system');
    expect(code).toBe(0);
    expect(err.split('\n')[0]).toBe(
      'Since version 1: age is gone, id has missing values, code is BIGINT (was VARCHAR), city is new.',
    );
    await files({ 'drift.csv': 'id,code,city\n4,14,Bern\n' });
    const same = await assay('datasets', 'add', 'drift', 'drift.csv', '--changes', 'another row');
    expect([same.code, same.err]).toEqual([0, '1 file, 23 bytes, 1 row: registering …\n']);
  });
});

describe('what was said of a version', () => {
  test('is said of the next one, too, unless an option says otherwise', async () => {
    await files({ 'said.csv': 'name\nAda\n' });
    const about = ['--owner', 'hr', '--licence', 'internal', '--personal-data', 'name', '--layer', 'labelled'];
    const one = await added('said', 'said.csv', ...about);
    expect(await added('said', 'said.csv')).toEqual(one);
    await files({ 'said.csv': 'name\nGrace\n' });
    const two = await added('said', 'said.csv', '--changes', 'Grace', '--owner', 'data team');
    expect(two).toMatchObject({ owner: 'data team', licence: 'internal', personalData: ['name'], layer: 'labelled' });
    expect(JSON.stringify(two.profile)).not.toContain('Grace');
    await files({ 'said.csv': 'first_name\nGrace\n' });
    const renamed = await assay('datasets', 'add', 'said', 'said.csv', '--changes', 'renamed');
    expect([renamed.code, renamed.err]).toEqual([
      2,
      expect.stringMatching(/the personal data of version 2 .*: the data has no column "name"/),
    ]);
    const three = await added('said', 'said.csv', '--changes', 'renamed', '--personal-data', 'first_name');
    expect(three).toMatchObject({ version: 3, personalData: ['first_name'], licence: 'internal' });
    const four = await added('said', 'said.csv', '--changes', 'these are made up', '--personal-data', '');
    expect(four).toMatchObject({ version: 4, personalData: [] });
  });
});

describe('assay datasets list, show and get', () => {
  test('show what there is, and the nearest name of what there is not', async () => {
    const { out } = await assay('datasets', 'list');
    expect(out).toMatch(/^NAME +LATEST +LAYER +ROWS +COLUMNS +SIZE +OWNER +UPDATED\n/);
    expect(out).toMatch(/\nflights +1 +raw +200000 +5 +843\.7 KiB +data@example\.com /);
    const names: Dataset[] = JSON.parse((await assay('datasets', 'list', '--json')).out);
    expect(names.map(({ name }) => name)).toContain('flights');
    const missing = await assay('datasets', 'show', 'fligths', '--json');
    expect([missing.code, JSON.parse(missing.err).error.message]).toEqual([
      4,
      expect.stringContaining('did you mean "flights"?'),
    ]);
    expect((await assay('datasets', 'show', 'flights')).out).toMatch(/\ndistance +SMALLINT +0 +1101 +30 … 4962, mean /);
  });

  test('get downloads the files that were registered, once, and never over others', async () => {
    const { code, out } = await assay('datasets', 'get', 'flights@1', '--to', 'got');
    expect([code, out.replace(dir, '.')]).toEqual([0, 'flights 1 is in ./got: 1 file, 843.7 KiB, digests checked.\n']);
    expect((await readFile(join(dir, 'got/flights.parquet'))).equals(await readFile(FLIGHTS))).toBe(true);
    expect((await assay('datasets', 'get', 'flights', '--to', 'got')).code).toBe(0);
    await writeFile(join(dir, 'got/flights.parquet'), 'mine');
    const refused = await assay('datasets', 'get', 'flights', '--to', 'got');
    expect([refused.code, refused.err]).toEqual([4, expect.stringContaining('name a folder that is not there yet')]);
    const inFile = await assay('datasets', 'get', 'flights', '--to', 'got/flights.parquet/in');
    expect(inFile.code).toBe(2);
    expect(inFile.err).toContain('got/flights.parquet/in cannot be written: a part of that path is a file');
  });

  test('get refuses a content that is damaged in the blob store, and gets it once that is repaired', async () => {
    const parts = Object.fromEntries([1, 2, 3].map((n) => [`part-${n}.csv`, `a\n${`${n}\n`.repeat(100_000)}`]));
    await files(parts);
    const { files: registered } = await added('damaged', ...Object.keys(parts));
    const blobs = join(dir, 'data/registry/blobs');
    const names = await readdir(blobs, { recursive: true });
    const stored = join(blobs, names.find((path) => path.includes(registered[1]?.sha256 ?? '?')) ?? 'none');
    await cp(stored, join(dir, 'good'));
    await writeFile(stored, (await readFile(stored, 'utf8')).replace('2', '3'));
    const { code, err } = await assay('datasets', 'get', 'damaged', '--to', 'repaired');
    expect(code).not.toBe(0);
    expect(err.split('\n')).toHaveLength(2);
    expect(await readdir(dir)).not.toContain('repaired');
    await cp(join(dir, 'good'), stored);
    expect((await assay('datasets', 'get', 'damaged', '--to', 'repaired')).code).toBe(0);
    for (const [name, text] of Object.entries(parts)) {
      expect(await readFile(join(dir, 'repaired', name), 'utf8')).toBe(text);
    }
  });

  test('leave an audit trail that verifies', async () => {
    const { code, out } = await assay('audit', 'verify', '--json');
    const verdict: AuditVerification = JSON.parse(out);
    expect([code, verdict.valid, verdict.entries > 5]).toEqual([0, true, true]);
  });
});

describe('assay datasets changes and lineage', () => {
  test('say what a version changed, and what it was made from', async () => {
    await files({ 'one.csv': 'id,age\n1,10\n2,20\n', 'two.csv': 'id,age,city\n1,110,x\n2,120,\n3,130,y\n' });
    const first = await added('ages', 'one.csv');
    await added('ages', 'two.csv', '--changes', 'cities', '--parent', 'ages@1', '--owner', 'ada');
    const { code, out } = await assay('datasets', 'changes', 'ages');
    expect([code, out]).toEqual([0, expect.stringContaining('ages 1 → 2: cities\nrows: 2 → 3 (+1)\n')]);
    expect(out).toContain('\ncolumn city was added (VARCHAR)\n');
    expect(out).toContain('\nowner: - → "ada"\n');
    expect(out).toMatch(/\nage +- +15 → 120 +14\.849 +10 → 110 +20 → 130 +2 → 3\n/);
    const lineage = await assay('datasets', 'lineage', 'ages@1');
    const of = ({ version, digest }: DatasetVersion, more = '') =>
      `ages@${version} (raw; ${digest.slice(0, 12)}${more})`;
    const second: DatasetVersion = JSON.parse((await assay('datasets', 'show', 'ages@2', '--json')).out);
    expect(lineage.out).toBe(`${of(first)}\n└─ made from it\n   └─ ${of(second, '; owner ada')}\n`);
  });
});
