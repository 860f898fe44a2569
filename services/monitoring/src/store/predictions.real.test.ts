import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PredictionEntry } from '@assay/contracts';
import { openDatabase } from '@assay/database';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileStore, openFileStore } from './file-store.ts';
import { predictionsMigration } from './migrations/001-predictions.ts';
import { createParquet } from './parquet.ts';
import { createPredictions, type Predictions } from './predictions.ts';
import type { MonitoringTables } from './tables.ts';

const DAY_MS = 86_400_000;
const NOON = Date.UTC(2026, 0, 31, 12);
const never = new AbortController().signal;

let dir: string;
let opened: AsyncDisposableStack;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-monitoring-'));
  opened = new AsyncDisposableStack();
  opened.defer(() => rm(dir, { recursive: true, force: true }));
});
afterEach(() => opened.disposeAsync());

/** @param wrap stands between the log and its files, to fail where a test wants it */
async function open(wrap: (files: FileStore) => FileStore = (files) => files): Promise<Predictions> {
  const database = opened.use(
    await openDatabase<MonitoringTables>(`sqlite:${join(dir, 'db.sqlite')}`, { migrations: [predictionsMigration] }),
  );
  const parquet = createParquet();
  opened.defer(() => parquet.close());
  return createPredictions({
    database,
    parquet,
    files: wrap(await openFileStore(`file:${join(dir, 'files')}`, join(dir, 'tmp'))),
  });
}

function entry(number: number, more: Partial<PredictionEntry> = {}): PredictionEntry {
  return {
    id: `prd_${String(number).padStart(5, '0')}-0`,
    at: NOON + number,
    door: 'rest',
    endpointId: 'ept_1',
    endpointName: 'flights',
    modelName: 'flights',
    version: 1,
    versionId: 'ver_1',
    digest: 'a'.repeat(64),
    routingRevision: 4,
    executionClass: 'class',
    record: `{"n":${number},"big":9223372036854775807,"zero":-0}`,
    outputs: '{"y":["NaN",0.1]}',
    ...more,
  };
}
const entries = (count: number): PredictionEntry[] => Array.from({ length: count }, (_, i) => entry(i));
const everything = { fromMs: 0, toMs: NOON * 2, limit: 1000 };
const parquetFiles = async (): Promise<string[]> =>
  (await readdir(join(dir, 'files'), { recursive: true })).filter((name) => name.endsWith('.parquet')).sort();

async function withoutColumn(path: string, column: string): Promise<void> {
  const database = await DuckDBInstance.create(':memory:');
  const connection = await database.connect();
  const rows = `SELECT * EXCLUDE ${column} FROM read_parquet('${path}', hive_partitioning = false)`;
  await connection.run(`COPY (${rows}) TO '${path}.less' (FORMAT parquet)`);
  connection.closeSync();
  database.closeSync();
  await rename(`${path}.less`, path);
}

describe('the prediction log', () => {
  test('finds a prediction, exactly as it came, before and after it went into a file', async () => {
    const log = await open();
    expect(await log.append([entry(1), entry(2)])).toBe(2);
    expect(await log.get(entry(1).id, never)).toEqual(entry(1));
    expect(await log.roll(100, never)).toBe(2);
    expect(await log.spooled()).toEqual({ rows: 0, sizeBytes: 0 });
    expect(await log.get(entry(1).id, never)).toEqual(entry(1));
    await expect(log.get('prd_none', never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('keeps of which outputs were used again, beside files from before there was such a column', async () => {
    const log = await open();
    await log.append([entry(1, { cached: true }), entry(2)]);
    await log.roll(100, never);
    expect(await log.list(everything, never)).toEqual([entry(2), entry(1, { cached: true })]);
    const [file = ''] = await parquetFiles();
    await withoutColumn(join(dir, 'files', file), 'cached');
    expect(await log.list(everything, never)).toEqual([entry(2), entry(1)]);
    expect(await log.get(entry(1).id, never)).toEqual(entry(1));
  });

  test('keeps the trace that asked, beside files from before there was such a column', async () => {
    const log = await open();
    const traced = entry(1, { traceId: '4bf92f3577b34da6a3ce929d0e0e4736' });
    await log.append([traced, entry(2)]);
    expect(await log.get(traced.id, never)).toEqual(traced);
    await log.roll(100, never);
    expect(await log.list(everything, never)).toEqual([entry(2), traced]);
    const [file = ''] = await parquetFiles();
    await withoutColumn(join(dir, 'files', file), 'trace_id');
    expect(await log.list(everything, never)).toEqual([entry(2), entry(1)]);
  });

  test('finds it when its id is remembered no more', async () => {
    const log = await open();
    await log.append(entries(5));
    await log.roll(100, never);
    await log.expire(36_500, NOON, Date.now() + 1);
    expect(await log.get(entry(3).id, never)).toEqual(entry(3));
  });

  test('keeps what is delivered again once, also when the first is in a file already', async () => {
    const log = await open();
    expect(await log.append([entry(1), entry(1)])).toBe(1);
    expect(await log.append([entry(1), entry(2)])).toBe(1);
    await log.roll(100, never);
    expect(await log.append([entry(1), entry(2), entry(3)])).toBe(1);
    await log.roll(100, never);
    expect((await log.list(everything, never)).map(({ id }) => id)).toEqual([entry(3).id, entry(2).id, entry(1).id]);
  });

  test('has a file for each day and endpoint', async () => {
    const log = await open();
    await log.append([entry(1), entry(2, { endpointId: 'ept_2' }), entry(3, { at: NOON + DAY_MS })]);
    await log.roll(100, never);
    const folders = (await parquetFiles()).map((file) => file.replace(/\/[^/]*$/, ''));
    expect(folders).toEqual([
      'date=2026-01-31/endpoint=ept_1',
      'date=2026-01-31/endpoint=ept_2',
      'date=2026-02-01/endpoint=ept_1',
    ]);
  });

  test('lists by endpoint and time, newest first, out of database and files together', async () => {
    const log = await open();
    await log.append([entry(1), entry(2, { endpointName: 'other', endpointId: 'ept_2' })]);
    await log.roll(100, never);
    await log.append([entry(3), entry(4)]);
    await log.roll(1, never); // the older of the two
    const ids = async (query: Partial<Parameters<Predictions['list']>[0]>) =>
      (await log.list({ ...everything, ...query }, never)).map(({ id }) => Number(id.slice(4, 9)));
    expect(await ids({})).toEqual([4, 3, 2, 1]);
    expect(await ids({ endpoint: 'flights' })).toEqual([4, 3, 1]);
    expect(await ids({ endpoint: 'ept_2' })).toEqual([2]);
    expect(await ids({ fromMs: NOON + 2, toMs: NOON + 3 })).toEqual([3, 2]);
    expect(await ids({ limit: 2 })).toEqual([4, 3]);
    expect(await ids({ limit: 3 })).toEqual([4, 3, 2]);
    expect(await ids({ endpoint: 'none' })).toEqual([]);
  });

  test.each(['before the file is there', 'after the file is there'])(
    'finishes what a crash left, %s, under the same name',
    async (when) => {
      const failing = await open((files) => ({
        ...files,
        async put(key, write) {
          if (when.startsWith('after')) await files.put(key, write);
          throw new Error('the power is gone');
        },
      }));
      await failing.append(entries(3));
      await expect(failing.roll(100, never)).rejects.toThrow('the power is gone');
      expect((await failing.list(everything, never)).map(({ id }) => id)).toHaveLength(3);
      const before = await parquetFiles();
      expect(before).toHaveLength(when.startsWith('after') ? 1 : 0);

      const next = await open();
      expect(await next.roll(100, never)).toBe(3);
      const after = await parquetFiles();
      expect(after).toHaveLength(1);
      if (before.length > 0) expect(after).toEqual(before);
      expect(await next.list(everything, never)).toEqual(entries(3).reverse());
    },
  );

  test('deletes the files of days beyond the retention, and those alone', async () => {
    const log = await open();
    const days = [0, 1, 2, 3];
    await log.append(days.map((day) => entry(day, { at: NOON - day * DAY_MS })));
    await log.roll(100, never);
    expect(await log.expire(2, NOON, 0)).toBe(1);
    expect((await parquetFiles()).map((file) => file.slice(0, 15))).toEqual([
      'date=2026-01-29',
      'date=2026-01-30',
      'date=2026-01-31',
    ]);
    expect(await readdir(join(dir, 'files'))).not.toContain('date=2026-01-28');
    await expect(log.get(entry(3).id, never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await log.get(entry(2).id, never)).toMatchObject({ id: entry(2).id });
    expect((await log.kept()).files).toBe(3);
    expect(await log.expire(2, NOON, 0)).toBe(0);
  });

  test('says which file is gone when someone else deleted it', async () => {
    const log = await open();
    await log.append([entry(1)]);
    await log.roll(100, never);
    const [file = ''] = await parquetFiles();
    await rm(join(dir, 'files', file));
    await expect(log.get(entry(1).id, never)).rejects.toThrow(file);
  });

  test('clears away what a kill left half written', async () => {
    await open();
    await writeFile(join(dir, 'files', '.tmp', 'tmp_half'), 'x');
    await open();
    expect(await readdir(join(dir, 'files', '.tmp'))).toEqual([]);
  });
});
