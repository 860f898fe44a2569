/** What every database behind `openDatabase` must do, run by vitest against a real one. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AssayError } from '@assay/contracts';
import { type Generated, sql, type Transaction } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, isUniqueViolation, type Migration, openDatabase } from './index.ts';

interface Tables {
  item: { id: string; count: number; ratio: number | null; body: string | null };
  child: { id: string; item_id: string };
  counter: { id: string; value: Generated<number> };
}

const ITEMS: Migration = {
  name: '001-items',
  async up(db) {
    await db.schema
      .createTable('item')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('count', 'bigint', (column) => column.notNull())
      .addColumn('ratio', 'double precision')
      .addColumn('body', 'text')
      .execute();
    await db.schema
      .createTable('child')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('item_id', 'text', (column) => column.notNull().references('item.id'))
      .execute();
  },
};

const COUNTER: Migration = {
  name: '002-counter',
  async up(db) {
    await db.schema
      .createTable('counter')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('value', 'bigint', (column) => column.notNull().defaultTo(0))
      .execute();
    await db.insertInto('counter').values({ id: 'one' }).execute();
  },
};

const MIGRATIONS = [ITEMS, COUNTER];

/**
 * @param prepare gives the url of a new empty database, and the function that removes it
 * @param options.sharedByUrl whether a second handle with the same url sees the same data; not so in memory
 */
export function describeDatabase(
  name: string,
  prepare: () => Promise<{ url: string; cleanup: () => Promise<void> }>,
  { sharedByUrl = true }: { readonly sharedByUrl?: boolean } = {},
): void {
  describe(`database on ${name}`, () => {
    let target: Awaited<ReturnType<typeof prepare>>;
    let opened: { close(): Promise<void> }[] = [];

    async function open(migrations: readonly Migration[] = MIGRATIONS): Promise<Database<Tables>> {
      const database = await openDatabase<Tables>(target.url, { migrations });
      opened.push(database);
      return database;
    }

    beforeEach(async () => {
      target = await prepare();
      opened = [];
    });
    afterEach(async () => {
      for (const database of opened) await database.close();
      await target.cleanup();
    });

    const item = (id: string, count = 0) => ({ id, count, ratio: null, body: null });

    it('gives integers, reals, text and JSON back exactly as they were written', async () => {
      const { db } = await open();
      const body = JSON.stringify({ text: 'Zürich ✈ \u{1F6EB} "quoted" \\ \n', list: [1, null, true] });
      const rows = [
        { id: 'largest', count: Number.MAX_SAFE_INTEGER, ratio: 0.1, body },
        { id: 'smallest', count: Number.MIN_SAFE_INTEGER, ratio: -1.7976931348623157e308, body: '' },
        { id: 'time', count: 1_790_000_000_123, ratio: null, body: null },
      ];
      await db.insertInto('item').values(rows).execute();
      const read = await db.selectFrom('item').selectAll().orderBy('count', 'desc').execute();
      expect(read).toEqual([rows[0], rows[2], rows[1]]);
    });

    it('keeps what a transaction wrote when it ends, and shows it to no one before', async () => {
      const { db, transaction } = await open();
      const asAnotherRequest = AsyncLocalStorage.snapshot();
      let seenWhileOpen: Promise<unknown[]> | undefined;
      await transaction(async (trx) => {
        await trx.insertInto('item').values(item('a')).execute();
        seenWhileOpen = asAnotherRequest(() => db.selectFrom('item').selectAll().execute());
        expect(await trx.selectFrom('item').selectAll().execute()).toHaveLength(1);
        if (sharedByUrl) await seenWhileOpen; // a database in memory lets readers wait instead
      });
      expect(await seenWhileOpen).toHaveLength(sharedByUrl ? 0 : 1);
      expect(await db.selectFrom('item').selectAll().execute()).toHaveLength(1);
    });

    it('streams what is committed, in chunks, inside and outside of a transaction', async () => {
      const { db, transaction } = await open();
      const ids = Array.from({ length: 25 }, (_, i) => String(i).padStart(2, '0'));
      await db
        .insertInto('item')
        .values(ids.map((id) => item(id)))
        .execute();
      const stream = async (from: typeof db): Promise<string[]> => {
        const seen: string[] = [];
        for await (const { id } of from.selectFrom('item').select('id').orderBy('id').stream(10)) seen.push(id);
        return seen;
      };
      const asAnotherRequest = AsyncLocalStorage.snapshot();
      let streamed: Promise<string[]> | undefined;
      const undone = transaction(async (trx) => {
        await trx.insertInto('item').values(item('99')).execute();
        streamed = asAnotherRequest(() => stream(db));
        expect(await stream(trx)).toEqual([...ids, '99']);
        throw new Error('undone');
      });
      await expect(undone).rejects.toThrow('undone');
      expect(await streamed).toEqual(ids);
    });

    it('keeps nothing of a transaction that throws, and goes on', async () => {
      const { db, transaction } = await open();
      const failure = new Error('no');
      await expect(
        transaction(async (trx) => {
          await trx.insertInto('item').values(item('a')).execute();
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(await db.selectFrom('item').selectAll().execute()).toEqual([]);
      await transaction((trx) => trx.insertInto('item').values(item('b')).execute());
      expect(await db.selectFrom('item').select('id').execute()).toEqual([{ id: 'b' }]);
    });

    it('keeps nothing of a transaction that swallows the error of a statement, and says so', async () => {
      const { db, transaction } = await open();
      const swallows = (goOn: boolean) =>
        transaction(async (trx) => {
          await trx.insertInto('item').values(item('a')).execute();
          await trx
            .insertInto('item')
            .values(item('a'))
            .execute()
            .catch(() => undefined);
          if (goOn) await trx.insertInto('item').values(item('b')).execute();
        });
      const refused = /a statement of the transaction failed/;
      await expect(swallows(false)).rejects.toThrow(refused);
      await expect(swallows(true)).rejects.toThrow(refused);
      expect(await db.selectFrom('item').selectAll().execute()).toEqual([]);
      await transaction((trx) => trx.insertInto('item').values(item('c')).execute());
    });

    it('sorts text by its bytes', async () => {
      const { db } = await open();
      const ids = ['b', 'B', 'a', 'A', 'ä', '_', '-', '1', 'aa', 'a-', 'a_', 'Z'];
      await db
        .insertInto('item')
        .values(ids.map((id) => item(id)))
        .execute();
      const bytes = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const ordered = await db.selectFrom('item').select('id').orderBy('id').execute();
      expect(ordered.map(({ id }) => id)).toEqual(bytes);
      const after = await db.selectFrom('item').select('id').where('id', '>', 'a').orderBy('id').execute();
      expect(after.map(({ id }) => id)).toEqual(bytes.slice(bytes.indexOf('a') + 1));
    });

    it('compares by LIKE with the case of letters, and takes a backslash as the escape', async () => {
      const { db } = await open();
      const ids = ['Alpha', 'alpha', 'al%pha', 'beta', 'a\\b', 'aXbXc', ''];
      await db
        .insertInto('item')
        .values(ids.map((id) => item(id)))
        .execute();
      const like = async (pattern: string): Promise<string[]> => {
        const rows = await db.selectFrom('item').select('id').where('id', 'like', pattern).orderBy('id').execute();
        return rows.map(({ id }) => id);
      };
      expect(await like('al%')).toEqual(['al%pha', 'alpha']);
      expect(await like('al\\%%')).toEqual(['al%pha']);
      expect(await like('_lpha')).toEqual(['Alpha', 'alpha']);
      expect(await like('%a')).toEqual(['Alpha', 'al%pha', 'alpha', 'beta']);
      expect(await like('a%X%c')).toEqual(['aXbXc']);
      expect(await like('a\\\\b')).toEqual(['a\\b']);
      expect(await like('')).toEqual(['']);
      expect(await like('a')).toEqual([]);
    });

    it('gives a sum, a count and a comparison as numbers', async () => {
      const { db } = await open();
      await db
        .insertInto('item')
        .values([item('a', 1), item('b', 2)])
        .execute();
      const row = await db
        .selectFrom('item')
        .select((e) => [
          e.fn.sum('count').as('sum'),
          e.fn.avg('count').as('mean'),
          e.fn.countAll().as('rows'),
          e(e.fn.max('count'), '>', 1).as('isMore'),
        ])
        .executeTakeFirst();
      expect(row).toEqual({ sum: 3, mean: 1.5, rows: 2, isMore: 1 });
    });

    it('runs concurrent transactions one after the other, in the order of asking', async () => {
      const { db, transaction } = await open();
      const order: number[] = [];
      await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          transaction(async (trx) => {
            order.push(i);
            const { value } = await trx.selectFrom('counter').select('value').executeTakeFirstOrThrow();
            await yieldToOthers();
            await trx
              .updateTable('counter')
              .set({ value: value + 1 })
              .execute();
            if (i % 10 === 9) throw new Error('undone');
          }).catch(() => undefined),
        ),
      );
      expect(await db.selectFrom('counter').select('value').execute()).toEqual([{ value: 27 }]);
      expect(order).toEqual([...order].sort((a, b) => a - b));
    });

    it('commits transactions together that wait for each other, and keeps nothing of those among them that fail', async () => {
      const { db, transaction, onCommit } = await open();
      let commits = 0;
      onCommit(() => commits++);
      const put = (id: string, fail?: (trx: Transaction<Tables>) => Promise<unknown>) =>
        transaction(async (trx) => {
          await trx.insertInto('item').values(item(id)).execute();
          await fail?.(trx);
          return id;
        });
      const twice = (id: string) => (trx: Transaction<Tables>) => trx.insertInto('item').values(item(id)).execute();
      const settled = await Promise.allSettled([
        put('a'),
        put('b', () => Promise.reject(new Error('undone'))),
        put('c'),
        put('d', twice('d')),
        put('e', (trx) => twice('e')(trx).catch(() => 'swallowed')),
        put('f', twice('a')),
        put('g'),
      ]);
      expect(settled.map(({ status }) => status === 'fulfilled')).toEqual(
        ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id) => ['a', 'c', 'g'].includes(id)),
      );
      expect(settled[4]).toMatchObject({ reason: { message: expect.stringContaining('nothing of it is kept') } });
      expect(commits).toBeLessThan(3);
      const kept = await db.selectFrom('item').select('id').orderBy('id').execute();
      expect(kept.map(({ id }) => id)).toEqual(['a', 'c', 'g']);
    });

    it('fails all that were to commit together where the commit fails, keeps nothing of them, and goes on', async () => {
      const { db, transaction } = await open();
      await sql`create table part (id text primary key, item text references item (id) deferrable initially deferred)`.execute(
        db,
      );
      const put = (id: string) => transaction((trx) => trx.insertInto('item').values(item(id)).execute());
      const orphan = transaction((trx) => sql`insert into part values ('p', 'none')`.execute(trx));
      const settled = await Promise.allSettled([put('a'), orphan, put('b')]);
      const isKept = settled.map(({ status }) => status === 'fulfilled');
      expect(isKept[1]).toBe(false);
      const kept = await db.selectFrom('item').select('id').orderBy('id').execute();
      expect(kept.map(({ id }) => id)).toEqual(['a', 'b'].filter((_, i) => isKept[i * 2]));
      expect(await sql`select 1 from part`.execute(db)).toMatchObject({ rows: [] });
      await put('c');
    });

    it('keeps a single write out of the transaction that is open, even if that is undone', async () => {
      const { db, transaction } = await open();
      const begun = Promise.withResolvers<void>();
      const write = begun.promise.then(() => db.insertInto('item').values(item('single')).execute());
      await transaction(async (trx) => {
        await trx.insertInto('item').values(item('inside')).execute();
        begun.resolve();
        await yieldToOthers();
        throw new Error('undone');
      }).catch(() => undefined);
      await write;
      expect(await db.selectFrom('item').select('id').execute()).toEqual([{ id: 'single' }]);
    });

    it('refuses the outer handle inside a transaction instead of waiting for itself', async () => {
      const { db, transaction } = await open();
      const nested = /inside a transaction only its own handle/;
      await transaction(async () => {
        await expect(db.insertInto('item').values(item('a')).execute()).rejects.toThrow(nested);
        await expect(db.selectFrom('item').selectAll().execute()).rejects.toThrow(nested);
        await expect(transaction(async () => undefined)).rejects.toThrow(nested);
        await expect(db.transaction().execute(async () => undefined)).rejects.toThrow(nested);
      });
    });

    it("refuses Kysely's own transaction, which waits for no turn", async () => {
      const { db, transaction } = await open();
      await expect(db.transaction().execute(async () => undefined)).rejects.toThrow(/begun by `transaction\(\)`/);
      const end = Promise.withResolvers<void>();
      const first = transaction(() => end.promise);
      await expect(db.transaction().execute(async () => undefined)).rejects.toThrow(/begun by `transaction\(\)`/);
      end.resolve();
      await first;
    });

    it('stops waiting for its turn when the signal aborts', async () => {
      const { transaction } = await open();
      const end = Promise.withResolvers<void>();
      const first = transaction(() => end.promise);
      const controller = new AbortController();
      const second = transaction(async () => 'ran', { signal: controller.signal });
      controller.abort(new Error('gone'));
      await expect(second).rejects.toThrow('gone');
      end.resolve();
      await first;
      expect(await transaction(async () => 'ran')).toBe('ran');
    });

    it('names a violated unique key, and enforces references', async () => {
      const { db } = await open();
      await db.insertInto('item').values(item('a')).execute();
      const again = await db
        .insertInto('item')
        .values(item('a'))
        .execute()
        .catch((error: unknown) => error);
      expect(isUniqueViolation(again)).toBe(true);
      const orphan = await db
        .insertInto('child')
        .values({ id: 'c', item_id: 'absent' })
        .execute()
        .catch((error: unknown) => error);
      expect(orphan).toBeInstanceOf(Error);
      expect(isUniqueViolation(orphan)).toBe(false);
    });

    it('reports how many rows a conditional write changed', async () => {
      const { db } = await open();
      await db.insertInto('item').values(item('a', 1)).execute();
      const change = (from: number) =>
        db
          .updateTable('item')
          .set({ count: from + 1 })
          .where('id', '=', 'a')
          .where('count', '=', from)
          .executeTakeFirst();
      expect((await change(1)).numUpdatedRows).toBe(1n);
      expect((await change(1)).numUpdatedRows).toBe(0n);
      const returned = await db.updateTable('item').set({ count: 7 }).returning('count').execute();
      expect(returned).toEqual([{ count: 7 }]);
    });

    it('tells of each commit through this handle, and of nothing that was undone', async () => {
      const { transaction, onCommit } = await open();
      let commits = 0;
      const stop = onCommit(() => commits++);
      await transaction((trx) => trx.insertInto('item').values(item('a')).execute());
      await transaction(() => Promise.reject(new Error('undone'))).catch(() => undefined);
      expect(commits).toBe(1);
      stop();
      await transaction((trx) => trx.insertInto('item').values(item('b')).execute());
      expect(commits).toBe(1);
    });

    it('lets timers and sockets have their turn while it is written to without a pause', async () => {
      const { db, transaction } = await open();
      for (const write of [
        () => transaction(async () => undefined),
        () => db.updateTable('item').set({ count: 1 }).execute(),
      ]) {
        let hadTurn = false;
        setTimeout(() => {
          hadTurn = true;
        }, 1);
        for (let writes = 0; !hadTurn && writes < 20_000; writes++) await write();
        expect(hadTurn).toBe(true);
      }
    });

    it('refuses a list of migrations with a name twice', async () => {
      await expect(open([ITEMS, ITEMS])).rejects.toThrow('"001-items" is listed twice');
    });

    if (!sharedByUrl) return;

    it('keeps nothing of migrations when one of them fails', async () => {
      const broken: Migration = { name: '002-broken', up: () => Promise.reject(new Error('typo')) };
      await expect(open([ITEMS, broken])).rejects.toThrow('typo');
      const { db } = await open(); // would fail on "table exists" if 001 had been kept without its record
      expect(await db.selectFrom('item').selectAll().execute()).toEqual([]);
    });

    it('applies to an older schema only what is new, and keeps its rows', async () => {
      const older = await open([ITEMS]);
      await older.db.insertInto('item').values(item('kept')).execute();
      await older.close();
      const newer = await open();
      expect(await newer.db.selectFrom('item').select('id').execute()).toEqual([{ id: 'kept' }]);
      expect(await newer.db.selectFrom('counter').selectAll().execute()).toHaveLength(1);
    });

    it('refuses a schema of a newer version, and one of another service', async () => {
      await (await open()).close();
      await expect(open([ITEMS])).rejects.toThrow(/written by a newer version .*"002-counter"/);
      const other: Migration = { name: '001-other', up: async () => undefined };
      const refused = open([other, COUNTER]);
      await expect(refused).rejects.toThrow(/migration 1 is "001-items" where this version has "001-other"/);
      await expect(refused).rejects.toBeInstanceOf(AssayError);
    });

    it('migrates once when several open at once', async () => {
      const handles = await Promise.all([open(), open(), open()]);
      const [first] = handles;
      expect(await first.db.selectFrom('counter').selectAll().execute()).toHaveLength(1);
    });

    it('keeps transactions of two handles apart', async () => {
      const handles = [await open(), await open()];
      const increment = (database: Database<Tables>) =>
        database.transaction(async (trx) => {
          const { value } = await trx.selectFrom('counter').select('value').executeTakeFirstOrThrow();
          await yieldToOthers();
          await trx
            .updateTable('counter')
            .set({ value: value + 1 })
            .execute();
        });
      await Promise.all(Array.from({ length: 10 }, () => handles.map(increment)).flat());
      const [first] = handles;
      expect(await first?.db.selectFrom('counter').select('value').execute()).toEqual([{ value: 20 }]);
    });

    it('has after a new start what was acknowledged before', async () => {
      const before = await open();
      await before.transaction((trx) => trx.insertInto('item').values(item('a', 5)).execute());
      await before.close();
      const after = await open();
      expect(await after.db.selectFrom('item').select('count').execute()).toEqual([{ count: 5 }]);
      await expect(before.transaction(async () => undefined)).rejects.toThrow('is closed');
    });
  });
}

/** A turn of the event loop: whatever could interleave does. */
function yieldToOthers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
