import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readErrors, readResults, runJob, temporaryFolder } from '../batch-under-test.ts';
import {
  flightModel,
  flightRecords,
  identityModel,
  type MadeModel,
  SCALARS,
  tableModel,
  writeCsv,
  writeNdjson,
} from '../models-under-test.ts';

const opened = new AsyncDisposableStack();
let folder: string;
let flights: MadeModel;
let outputs = 0;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  flights = await flightModel(folder);
});
afterAll(() => opened.disposeAsync());

const newOutput = () => join(folder, `out-${outputs++}`);

/** Each record by itself, in this process: the bits that every door must give. */
async function alone(model: MadeModel, records: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const scorer = await createScorer(await openPackage(model.dir));
  const rows: Record<string, unknown>[] = [];
  for (const record of records) {
    const batch = scorer.newBatch(1);
    batch.appendRecords([record]);
    rows.push((await scorer.run(batch)).record(0));
  }
  scorer.close();
  return rows;
}

describe.each(['csv', 'ndjson'] as const)('%s', (format) => {
  test.each(['csv', 'parquet'] as const)('becomes %s with the bits of each record alone, in order', async (output) => {
    const records = flightRecords(2500);
    const write = format === 'csv' ? writeCsv : writeNdjson;
    const path = await write(join(folder, `flights-${output}.${format}`), records);
    const dir = newOutput();
    const result = await runJob(flights, {
      input: { path },
      output: { path: dir, format: output, columns: ['origin'] },
      shardRows: 1000,
    });
    expect(result).toMatchObject({ rowsIn: 2500, rowsOut: 2500, rowsFailed: 0, shards: 3, errorFiles: 0 });
    const rows = await readResults(dir, output);
    const expected = await alone(flights, records);
    expect(rows.map(({ row }) => Number(row))).toEqual(records.map((_, i) => i + 1));
    expect(rows.map(({ origin }) => origin)).toEqual(records.map(({ origin }) => origin));
    const float = output === 'csv' ? Math.fround : (value: number) => value;
    expect(
      rows.map((row) => ({
        label: Number(row.label),
        probabilities: [float(Number(row.probabilities_on_time)), float(Number(row.probabilities_late))],
      })),
    ).toEqual(expected);
    expect(new Set(rows.map(({ prediction_id }) => prediction_id)).size).toBe(2500);
    expect(rows[0]).toMatchObject({ version_id: 'ver_1', digest: flights.digest });
  });
});

test('results of one job are the input of the next: Parquet in', async () => {
  const records = flightRecords(3000);
  const path = await writeNdjson(join(folder, 'first.ndjson'), records);
  const first = newOutput();
  await runJob(flights, { input: { path }, output: { path: first, columns: ['hour'] }, shardRows: 1000 });
  const identity = await identityModel(folder, {
    features: SCALARS.features.filter(({ name }) => name === 'f32' || name === 'i64'),
    outputs: SCALARS.outputs.filter(({ name }) => name === 'f32_out' || name === 'i64_out'),
  });
  const second = newOutput();
  const result = await runJob(identity, {
    input: { path: join(first, 'results-*.parquet'), select: { f32: 'probabilities_late', i64: '"row" * 2' } },
    output: { path: second },
    shardRows: 1300,
  });
  expect(result).toMatchObject({ rowsIn: 3000, rowsOut: 3000, shards: 3 });
  const [before, after] = [await readResults(first), await readResults(second)];
  expect(after.map(({ f32_out }) => f32_out)).toEqual(before.map(({ probabilities_late }) => probabilities_late));
  expect(after.map(({ i64_out }) => i64_out)).toEqual(before.map(({ row }) => BigInt(Number(row) * 2)));
  expect(after.at(-1)).toMatchObject({ row: 1000n, file: join(first, 'results-00002.parquet') });
});

describe('every row is in the results or in the errors', () => {
  const wrong: readonly (readonly [string, string, string])[] = [
    ['24,1,0.5,ATL,true', 'hour', '24 is outside the range'],
    ['1.5,1,0.5,ATL,true', 'hour', '1.5 is not an integer'],
    ['x,1,0.5,ATL,true', 'hour', '"x" is not an integer'],
    [',1,0.5,ATL,true', 'hour', 'null is not allowed'],
    ['1,far,0.5,ATL,true', 'distance', '"far" is not a number'],
    ['1,inf,0.5,ATL,true', 'distance', 'the number is not finite'],
    ['1,1,1e300,ATL,true', 'load', '1e+300 is beyond the range of float32'],
    ['1,1,0.5,ATL,maybe', 'holiday', '"maybe" is not a boolean'],
    ['1,1,0.5,ATL', 'row', 'it has 4 columns, the header 5'],
    ['1,1,0.5,"ATL"x,true', 'row', 'text follows the closing quote of column 4'],
  ];

  test('with row, place and reason, in the order of the rows, and the rows beside them are scored', async () => {
    const good = (i: number) => `${i % 24},${i},0.5,ATL,${i % 2 === 0}`;
    const lines = wrong.flatMap(([line], i) => [good(2 * i), line, good(2 * i + 1)]);
    const path = join(folder, 'wrong.csv');
    await writeFile(path, `hour,distance,load,origin,holiday\n${lines.join('\n')}\n`);
    const dir = newOutput();
    const result = await runJob(flights, { input: { path }, output: { path: dir } });
    expect(result).toMatchObject({ rowsIn: 30, rowsOut: 20, rowsFailed: 10, errorFiles: 1 });
    const errors = await readErrors(dir);
    expect(errors.map(({ row, place, reason }) => [row, place, reason])).toEqual(
      wrong.map(([, place, reason], i) => [3 * i + 2, place, reason]),
    );
    expect(errors.at(-1)).toMatchObject({ file: path, line: 30 });
    const rows = await readResults(dir);
    expect(rows.map(({ row }) => Number(row))).toEqual(lines.flatMap((_, i) => ((i + 1) % 3 === 2 ? [] : [i + 1])));
  });

  test('in NDJSON by the very words of the other doors', async () => {
    const records: unknown[] = [
      ...flightRecords(3),
      { hour: 30, distance: 'x', load: 1, origin: 'ATL', holiday: true },
      { hour: 3, load: 1, holiday: 'yes' },
      { hour: 3, load: 1, holiday: true, unused: [1] },
      { hour: 3, load: null, holiday: true },
    ];
    const path = await writeNdjson(join(folder, 'wrong.ndjson'), records);
    await writeFile(path, `${await readFile(path, 'utf8')}{"hour": 1,\n[]\n`);
    const dir = newOutput();
    const result = await runJob(flights, { input: { path }, output: { path: dir } });
    expect(result).toMatchObject({ rowsIn: 9, rowsOut: 4, rowsFailed: 5 });
    const scorer = await createScorer(await openPackage(flights.dir));
    const batch = scorer.newBatch();
    const judged = [records[3], records[4], records[6]].map((record) => batch.tryAppendRecord(record));
    scorer.close();
    const errors = await readErrors(dir);
    expect(errors.map(({ row }) => row)).toEqual([4, 5, 7, 8, 9]);
    expect(
      errors
        .slice(0, 3)
        .map(({ place, reason: message, expected, others = [] }) => [{ place, message, expected }, ...others]),
    ).toEqual(judged);
    expect(errors[4]).toMatchObject({ place: 'row', reason: 'it is JSON, but no object', line: 9 });
  });

  test('where the SQL of a feature fails on a row', async () => {
    const path = join(folder, 'sql.csv');
    const rows = ['10,5', '12,0', '14,oops', '16,', '18,3'];
    await writeFile(path, `a,b\n${rows.join('\n')}\n`);
    const model = await identityModel(folder, {
      features: SCALARS.features.filter(({ name }) => name === 'i64'),
      outputs: SCALARS.outputs.filter(({ name }) => name === 'i64_out'),
    });
    const dir = newOutput();
    const select = { i64: `a // CAST(CASE WHEN b = 0 THEN 'zero' ELSE CAST(b AS VARCHAR) END AS BIGINT)` };
    await runJob(model, { input: { path, select, types: { b: 'BIGINT' } }, output: { path: dir } });
    expect((await readResults(dir)).map(({ row, i64_out }) => [row, i64_out])).toEqual([
      [1n, 2n],
      [5n, 6n],
    ]);
    expect((await readErrors(dir)).map(({ row, place, reason }) => [row, place, reason])).toEqual([
      [2, 'i64', 'its SQL fails on this row'],
      [3, 'i64', 'the column "b": oops is no BIGINT'],
      [4, 'i64', 'null is not allowed'],
    ]);
  });

  test('where the graph itself refuses a row', async () => {
    const path = await writeCsv(
      join(folder, 'index.csv'),
      [0, 4, 3, 99, 1].map((index) => ({ index })),
    );
    const dir = newOutput();
    const result = await runJob(await tableModel(folder), { input: { path }, output: { path: dir } });
    expect(result).toMatchObject({ rowsIn: 5, rowsOut: 3, rowsFailed: 2 });
    expect((await readResults(dir)).map(({ value }) => value)).toEqual([0.25, 1, 0.5]);
    expect((await readErrors(dir)).map(({ row, reason }) => [row, reason.slice(0, 29)])).toEqual([
      [2, 'the model fails on these reco'],
      [4, 'the model fails on these reco'],
    ]);
  });

  test('when all of them fail', async () => {
    const path = await writeCsv(
      join(folder, 'all.csv'),
      flightRecords(1500).map((record) => ({ ...record, hour: 99 })),
    );
    const dir = newOutput();
    const result = await runJob(flights, { input: { path }, output: { path: dir }, shardRows: 1000 });
    expect(result).toMatchObject({ rowsIn: 1500, rowsOut: 0, rowsFailed: 1500, shards: 2, errorFiles: 2 });
    expect((await readErrors(dir)).map(({ row }) => row)).toEqual(Array.from({ length: 1500 }, (_, i) => i + 1));
  });

  test('a file of a header alone has none', async () => {
    const path = join(folder, 'none.csv');
    await writeFile(path, 'hour,distance,load,origin,holiday\n');
    const result = await runJob(flights, { input: { path }, output: { path: newOutput() } });
    expect(result).toMatchObject({ rowsIn: 0, rowsOut: 0, rowsFailed: 0, shards: 0 });
  });
});

test('values of every type keep all their digits', async () => {
  const model = await identityModel(folder);
  const records = [
    {
      i64: 9007199254740993n,
      f64: 0.1,
      f32: 0.5,
      text: 'a,"b"\nc',
      flag: true,
      at: '2026-01-31T12:00:00.000001Z',
      vector: [1, 2.5, -3],
    },
    { i64: -7, f64: null, f32: null, text: '', flag: false, at: '1969-12-31T23:59:59+01:00', vector: [0, 0, 1e-3] },
  ];
  const path = join(folder, 'types.ndjson');
  const lines = records.map((record) => JSON.stringify(record, (_, v) => (typeof v === 'bigint' ? String(v) : v)));
  await writeFile(path, lines.map((line) => `${line.replace('"9007199254740993"', '9007199254740993')}\n`).join(''));
  const dir = newOutput();
  expect(await runJob(model, { input: { path }, output: { path: dir } })).toMatchObject({ rowsOut: 2, rowsFailed: 0 });
  const rows = await readResults(dir);
  expect(rows[0]).toMatchObject({
    i64_out: 9007199254740993n,
    f64_out: 0.1,
    f32_out: 0.5,
    text_out: 'a,"b"\nc',
    flag_out: true,
    at_out: 1769860800000001n,
    vector_out_1: 2.5,
  });
  expect(rows[1]).toMatchObject({
    i64_out: -7n,
    f64_out: Number.NaN,
    at_out: -3_601_000_000n,
    vector_out_2: Math.fround(1e-3),
  });
});

describe('what is wrong with the spec is told before anything is written', () => {
  const records = flightRecords(10);
  test.each([
    ['a missing column', { select: {} }, ['hour', 'load'], /feature "distance": the data has no column "distance"/],
    ['a feature that is none', { select: { huor: '1' } }, undefined, /input\.select\.huor: .* did you mean "hour"\?/],
    ['wrong SQL', { select: { hour: 'nothing + 1' } }, undefined, /input\.select\.hour: Binder Error/],
    [
      'SQL of another type',
      { select: { hour: `'x'` } },
      undefined,
      /input\.select\.hour: gives VARCHAR, which is no int64/,
    ],
    [
      'SQL that is not repeatable',
      { select: { distance: 'random()' } },
      undefined,
      /input\.select\.distance: .*volatile/,
    ],
    ['SQL that mixes rows', { select: { distance: 'avg(distance)' } }, undefined, /input\.select\.distance: /],
    [
      'SQL that reaches out',
      { select: { distance: `(SELECT count(*) FROM '/etc/passwd')::DOUBLE` } },
      undefined,
      /input\.select\.distance: /,
    ],
  ])('%s', async (name, input, only, message) => {
    const rows = records.map((record) =>
      Object.fromEntries(Object.entries(record).filter(([key]) => only?.includes(key) ?? true)),
    );
    const path = await writeCsv(join(folder, `${name.replaceAll(' ', '-')}.csv`), rows);
    const dir = newOutput();
    const failed = runJob(flights, { input: { path, ...input }, output: { path: dir } });
    await expect(failed).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
    expect((await readdir(dir)).filter((file) => !file.startsWith('.'))).toEqual([]);
  });

  test('a column to copy that is not there', async () => {
    const path = await writeCsv(join(folder, 'copy.csv'), records);
    const failed = runJob(flights, { input: { path }, output: { path: newOutput(), columns: ['hour', 'orign'] } });
    await expect(failed).rejects.toThrow('output.columns[1]: the data has no column "orign"; did you mean "origin"?');
  });

  test.each([
    ['no file', 'nothing.csv', 'there is no such file'],
    ['a glob without a file', 'nothing-*.csv', 'there is no such file'],
    ['an empty file', 'empty.csv', 'the file is empty'],
    ['an unknown format', 'rows.xyz', 'the format cannot be told'],
  ])('%s', async (_, name, message) => {
    await writeFile(join(folder, 'empty.csv'), '');
    await writeFile(join(folder, 'rows.xyz'), 'x');
    const failed = runJob(flights, { input: { path: join(folder, name) }, output: { path: newOutput() } });
    await expect(failed).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) });
  });

  test('an output folder that cannot be written', async () => {
    const path = await writeCsv(join(folder, 'fine.csv'), records);
    const failed = runJob(flights, { input: { path }, output: { path: join(path, 'out') } });
    await expect(failed).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/^output\.path: .* cannot be written .*; choose a folder/),
    });
  });

  test('an output folder that holds the input', async () => {
    const path = await writeCsv(join(folder, 'fine.csv'), records);
    const failed = runJob(flights, { input: { path }, output: { path: folder } });
    await expect(failed).rejects.toThrow(`output.path: the input ${path} is in it; choose another folder`);
  });

  test('an output folder with the results of another job', async () => {
    const path = await writeCsv(join(folder, 'fine.csv'), records);
    const dir = newOutput();
    await runJob(flights, { input: { path }, output: { path: dir } });
    const failed = runJob(flights, { input: { path }, output: { path: dir } }, { jobId: 'job_other' });
    await expect(failed).rejects.toThrow(`${dir} holds the results of job job_test`);
  });
});

test('a job with more errors than it may have fails, and says one', async () => {
  const records = flightRecords(3000).map((record, i) => (i % 100 === 7 ? { ...record, hour: 77 } : record));
  const path = await writeCsv(join(folder, 'many.csv'), records);
  const spec = { input: { path }, shardRows: 1000 };
  const failed = runJob(flights, { ...spec, output: { path: newOutput() }, maxErrors: 29 });
  await expect(failed).rejects.toMatchObject({
    kind: 'data',
    message: expect.stringMatching(
      /^more than 29 rows failed \(maxErrors\); one is .*many\.csv row \d+: hour: 77 is outside/,
    ),
  });
  const enough = await runJob(flights, { ...spec, output: { path: newOutput() }, maxErrors: 30 });
  expect(enough.rowsFailed).toBe(30);
});

describe('a job that is begun again', () => {
  const interrupt = async (dir: string, path: string) => {
    const stop = new AbortController();
    const run = runJob(
      flights,
      { input: { path }, output: { path: dir }, shardRows: 1000 },
      {
        signal: stop.signal,
        onLog(line) {
          if (line === 'score: shard 3') stop.abort(new Error('stopped'));
        },
      },
    );
    await expect(run).rejects.toThrow('stopped');
  };
  const again = (dir: string, path: string) =>
    runJob(flights, { input: { path }, output: { path: dir }, shardRows: 1000 });

  test('goes on behind its last shard, and is done at once when it was done', async () => {
    const path = await writeCsv(join(folder, 'again.csv'), flightRecords(6000));
    const dir = newOutput();
    await interrupt(dir, path);
    const before = (await readdir(dir)).filter((name) => name.startsWith('results'));
    expect(before.length).toBeGreaterThanOrEqual(2);
    expect(before.length).toBeLessThan(6);
    const result = await again(dir, path);
    expect(result).toMatchObject({ rowsIn: 6000, rowsOut: 6000, shards: 6 });
    expect((await readdir(dir)).sort()).toEqual([
      'manifest.json',
      ...Array.from({ length: 6 }, (_, i) => `results-0000${i}.parquet`),
    ]);
    expect(await again(dir, path)).toEqual(result);
  });

  test('is refused when its input changed', async () => {
    const path = await writeCsv(join(folder, 'changed.csv'), flightRecords(6000));
    const dir = newOutput();
    await interrupt(dir, path);
    await writeCsv(path, flightRecords(6001));
    await expect(again(dir, path)).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining(`input.path: ${path} changed since the job began`),
    });
  });

  test('makes a file anew that was damaged meanwhile', async () => {
    const path = await writeCsv(join(folder, 'damaged.csv'), flightRecords(6000));
    const dir = newOutput();
    await interrupt(dir, path);
    const file = join(dir, 'results-00001.parquet');
    const bytes = await readFile(file);
    await writeFile(file, bytes.fill(0, 100, 200));
    expect(await again(dir, path)).toMatchObject({ rowsOut: 6000 });
    const other = newOutput();
    await again(other, path);
    // The same job elsewhere: ids and all are the same.
    for (const name of await readdir(other)) {
      if (name.startsWith('results'))
        expect(await readFile(join(dir, name))).toEqual(await readFile(join(other, name)));
    }
  });
});
