/**
 * The prediction log. What arrives is durable in the database when `append` resolves (the *spool*); from there it goes into
 * files, many rows at once. At any moment a prediction is in the spool or in a file, for a short time in both, and what
 * reads looks into the spool first; so a kill at any point loses nothing and shows nothing twice.
 */
import { AssayError, PredictionEntry, parse } from '@assay/contracts';
import type { Database } from '@assay/database';
import { newId } from '@assay/runtime';
import type { Selectable } from 'kysely';
import { dayOf, fileKey, oldestDay } from '../domain/days.ts';
import type { FileStore } from './file-store.ts';
import type { Parquet } from './parquet.ts';
import type { FileTable, MonitoringTables } from './tables.ts';

export interface PredictionQuery {
  /** Name or id. */
  readonly endpoint?: string | undefined;
  readonly fromMs: number;
  readonly toMs: number;
  readonly limit: number;
}

export interface Spooled {
  readonly rows: number;
  readonly sizeBytes: number;
}

export interface Predictions {
  /** Durable when it resolves. What is there already is left out. Gives how many were new. */
  append(entries: readonly PredictionEntry[]): Promise<number>;
  /** @throws AssayError NOT_FOUND */
  get(id: string, signal: AbortSignal): Promise<PredictionEntry>;
  /** Newest first. */
  list(query: PredictionQuery, signal: AbortSignal): Promise<PredictionEntry[]>;
  /** Writes at most `maxRows` of what waits to files, and first what a crash left half done. Gives how many rows. */
  roll(maxRows: number, signal: AbortSignal): Promise<number>;
  /** Deletes files older than the retention, and forgets ids that arrived before `seenSinceMs`. Gives how many files. */
  expire(retentionDays: number, nowMs: number, seenSinceMs: number): Promise<number>;
  spooled(): Promise<Spooled>;
  kept(): Promise<{ readonly files: number; readonly sizeBytes: number }>;
}

export interface PredictionsOptions {
  readonly database: Database<MonitoringTables>;
  readonly files: FileStore;
  readonly parquet: Parquet;
}

/** Parameters of one statement are bounded. */
const STATEMENT_ROWS = 100;

export function createPredictions({ database, files, parquet }: PredictionsOptions): Predictions {
  const { db } = database;

  async function writeFile(file: Selectable<FileTable>, signal: AbortSignal): Promise<number> {
    const rows = await db.selectFrom('spool').select('entry').where('file', '=', file.key).orderBy('id').execute();
    const entries = rows.map(({ entry }) => readEntry(entry));
    const sizeBytes = await files.put(file.key, (path) => parquet.write(path, entries, signal));
    await database.transaction(async (trx) => {
      const written = trx.selectFrom('spool').select('id').where('file', '=', file.key);
      await trx.updateTable('seen').set({ file: file.key }).where('id', 'in', written).execute();
      await trx.deleteFrom('spool').where('file', '=', file.key).execute();
      await trx
        .updateTable('prediction_file')
        .set({ state: 'kept', size_bytes: sizeBytes })
        .where('key', '=', file.key)
        .execute();
    });
    return entries.length;
  }

  /** Decides what goes into which file, and writes that down: a crash from here on is finished by the next start. */
  async function planFiles(maxRows: number): Promise<void> {
    await database.transaction(async (trx) => {
      const waiting = await trx
        .selectFrom('spool')
        .select(['id', 'at', 'endpoint_id', 'endpoint_name'])
        .where('file', 'is', null)
        .orderBy('at')
        .limit(maxRows)
        .execute();
      const partitions = Map.groupBy(waiting, (row) => `${dayOf(row.at)}\0${row.endpoint_id}\0${row.endpoint_name}`);
      for (const rows of partitions.values()) {
        const [first] = rows;
        if (first === undefined) continue;
        const day = dayOf(first.at);
        const key = fileKey(day, first.endpoint_id, newId('prf'));
        const ids = rows.map(({ id }) => id).sort();
        const times = rows.map(({ at }) => at);
        await trx
          .insertInto('prediction_file')
          .values({
            key,
            state: 'writing',
            day,
            endpoint_id: first.endpoint_id,
            endpoint_name: first.endpoint_name,
            from_at: times.reduce((a, b) => Math.min(a, b)),
            to_at: times.reduce((a, b) => Math.max(a, b)),
            first_id: ids[0] ?? '',
            last_id: ids.at(-1) ?? '',
            rows: ids.length,
            size_bytes: 0,
          })
          .execute();
        for (const part of chunks(ids)) {
          await trx.updateTable('spool').set({ file: key }).where('id', 'in', part).execute();
        }
      }
    });
  }

  /** A file that the retention deletes meanwhile has nothing to tell. */
  async function inFile<T>(
    key: string,
    signal: AbortSignal,
    nothing: T,
    read: (path: string) => Promise<T>,
  ): Promise<T> {
    try {
      return await files.read(key, read, signal);
    } catch (error) {
      const isKnown = await db.selectFrom('prediction_file').select('key').where('key', '=', key).executeTakeFirst();
      if (isKnown === undefined) return nothing;
      throw error;
    }
  }

  return {
    async append(entries) {
      const unique = [...new Map(entries.map((entry) => [entry.id, entry])).values()];
      if (unique.length === 0) return 0;
      return database.transaction(async (trx) => {
        let kept = 0;
        const seenAt = Date.now();
        for (const part of chunks(unique)) {
          const fresh = await trx
            .insertInto('seen')
            .values(part.map(({ id }) => ({ id, seen_at: seenAt, file: null })))
            .onConflict((conflict) => conflict.doNothing())
            .returning('id')
            .execute();
          const ids = new Set(fresh.map(({ id }) => id));
          const rows = part.filter(({ id }) => ids.has(id)).map(toSpool);
          if (rows.length === 0) continue;
          await trx.insertInto('spool').values(rows).execute();
          kept += rows.length;
        }
        return kept;
      });
    },

    async get(id, signal) {
      const spooled = await db.selectFrom('spool').select('entry').where('id', '=', id).executeTakeFirst();
      if (spooled !== undefined) return readEntry(spooled.entry);
      const seen = await db.selectFrom('seen').select('file').where('id', '=', id).executeTakeFirst();
      const candidates = await db
        .selectFrom('prediction_file')
        .select('key')
        .where('state', '=', 'kept')
        .where((e) =>
          seen?.file == null ? e.and([e('first_id', '<=', id), e('last_id', '>=', id)]) : e('key', '=', seen.file),
        )
        .orderBy('to_at', 'desc')
        .execute();
      for (const { key } of candidates) {
        const found = await inFile(key, signal, undefined, (path) => parquet.find(path, id, signal));
        if (found !== undefined) return found;
      }
      throw new AssayError(
        'NOT_FOUND',
        `there is no prediction ${JSON.stringify(id.slice(0, 100))} in the log; it was not logged (sampling, overload), is older than the retention, or has not arrived yet`,
      );
    },

    async list(query, signal) {
      const { endpoint, fromMs, toMs, limit } = query;
      const found = new Map<string, PredictionEntry>();
      let spool = db.selectFrom('spool').select('entry').where('at', '>=', fromMs).where('at', '<=', toMs);
      let kept = db
        .selectFrom('prediction_file')
        .select(['key', 'to_at'])
        .where('state', '=', 'kept')
        .where('from_at', '<=', toMs)
        .where('to_at', '>=', fromMs);
      if (endpoint !== undefined) {
        spool = spool.where((e) => e.or([e('endpoint_name', '=', endpoint), e('endpoint_id', '=', endpoint)]));
        kept = kept.where((e) => e.or([e('endpoint_name', '=', endpoint), e('endpoint_id', '=', endpoint)]));
      }
      // The spool first: what moves to a file in between is found there.
      for (const { entry } of await spool.orderBy('at', 'desc').orderBy('id', 'desc').limit(limit).execute()) {
        const read = readEntry(entry);
        found.set(read.id, read);
      }
      let newest = newestFirst(found.values(), limit);
      for (const { key, to_at } of await kept.orderBy('to_at', 'desc').execute()) {
        const last = newest.at(limit - 1);
        if (last !== undefined && to_at < last.at) break; // nothing in this or a later file is newer
        const rows = await inFile(key, signal, [], (path) => parquet.list(path, { fromMs, toMs, limit }, signal));
        for (const row of rows) found.set(row.id, row);
        newest = newestFirst(found.values(), limit);
      }
      return newest;
    },

    async roll(maxRows, signal) {
      const unfinished = () => db.selectFrom('prediction_file').selectAll().where('state', '=', 'writing').execute();
      let rows = 0;
      for (const file of await unfinished()) rows += await writeFile(file, signal);
      await planFiles(maxRows);
      for (const file of await unfinished()) rows += await writeFile(file, signal);
      return rows;
    },

    async expire(retentionDays, nowMs, seenSinceMs) {
      const old = await db
        .selectFrom('prediction_file')
        .select('key')
        .where('state', '=', 'kept')
        .where('day', '<', oldestDay(nowMs, retentionDays))
        .execute();
      for (const { key } of old) {
        // The file first: a row without a file is deleted again; a file without a row would stay for ever.
        await files.delete(key);
        await db.deleteFrom('prediction_file').where('key', '=', key).execute();
      }
      await db.deleteFrom('seen').where('seen_at', '<', seenSinceMs).where('file', 'is not', null).execute();
      return old.length;
    },

    async spooled() {
      const sum = await db
        .selectFrom('spool')
        .select((e) => [e.fn.countAll<number>().as('rows'), e.fn.sum<number | null>('size_bytes').as('size_bytes')])
        .executeTakeFirstOrThrow();
      return { rows: Number(sum.rows), sizeBytes: Number(sum.size_bytes ?? 0) };
    },

    async kept() {
      const sum = await db
        .selectFrom('prediction_file')
        .select((e) => [e.fn.countAll<number>().as('files'), e.fn.sum<number | null>('size_bytes').as('size_bytes')])
        .where('state', '=', 'kept')
        .executeTakeFirstOrThrow();
      return { files: Number(sum.files), sizeBytes: Number(sum.size_bytes ?? 0) };
    },
  };
}

function toSpool(entry: PredictionEntry) {
  return {
    id: entry.id,
    at: entry.at,
    endpoint_id: entry.endpointId,
    endpoint_name: entry.endpointName,
    size_bytes: entry.record.length + entry.outputs.length,
    file: null,
    entry: JSON.stringify(entry),
  };
}

function readEntry(text: string): PredictionEntry {
  return parse(PredictionEntry, JSON.parse(text), 'a prediction of the spool');
}

function newestFirst(entries: Iterable<PredictionEntry>, limit: number): PredictionEntry[] {
  return [...entries].sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1)).slice(0, limit);
}

function* chunks<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += STATEMENT_ROWS) yield items.slice(i, i + STATEMENT_ROWS);
}
