import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import BetterSqlite3 from 'better-sqlite3';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeDatabase } from './conformance.ts';
import { type Migration, openDatabase } from './index.ts';

describeDatabase('an SQLite file', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-database-'));
  return { url: `sqlite:${join(dir, 'new', 'folder', 'test.sqlite')}`, cleanup: () => rm(dir, { recursive: true }) };
});

describeDatabase('SQLite in memory', async () => ({ url: 'sqlite::memory:', cleanup: async () => undefined }), {
  sharedByUrl: false,
});

const NOTES: Migration = {
  name: '001-notes',
  async up(db) {
    await db.schema.createTable('note').addColumn('id', 'text').addColumn('body', 'text').execute();
  },
};

interface Tables {
  note: { id: string; body: string };
}

describe('an SQLite file', () => {
  let dir: string;
  let path: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-database-'));
    path = join(dir, 'test.sqlite');
  });
  afterEach(() => rm(dir, { recursive: true }));

  const open = (at = path) => openDatabase<Tables>(`sqlite:${at}`, { migrations: [NOTES] });

  async function refusal(action: Promise<unknown>): Promise<AssayError> {
    const error = await action.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(AssayError);
    return AssayError.from(error);
  }

  it('writes ahead, and syncs each commit', async () => {
    await using database = await open();
    await database.transaction(async (trx) => {
      expect((await sql`PRAGMA journal_mode`.execute(trx)).rows).toEqual([{ journal_mode: 'wal' }]);
      expect((await sql`PRAGMA synchronous`.execute(trx)).rows).toEqual([{ synchronous: 2 }]);
      expect((await sql`PRAGMA foreign_keys`.execute(trx)).rows).toEqual([{ foreign_keys: 1 }]);
    });
  });

  it('says that the disk is full, keeps nothing of the change, and goes on when there is space', async () => {
    await using database = await open();
    const write = (body: string) =>
      database.transaction(async (trx) => {
        await trx.insertInto('note').values({ id: 'first', body: 'small' }).execute();
        await trx.insertInto('note').values({ id: 'second', body }).execute();
      });
    // SQLite reports a full disk and a full page budget as the same error, by the same way.
    await database.transaction((trx) => sql`PRAGMA max_page_count = 20`.execute(trx));
    const full = await refusal(write('x'.repeat(1_000_000)));
    expect(full.code).toBe('UNAVAILABLE');
    expect(full.message).toContain('disk is full');
    expect(await database.db.selectFrom('note').selectAll().execute()).toEqual([]);
    await database.transaction((trx) => sql`PRAGMA max_page_count = 1000000`.execute(trx));
    await write('x'.repeat(1_000_000));
    expect(await database.db.selectFrom('note').select('id').execute()).toHaveLength(2);
  });

  it('says that a file is no database', async () => {
    await writeFile(path, 'this is a text file, and not a short one'.repeat(100));
    const error = await refusal(open());
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain(`${path}: is not an SQLite database`);
  });

  it('says that a file is damaged', async () => {
    const database = await open();
    await database.db
      .insertInto('note')
      .values({ id: 'a', body: 'x'.repeat(50_000) })
      .execute();
    await database.close();
    const raw = new BetterSqlite3(path);
    const page = raw.pragma('page_size', { simple: true });
    raw.close();
    const { open: openFile } = await import('node:fs/promises');
    const file = await openFile(path, 'r+');
    await file.write(Buffer.alloc(Number(page) * 4, 0xa5), 0, Number(page) * 4, Number(page));
    await file.close();
    const error = await refusal(open().then((opened) => opened.db.selectFrom('note').selectAll().execute()));
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain('is damaged');
  });

  it('says that its folder cannot be made', async () => {
    await writeFile(join(dir, 'taken'), '');
    const error = await refusal(open(join(dir, 'taken', 'test.sqlite')));
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain('its folder cannot be made');
  });

  it('waits for another process that writes, without blocking this one', async () => {
    await using database = await open();
    const other = new BetterSqlite3(path);
    other.exec('BEGIN IMMEDIATE');
    let turns = 0;
    const write = database.db.insertInto('note').values({ id: 'a', body: '' }).execute();
    while (turns < 5) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    other.exec('COMMIT');
    other.close();
    await write;
    expect(await database.db.selectFrom('note').select('id').execute()).toEqual([{ id: 'a' }]);
  });

  it('streams rows while others write', async () => {
    await using database = await open();
    const rows = Array.from({ length: 50 }, (_, i) => ({ id: String(i), body: '' }));
    await database.db.insertInto('note').values(rows).execute();
    let seen = 0;
    for await (const { id } of database.db.selectFrom('note').select('id').stream(10)) {
      await database.db.updateTable('note').set({ body: 'seen' }).where('id', '=', id).execute();
      seen++;
    }
    expect(seen).toBe(50);
  });
});

describe('a database url', () => {
  it.each(['mysql://user:secret@host/db', 'test.sqlite', 'sqlite:', ''])('is refused: %j', async (url) => {
    const opened = openDatabase(url, { migrations: [] });
    await expect(opened).rejects.toThrow('is no database url; expected sqlite:FILE');
    await expect(opened).rejects.not.toThrow('secret');
  });
});
