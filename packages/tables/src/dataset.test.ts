import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ColumnData } from './columns.ts';
import { DataError } from './data-error.ts';
import { type Dataset, openDataset } from './dataset.ts';
import type { ColumnRequest } from './expressions.ts';
import type { PreparedTable, ReadColumn, RowFilter } from './prepared-table.ts';

const { signal } = new AbortController();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assay-tables-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function withDataset<T>(path: string, work: (dataset: Dataset) => Promise<T>): Promise<T> {
  const dataset = await openDataset({ path }, { signal });
  try {
    return await work(dataset);
  } finally {
    dataset.close();
  }
}

function prepare(dataset: Dataset, columns: Omit<ColumnRequest, 'place'>[], where?: string): Promise<PreparedTable> {
  return dataset.prepare({
    columns: columns.map((column, i) => ({ ...column, place: `features[${i}].expression` })),
    ...(where === undefined ? {} : { where: { expression: where, place: 'source.where' } }),
    signal,
  });
}

async function readAll(
  table: PreparedTable,
  columns: ReadColumn[],
  where?: RowFilter,
): Promise<ColumnData['values'][][]> {
  const chunks: ColumnData['values'][][] = [];
  for await (const chunk of table.read(columns, { signal, ...(where === undefined ? {} : { where }) })) {
    chunks.push(chunk.columns.map((column) => column.values));
  }
  return chunks;
}

async function refusal(work: Promise<unknown>): Promise<AssayError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AssayError)) throw new Error(`expected an AssayError, got ${String(thrown)}`);
  return thrown;
}

const PEOPLE =
  'age,city,height,member,joined\n31,Bern,1.75,true,2024-03-01\n47,"Basel, Riehen",,false,2024-03-02\n52,Bern,1.6,true,2024-03-03\n31,,1.8,true,2024-03-04\n';

describe('a CSV file', () => {
  test('is read as typed columns, what is missing kept missing', async () => {
    await withDataset(await file('people.csv', PEOPLE), async (dataset) => {
      const table = await prepare(dataset, [
        { name: 'age', dtype: 'int64' },
        { name: 'city', dtype: 'string' },
        { name: 'height', dtype: 'float64' },
        { name: 'member', dtype: 'bool' },
        { name: 'joined', dtype: 'timestamp' },
        { name: 'centimetres', dtype: 'float32', expression: 'height * 100' },
      ]);
      const [chunk] = await readAll(
        table,
        table.columns.map(({ name }) => ({ name })),
      );
      expect(chunk).toEqual([
        BigInt64Array.of(31n, 47n, 52n, 31n),
        ['Bern', 'Basel, Riehen', 'Bern', null],
        Float64Array.of(1.75, NaN, 1.6, 1.8),
        Uint8Array.of(1, 0, 1, 1),
        BigInt64Array.of(
          1_709_251_200_000_000n,
          1_709_337_600_000_000n,
          1_709_424_000_000_000n,
          1_709_510_400_000_000n,
        ),
        Float32Array.of(175, NaN, 160, 180),
      ]);
    });
  });

  test('gives categories as codes of a dictionary, -1 for none and for one that is not in it', async () => {
    await withDataset(await file('people.csv', PEOPLE), async (dataset) => {
      const table = await prepare(dataset, [{ name: 'city', dtype: 'string' }]);
      const dictionary = await table.dictionary('city', { signal });
      expect(dictionary).toEqual({ values: ['Basel, Riehen', 'Bern'], counts: [1, 2] });
      expect(await readAll(table, [{ name: 'city', codesOf: ['Bern'] }])).toEqual([[Int32Array.of(0, -1, 0, -1)]]);
    });
  });

  test.each([
    ['has too few values', 'a,b\n1,2\n3\n', 3],
    ['has too many values', 'a,b\n1,2\n3,4,5\n6,7\n', 3],
    ['could be a header of what follows', 'a,b\n1,2\n3,4,5\n', 3],
    ['leaves a quote open', 'a,b\n1,"2\n3,4\n', 2],
    ['breaks after the first twenty thousand rows', `a,b\n${'1,2\n'.repeat(30_000)}3\n`, 30_002],
    ['holds text where all before were numbers', `a,b\n${'1,2\n'.repeat(30_000)}x,3\n`, 30_002],
  ])('whose row %s is refused with file and row number', async (name, text, row) => {
    const path = await file(`${name.replaceAll(' ', '-')}.csv`, text);
    const error = await refusal(
      withDataset(path, (dataset) =>
        prepare(dataset, [
          { name: 'a', dtype: 'int64' },
          { name: 'b', dtype: 'int64' },
        ]),
      ),
    );
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain(`${path}: row ${row}: `);
    expect(error.details[0]?.place).toBe(`${path}:${row}`);
    expect(error.message).not.toContain('\n');
  });

  test.each([
    ['a,a\n1,2\n', 'column "a" is there twice'],
    ['a,\n1,2\n', 'column 2 has no name'],
    ['', 'the file is empty'],
  ])('with the text %j is refused', async (text, reason) => {
    const path = await file('header.csv', text);
    expect((await refusal(openDataset({ path }, { signal }))).message).toContain(reason);
  });
});

test('a folder in place of a file is refused, with what to do', async () => {
  expect((await refusal(openDataset({ path: folder }, { signal }))).message).toBe(
    `source.path: ${folder}: is a folder; name the files in it`,
  );
});

test('NDJSON files of one glob are read as one dataset, each with its digest', async () => {
  await file('part-1.ndjson', '{"a":1,"b":"x"}\n{"a":2}\n');
  await file('part-2.ndjson', '{"a":3,"b":"z"}\n');
  await withDataset(join(folder, 'part-*.ndjson'), async (dataset) => {
    expect(dataset.files.map(({ sha256 }) => sha256)).toEqual([
      createHash('sha256').update('{"a":1,"b":"x"}\n{"a":2}\n').digest('hex'),
      createHash('sha256').update('{"a":3,"b":"z"}\n').digest('hex'),
    ]);
    const table = await prepare(dataset, [
      { name: 'a', dtype: 'int64' },
      { name: 'b', dtype: 'string' },
    ]);
    expect(await readAll(table, [{ name: 'a' }, { name: 'b' }])).toEqual([
      [BigInt64Array.of(1n, 2n, 3n), ['x', null, 'z']],
    ]);
  });
});

test('a broken NDJSON line is refused with file and line', async () => {
  const path = await file('broken.ndjson', '{"a":1}\n{"a":\n{"a":3}\n');
  const error = await refusal(openDataset({ path }, { signal }));
  expect(error).toBeInstanceOf(DataError);
  expect(error.message).toContain(path);
  expect(error.message).toMatch(/line [23]/);
});

test('Parquet is read with its own types', async () => {
  const path = join(folder, 'typed.parquet');
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await connection.run(
    `COPY (SELECT 7::SMALLINT AS a, 'x' AS b, TIMESTAMP '2024-03-01 00:00:00.000001' AS at, 1.5::DECIMAL(4, 2) AS price, true AS yes)
     TO '${path}' (FORMAT parquet)`,
  );
  connection.closeSync();
  await withDataset(path, async (dataset) => {
    expect(dataset.columns.map(({ type }) => type)).toEqual([
      'SMALLINT',
      'VARCHAR',
      'TIMESTAMP',
      'DECIMAL(4,2)',
      'BOOLEAN',
    ]);
    const table = await prepare(dataset, [
      { name: 'a', dtype: 'int64' },
      { name: 'b', dtype: 'string' },
      { name: 'at', dtype: 'timestamp' },
      { name: 'price', dtype: 'float64' },
      { name: 'yes', dtype: 'bool' },
    ]);
    expect(
      await readAll(
        table,
        table.columns.map(({ name }) => ({ name })),
      ),
    ).toEqual([
      [BigInt64Array.of(7n), ['x'], BigInt64Array.of(1_709_251_200_000_001n), Float64Array.of(1.5), Uint8Array.of(1)],
    ]);
  });
});

test('a column is read as the type that the source names, and a type that is none is refused', async () => {
  const path = await file('codes.csv', 'code\n007\n');
  const dataset = await openDataset({ path, types: { code: 'VARCHAR' } }, { signal });
  const table = await prepare(dataset, [{ name: 'code', dtype: 'string' }]);
  expect(await readAll(table, [{ name: 'code' }])).toEqual([[['007']]]);
  dataset.close();
  const error = await refusal(openDataset({ path, types: { code: 'VARCHR' } }, { signal }));
  expect(error.details[0]?.place).toBe('source.types');
});

test('memory that does not suffice is told as such, not as bad data', async () => {
  const path = await file('many.csv', `a,b\n${'1,text\n'.repeat(1000)}`);
  const failing = openDataset({ path }, { signal, memoryLimitBytes: 16 * 1024 * 1024 });
  await expect(failing).rejects.toThrow('Out of Memory Error');
  await expect(failing).rejects.not.toBeInstanceOf(AssayError);
});

test('the bins of a profile hold their lower edge, the last one its upper edge too', async () => {
  const path = await file('edges.csv', `n\n${[0, 0, 1, 5, 10, 19, 20, 20, 20].join('\n')}\n`);
  await withDataset(path, async (dataset) => {
    const table = await prepare(dataset, [{ name: 'n', dtype: 'int64' }]);
    const [profile] = await table.profile(['n'], { signal });
    const counts = new Array(20).fill(0);
    Object.assign(counts, { 0: 2, 1: 1, 5: 1, 10: 1, 19: 4 });
    expect(profile?.numeric?.histogram).toEqual({ edges: Array.from({ length: 21 }, (_, i) => i), counts });
  });
});

test('a file that is no Parquet is refused by name', async () => {
  const path = await file('no.parquet', 'PAR1 is not enough');
  expect((await refusal(openDataset({ path }, { signal }))).message).toContain(path);
});

describe('an expression', () => {
  async function refusalOf(column: Omit<ColumnRequest, 'place'>): Promise<AssayError> {
    return withDataset(await file('people.csv', PEOPLE), (dataset) => refusal(prepare(dataset, [column])));
  }

  test('that names no column is refused at its place with a suggestion', async () => {
    const error = await refusalOf({ name: 'x', dtype: 'float64', expression: 'heigth * 2' });
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error).not.toBeInstanceOf(DataError);
    expect(error.message).toContain('features[0].expression: Binder Error: Referenced column "heigth" not found');
    expect(error.message).toContain('"height"');
  });
  test('is not needed for a column of the name, and a mistyped name gets a suggestion', async () => {
    expect((await refusalOf({ name: 'ctiy', dtype: 'string' })).message).toContain('did you mean "city"?');
  });
  test.each(['avg(age)', 'sum(age) OVER ()'])('that mixes rows is refused: %s', async (expression) => {
    expect((await refusalOf({ name: 'x', dtype: 'float64', expression })).message).toContain('cannot contain');
  });
  test.each([
    ['int64', 'height', 'gives DOUBLE, which is no int64'],
    ['float64', 'city', 'gives VARCHAR, which is no float64'],
    ['string', 'age', 'gives BIGINT, which is no string'],
    ['bool', 'age', 'gives BIGINT, which is no bool'],
  ] as const)('is not coerced: as %s, %s %s', async (dtype, expression, reason) => {
    expect((await refusalOf({ name: 'x', dtype, expression })).message).toContain(reason);
  });
  test('that fails on a value is a data error at its place', async () => {
    const error = await refusalOf({ name: 'x', dtype: 'int64', expression: 'city::BIGINT' });
    expect(error).toBeInstanceOf(DataError);
    expect(error.message).toContain("features[0].expression: Conversion Error: Could not convert string 'Bern'");
  });
  test('cannot read a file that was not given, nor write one', async () => {
    const secret = await file('secret.csv', 'a\n1\n');
    const error = await refusalOf({ name: 'x', dtype: 'int64', expression: `(SELECT a FROM read_csv('${secret}'))` });
    expect(error.message).toContain('Permission Error');
  });
  test('every wrong one is reported at once', async () => {
    const error = await withDataset(await file('people.csv', PEOPLE), (dataset) =>
      refusal(
        prepare(
          dataset,
          [
            { name: 'one', dtype: 'int64' },
            { name: 'age', dtype: 'int64' },
            { name: 'two', dtype: 'int64' },
          ],
          'age',
        ),
      ),
    );
    expect(error.details.map(({ place }) => place)).toEqual([
      'features[0].expression',
      'features[2].expression',
      'source.where',
    ]);
  });
});

test('rows are filtered by the condition, dropped without a target, and tagged by an added column', async () => {
  await withDataset(await file('people.csv', PEOPLE), async (dataset) => {
    const table = await prepare(
      dataset,
      [
        { name: 'age', dtype: 'int64' },
        { name: 'height', dtype: 'float64' },
      ],
      'age < 50',
    );
    expect(await table.countRows(signal)).toBe(3);
    expect(await table.dropMissing('height', signal)).toBe(1);
    await table.addColumn('split', Uint8Array.of(0, 1), signal);
    expect(await readAll(table, [{ name: 'height' }], { column: 'split', equals: 1 })).toEqual([
      [Float64Array.of(1.8)],
    ]);
    expect(await table.dictionary('age', { where: { column: 'split', equals: 0 }, signal })).toEqual({
      values: [31n],
      counts: [1],
    });
  });
});

test('copies of rows are counted', async () => {
  const path = await file('twice.csv', 'a,b\n1,2\n1,2\n1,3\n1,2\n');
  expect(await withDataset(path, (dataset) => dataset.countDuplicates(signal))).toBe(2);
});

test('integers beyond 2^53 keep their exact value', async () => {
  const path = await file('large.csv', 'a\n9007199254740993\n-9223372036854775807\n');
  await withDataset(path, async (dataset) => {
    const table = await prepare(dataset, [{ name: 'a', dtype: 'int64' }]);
    expect(await readAll(table, [{ name: 'a' }])).toEqual([
      [BigInt64Array.of(9007199254740993n, -9223372036854775807n)],
    ]);
  });
});

test('a profile counts, measures and bins each column', async () => {
  // 0, 1, …, 99 and one missing; reference: numpy.quantile, numpy.std(ddof=1).
  const path = await file(
    'profile.csv',
    `n,s\n${Array.from({ length: 100 }, (_, i) => `${i},${i % 3 === 0 ? 'a' : 'b'}`).join('\n')}\n,a\n`,
  );
  await withDataset(path, async (dataset) => {
    const table = await prepare(dataset, [
      { name: 'n', dtype: 'float64', expression: 'n::DOUBLE' },
      { name: 's', dtype: 'string' },
    ]);
    const [n, s] = await table.profile(['n', 's'], { signal });
    expect(n).toMatchObject({
      count: 101,
      missing: 1,
      distinct: 100,
      numeric: { min: 0, max: 99, mean: 49.5, infinite: 0 },
    });
    expect(n?.numeric?.std).toBeCloseTo(29.011491975882016, 12);
    expect(n?.numeric?.quantiles.map(({ value }) => value)).toEqual(
      [0.99, 4.95, 9.9, 24.75, 49.5, 74.25, 89.1, 94.05, 98.01].map((v) => expect.closeTo(v, 10)),
    );
    expect(n?.numeric?.histogram.counts).toEqual(new Array(20).fill(5));
    expect(s).toEqual({
      name: 's',
      dtype: 'string',
      count: 101,
      missing: 0,
      distinct: 2,
      top: [
        { value: 'b', count: 66 },
        { value: 'a', count: 35 },
      ],
    });
  });
});

test('an abort stops the read', async () => {
  const controller = new AbortController();
  controller.abort();
  const path = await file('people.csv', PEOPLE);
  await expect(openDataset({ path }, { signal: controller.signal })).rejects.toThrow('aborted');
});
