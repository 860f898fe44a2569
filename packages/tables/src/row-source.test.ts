import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FeatureColumn } from './columns.ts';
import type { FeatureRequest } from './feature-sql.ts';
import { countFileRows } from './file-rows.ts';
import type { FeatureChunk, LoadedRows } from './loaded-rows.ts';
import { openRowSource, type RowPosition, type RowSource, type RowSourceOptions } from './row-source.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-source-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const { signal } = new AbortController();
let files = 0;

async function fileOf(extension: string, content: string): Promise<string> {
  const path = join(dir, `rows-${files++}.${extension}`);
  await writeFile(path, content);
  return path;
}

async function withSource<T>(options: Partial<RowSourceOptions>, work: (source: RowSource) => Promise<T>): Promise<T> {
  const workDir = await mkdtemp(join(dir, 'work-'));
  const source = await openRowSource({ path: '', workDir, memoryLimitBytes: 256_000_000, signal, ...options });
  try {
    return await work(source);
  } finally {
    await source.close();
  }
}

const feature = (name: string, dtype: FeatureRequest['dtype'], expression?: string): FeatureRequest => ({
  name,
  dtype,
  shape: [],
  ...(expression === undefined ? {} : { expression }),
});

async function chunksOf(loaded: LoadedRows): Promise<FeatureChunk[]> {
  return Array.fromAsync(loaded.chunks(signal));
}

function valueAt(column: FeatureColumn | undefined, row: number): unknown {
  if (column?.kind === 'texts') return column.dictionary[column.codes[row] ?? -1] ?? null;
  return column?.values[row];
}

/** Values of the first feature, `undefined` where a row has a problem. */
async function valuesOf(loaded: LoadedRows): Promise<unknown[]> {
  const chunks = await chunksOf(loaded);
  return chunks.flatMap(({ rows, columns, problems }) =>
    Array.from({ length: rows }, (_, row) => {
      if (problems?.[row] !== undefined) return undefined;
      const [column] = columns;
      return column !== undefined && 'valid' in column && column.valid?.[row] === 0 ? null : valueAt(column, row);
    }),
  );
}

describe('text of a CSV file', () => {
  test.each([
    [
      'int64',
      '1|-7| 3 |2.0|9007199254740993|1e3||1.5|x|9223372036854775808',
      [1n, -7n, 3n, 2n, 9007199254740993n, 1000n, null, undefined, undefined, undefined],
    ],
    ['float64', '0.1|1e400|nan||-5|.5|x', [0.1, Number.POSITIVE_INFINITY, Number.NaN, Number.NaN, -5, 0.5, undefined]],
    ['float32', '0.1|16777217|1e300|', [Math.fround(0.1), 16777216, undefined, Number.NaN]],
    ['bool', 'true|FALSE|1|0||maybe', [1, 0, 1, 0, null, undefined]],
    [
      'timestamp',
      '2026-01-31T12:00:00+02:00|2026-01-31 12:00:00|1969-12-31T23:59:59.999999Z||infinity|soon',
      [1769853600000000n, 1769860800000000n, -1n, null, undefined, undefined],
    ],
    ['string', '01|x y|""|', ['01', 'x y', null, null]],
  ] as const)('becomes %s exactly, or is a problem of its row', async (dtype, cells, expected) => {
    const path = await fileOf(
      'csv',
      `a,b\n${cells
        .split('|')
        .map((cell) => `${cell},1\n`)
        .join('')}`,
    );
    await withSource({ path }, async (source) => {
      await source.bind({ features: [feature('a', dtype)], copy: [], signal });
      expect(await valuesOf(await source.load(source.start, 100, signal))).toEqual(expected);
    });
  });

  test('is told with the problem', async () => {
    const path = await fileOf('csv', 'a,b\n1.5,1\n2,2\n');
    await withSource({ path }, async (source) => {
      await source.bind({ features: [feature('b', 'float64'), feature('a', 'int64')], copy: [], signal });
      const [chunk] = await chunksOf(await source.load(source.start, 100, signal));
      expect(chunk?.problems).toEqual([[null, 'r1.5'], undefined]);
    });
  });
});

test('an expression sees the types that the first rows tell, or that it is given', async () => {
  const path = await fileOf('csv', 'day,code\n2026-01-31,7\n2026-02-01,8\n');
  await withSource({ path }, async (source) => {
    const features = [feature('day', 'int64', 'day(day)'), feature('code', 'int64', 'code + 1')];
    await source.bind({ features, copy: [], signal });
    const [chunk] = await chunksOf(await source.load(source.start, 100, signal));
    expect(chunk?.columns.map((column) => [0, 1].map((row) => valueAt(column, row)))).toEqual([
      [31n, 1n],
      [8n, 9n],
    ]);
  });
  await withSource({ path, types: { code: 'VARCHAR' } }, async (source) => {
    await source.bind({ features: [feature('code', 'string', `code || '!'`)], copy: [], signal });
    expect(await valuesOf(await source.load(source.start, 100, signal))).toEqual(['7!', '8!']);
  });
});

test('a value that is not of the type of its column is a problem of the expressions that name it', async () => {
  const many = Array.from({ length: 30_000 }, (_, i) => `${i},${i}`).join('\n');
  const path = await fileOf('csv', `a,b\n${many}\nx,1\n7,y\n`);
  await withSource({ path }, async (source) => {
    await source.bind({ features: [feature('f', 'int64', 'a + 1')], copy: [], signal });
    const loaded = await source.load({ ...source.start, ...(await positionAt(source, 29_999)) }, 10, signal);
    const [chunk] = await chunksOf(loaded);
    expect(chunk?.problems).toEqual([undefined, ['sthe column "a": x is no BIGINT'], undefined]);
    expect(valueAt(chunk?.columns[0], 2)).toBe(8n);
  });
});

async function positionAt(source: RowSource, rows: number): Promise<RowPosition> {
  const loaded = await source.load(source.start, rows, signal);
  await loaded.drop();
  if (loaded.next === undefined) throw new Error('the file has fewer rows');
  return loaded.next;
}

test('an expression that fails on a row is a problem of that row alone', async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => (i % 1000 === 3 ? 'oops' : String(i)));
  const path = await fileOf('csv', `a\n${rows.join('\n')}\n`);
  await withSource({ path, types: { a: 'VARCHAR' } }, async (source) => {
    // The same cast in two expressions: what they share may not be taken out of what catches its error.
    const features = [feature('f', 'int64', 'CAST(a AS BIGINT)'), feature('g', 'int64', 'CAST(a AS BIGINT) + 1')];
    await source.bind({ features, copy: [], signal });
    const chunks = await chunksOf(await source.load(source.start, 10_000, signal));
    const problems = chunks.flatMap((chunk) => chunk.problems ?? Array.from({ length: chunk.rows }, () => undefined));
    expect(problems.flatMap((problem, i) => (problem === undefined ? [] : [i]))).toEqual([3, 1003, 2003, 3003, 4003]);
    expect(problems[3]).toEqual(['sits SQL fails on this row', 'sits SQL fails on this row']);
    expect(valueAt(chunks[0]?.columns[1], 4)).toBe(5n);
  });
});

describe.each(['csv', 'ndjson', 'parquet'] as const)('a %s file', (format) => {
  test('gives the same rows in any ranges, over the borders of files', async () => {
    const folder = await mkdtemp(join(dir, 'parts-'));
    const counts = [700, 1, 2600];
    for (const [i, count] of counts.entries()) {
      const name = join(folder, `part-${i}`);
      const values = Array.from({ length: count }, (_, row) => i * 10_000 + row);
      const csv = await fileOf('csv', `a,t\n${values.map((value) => `${value},"x${value}"`).join('\n')}\n`);
      if (format === 'csv') await writeFile(`${name}.csv`, await readFile(csv));
      else if (format === 'ndjson')
        await writeFile(`${name}.ndjson`, values.map((value) => `{"a":${value},"t":"x${value}"}\n`).join(''));
      else await writeParquet(csv, `${name}.parquet`);
    }
    await withSource({ path: join(folder, `*.${format}`) }, async (source) => {
      const expression = format === 'ndjson' ? 'a' : undefined;
      await source.bind({ features: [feature('a', 'int64', expression)], copy: ['t'], signal });
      const read = async (size: number) => {
        const found: { values: unknown[]; numbers: (readonly [number, number])[] } = { values: [], numbers: [] };
        for (let at: RowPosition | undefined = source.start; at !== undefined; ) {
          const loaded: LoadedRows = await source.load(JSON.parse(JSON.stringify(at)), size, signal);
          found.values.push(...(await valuesOf(loaded)));
          for (const { file, runs } of loaded.segments)
            for (const { row, rows } of runs) for (let i = 0; i < rows; i++) found.numbers.push([file, row + i]);
          expect(loaded.rowsIn).toBeLessThanOrEqual(size);
          at = loaded.next;
          await loaded.drop();
        }
        return found;
      };
      const whole = await read(100_000);
      expect(whole.values).toEqual(
        counts.flatMap((count, i) => Array.from({ length: count }, (_, row) => BigInt(i * 10_000 + row))),
      );
      expect(whole.numbers).toEqual(
        counts.flatMap((count, file) => Array.from({ length: count }, (_, row) => [file, row + 1])),
      );
      expect(await read(333)).toEqual(whole);
      expect(await read(2600)).toEqual(whole);
    });
  });
});

/** By the writer of results themselves. */
async function writeParquet(csv: string, path: string): Promise<void> {
  const workDir = await mkdtemp(join(dir, 'write-'));
  const source = await openRowSource({ path: csv, workDir, memoryLimitBytes: 256_000_000, signal });
  await source.bind({ features: [feature('a', 'int64')], copy: ['t'], signal });
  const loaded = await source.load(source.start, 100_000, signal);
  const results = await loaded.results([{ name: 'a', dtype: 'int64' }], signal);
  for (const { rows, columns } of await chunksOf(loaded)) {
    const [column] = columns;
    if (column?.kind !== 'int64') throw new Error('the column is no int64');
    const isGood = new Uint8Array(rows).fill(1);
    results.append({ rows, isGood, row: new BigInt64Array(rows), file: new Int32Array(rows), values: [column.values] });
  }
  results.end();
  const target = join(workDir, 'out.parquet');
  await results.write({ path: target, format: 'parquet', selection: ['1 AS one'], copyNames: ['t'], signal });
  await writeFile(path, await readFile(target));
  await source.close();
}

test('rows without a result are left out when the results are written, and columns keep beside their rows', async () => {
  const path = await fileOf('csv', 'a,t\n1,one\nx,none\n3,"th,ree"\n');
  const workDir = await mkdtemp(join(dir, 'results-'));
  await withSource({ path, workDir }, async (source) => {
    await source.bind({ features: [feature('a', 'int64')], copy: ['t'], signal });
    const loaded = await source.load(source.start, 10, signal);
    const results = await loaded.results(
      [
        { name: 'p', dtype: 'float32' },
        { name: 's', dtype: 'string' },
        { name: 'yes', dtype: 'bool' },
        { name: 'at', dtype: 'timestamp' },
      ],
      signal,
    );
    results.append({
      rows: 3,
      isGood: Uint8Array.of(1, 0, 1),
      row: BigInt64Array.of(1n, 2n, 3n),
      file: new Int32Array(3),
      values: [Float32Array.of(0.1, 0, 0.5), ['é', '', 'b"'], Uint8Array.of(1, 0, 0), BigInt64Array.of(0n, 0n, 1n)],
    });
    results.end();
    const write = (path: string) =>
      results.write({ path, format: 'csv', selection: ['"row"'], copyNames: ['t'], signal });
    await expect(write(join(dir, 'elsewhere.csv'))).rejects.toThrow(/Permission/);
    const out = join(workDir, 'out.csv');
    expect(await write(out)).toEqual({ rows: 2 });
    expect((await readFile(out, 'utf8')).split('\n')).toEqual([
      'row,p,s,yes,at,t',
      '1,0.1,é,true,1970-01-01T00:00:00.000000Z,one',
      '3,0.5,"b""",false,1970-01-01T00:00:00.000001Z,"th,ree"',
      '',
    ]);
    const described = { path: join(workDir, 'out.parquet'), format: 'parquet', selection: ['"row"'] } as const;
    expect(await results.write({ ...described, copyNames: ['t'], describe: true, signal })).toEqual({
      rows: 2,
      columns: [
        { name: 'row', type: 'BIGINT', nullable: false },
        { name: 'p', type: 'FLOAT', nullable: false },
        { name: 's', type: 'VARCHAR', nullable: false },
        { name: 'yes', type: 'BOOLEAN', nullable: false },
        { name: 'at', type: 'TIMESTAMP WITH TIME ZONE', nullable: false },
        { name: 't', type: 'VARCHAR', nullable: false },
      ],
    });
  });
});

test('a file that changes while it is read is not read on', async () => {
  const path = await fileOf('csv', 'a\n1\n2\n3\n');
  await withSource({ path }, async (source) => {
    await source.bind({ features: [feature('a', 'int64')], copy: [], signal });
    const { next } = await source.load(source.start, 1, signal);
    await utimes(path, 1, 1);
    await expect(source.load(next ?? source.start, 1, signal)).rejects.toThrow(
      `${path} changed while it was being read`,
    );
  });
});

test('files of other columns than the first are refused', async () => {
  const folder = await mkdtemp(join(dir, 'others-'));
  await writeFile(join(folder, '1.csv'), 'a,b\n1,2\n');
  await writeFile(join(folder, '2.csv'), 'b,a\n1,2\n');
  await expect(withSource({ path: join(folder, '*.csv') }, async () => undefined)).rejects.toThrow(
    /input\.path: .*2\.csv has other columns than .*1\.csv: b, a instead of a, b/,
  );
});

test('rows are counted from the files', async () => {
  const csv = await fileOf('csv', 'a,b\n1,"x\ny"\n2,z');
  const lines = await fileOf('ndjson', '{}\n\n{}\n');
  expect(await countFileRows([csv], 'csv', signal)).toEqual([2]);
  expect(await countFileRows([lines], 'ndjson', signal)).toEqual([2]);
  expect(await countFileRows([], 'parquet', signal)).toEqual([]);
});
