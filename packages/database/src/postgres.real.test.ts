import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeDatabase } from './conformance.ts';
import { type Database, type Migration, openDatabase } from './index.ts';
import { writerLockKey } from './postgres-driver.ts';
import { type Postgres, startPostgres } from './testing/postgres.ts';

let server: Postgres;
let schemas = 0;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

async function asAdministrator<T>(use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: server.url('public').replace(/\?.*/, '') });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

describeDatabase('PostgreSQL', async () => {
  const schema = `suite_${++schemas}`;
  return {
    url: server.url(schema),
    cleanup: () =>
      asAdministrator(async (client) => void (await client.query(`drop schema if exists ${schema} cascade`))),
  };
});

const NOTES: Migration = {
  name: '001-notes',
  async up(db) {
    await db.schema
      .createTable('note')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('body', 'text')
      .execute();
  },
};

interface Tables {
  note: { id: string; body: string | null };
}

async function refusal(action: Promise<unknown>): Promise<AssayError> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AssayError);
  return AssayError.from(error);
}

describe('a database on PostgreSQL', () => {
  let schema: string;
  let opened: Database<Tables>[] = [];
  beforeEach(() => {
    schema = `own_${++schemas}`;
    opened = [];
  });
  afterEach(async () => {
    for (const database of opened) await database.close();
  });

  async function open(url = server.url(schema)): Promise<Database<Tables>> {
    const database = await openDatabase<Tables>(url, { migrations: [NOTES] });
    opened.push(database);
    return database;
  }

  it('keeps the tables of two services apart by their schemas', async () => {
    const first = await open();
    await first.db.insertInto('note').values({ id: 'a', body: null }).execute();
    const second = await open(server.url(`${schema}_other`));
    expect(await second.db.selectFrom('note').selectAll().execute()).toEqual([]);
  });

  it('holds off writers of other processes, single writes included, until a transaction ends', async () => {
    const [one, two] = [await open(), await open()];
    const inside = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const first = one.transaction(async (trx) => {
      await trx.insertInto('note').values({ id: 'first', body: null }).execute();
      inside.resolve();
      await end.promise;
    });
    await inside.promise;
    const seen: string[][] = [];
    const others = [
      two.db.insertInto('note').values({ id: 'single', body: null }).execute(),
      two.transaction(async (trx) => {
        const rows = await trx.selectFrom('note').select('id').where('id', '=', 'first').execute();
        seen.push(rows.map(({ id }) => id));
      }),
    ];
    await expect.poll(waiting, { timeout: 20_000 }).toBe(1); // a handle sends one writer at a time
    expect(seen).toEqual([]);
    expect(await two.db.selectFrom('note').selectAll().execute()).toEqual([]); // readers wait for nobody
    end.resolve();
    await Promise.all([first, ...others]);
    expect(seen).toEqual([['first']]);
  });

  /** Writers that wait for the lock of this test's schema. */
  const waiting = () =>
    asAdministrator(async (client) => {
      const text = "select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted";
      return (await client.query<{ n: number }>(text)).rows[0]?.n;
    });

  it('stops waiting for the writer of another process when the signal aborts, and goes on afterwards', async () => {
    const database = await open();
    const other = new Client({ connectionString: server.url(schema).replace(/\?.*/, '') });
    await other.connect();
    await other.query(`begin; select pg_advisory_xact_lock(${writerLockKey(schema)})`);
    const controller = new AbortController();
    const change = database.transaction(async () => 'ran', { signal: controller.signal });
    await expect.poll(waiting, { timeout: 20_000 }).toBe(1);
    controller.abort(new Error('gone'));
    await expect(change).rejects.toThrow('gone');
    await expect.poll(waiting, { timeout: 20_000 }).toBe(0);
    await other.end(); // and with it the lock
    expect(await database.transaction(async () => 'ran')).toBe('ran');
  });

  it('keeps a write out of what looks like a read', async () => {
    const { db } = await open();
    await sql`with added as (insert into note values ('a', 'x') returning id) select * from added`.execute(db);
    expect(await db.selectFrom('note').select('id').execute()).toEqual([{ id: 'a' }]);
  });

  it('does not leave the order of text to the locale of the database', async () => {
    const { db } = await open();
    const { rows } = await sql<{ collation_name: string }>`
      select collation_name from information_schema.columns where table_schema = ${schema} and table_name = 'note'`.execute(
      db,
    );
    expect(rows).toEqual([{ collation_name: 'C' }, { collation_name: 'C' }]);
  });

  it('goes on after the server was killed and started again, and keeps what was acknowledged', async () => {
    const database = await open();
    const write = (id: string) =>
      database.transaction((trx) => trx.insertInto('note').values({ id, body: null }).execute());
    await write('before');
    await server.stop('kill');
    try {
      expect((await refusal(write('lost'))).code).toBe('UNAVAILABLE');
      const gone = await refusal(database.db.selectFrom('note').selectAll().execute());
      expect(gone.code).toBe('UNAVAILABLE');
      expect(gone.message).toMatch(/^database postgres:\/\/127\.0\.0\.1:\d+\/assay, schema own_\d+: .*(reached|lost)/);
    } finally {
      await server.start();
    }
    await expect
      .poll(
        () =>
          write('after').then(
            () => 'kept',
            (error: AssayError) => error.code,
          ),
        { timeout: 20_000 },
      )
      .toBe('kept');
    const ids = (await database.db.selectFrom('note').select('id').orderBy('id').execute()).map(({ id }) => id);
    expect(ids).toEqual(['after', 'before']);
  });

  it('undoes the transaction whose connection is lost, says so, and goes on', async () => {
    const database = await open();
    const lost = await refusal(
      database.transaction(async (trx) => {
        await trx.insertInto('note').values({ id: 'lost', body: null }).execute();
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
        await asAdministrator((client) => client.query('select pg_terminate_backend($1)', [rows[0]?.pid]));
        await trx.insertInto('note').values({ id: 'more', body: null }).execute();
      }),
    );
    expect(lost.code).toBe('UNAVAILABLE');
    await database.transaction((trx) => trx.insertInto('note').values({ id: 'kept', body: null }).execute());
    expect(await database.db.selectFrom('note').select('id').execute()).toEqual([{ id: 'kept' }]);
  });

  it('ends a statement that takes too long, and a frozen writer', async () => {
    const { db, transaction } = await open();
    const { rows } = await sql`select current_setting('statement_timeout') as statement`.execute(db);
    expect(rows).toEqual([{ statement: '30s' }]);
    await transaction(async (trx) => {
      const limits = sql`select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
        current_setting('idle_in_transaction_session_timeout') as idle`;
      expect((await limits.execute(trx)).rows).toEqual([{ statement: '1min', lock: '30s', idle: '30s' }]);
    });
    const slow = transaction(async (trx) => {
      await sql`set local statement_timeout = 20`.execute(trx);
      await sql`select pg_sleep(60)`.execute(trx);
    });
    expect((await refusal(slow)).message).toContain('a statement took too long and was cancelled');
    const frozen = transaction(async (trx) => {
      await sql`set local idle_in_transaction_session_timeout = 20`.execute(trx);
      await delay(500);
      await trx.insertInto('note').values({ id: 'late', body: null }).execute();
    });
    expect((await refusal(frozen)).code).toBe('UNAVAILABLE');
    expect(await db.selectFrom('note').selectAll().execute()).toEqual([]);
  });

  it('takes no more connections than it is told, however many ask', async () => {
    const { db } = await open(`${server.url(schema)}&maxReaders=2`);
    const slow = () => sql`select pg_sleep(0.02)`.execute(db);
    await Promise.all(Array.from({ length: 20 }, slow));
    const { rows } = await sql<{ n: number }>`
      select count(*) as n from pg_stat_activity where application_name = ${`assay-${schema}`}`.execute(db);
    expect(rows[0]?.n).toBeLessThanOrEqual(3);
    expect(rows[0]?.n).toBeGreaterThan(0);
  });

  it('refuses an integer that a number cannot hold, and goes on', async () => {
    const { db } = await open();
    await expect(sql`select 9007199254740993::bigint as n`.execute(db)).rejects.toThrow('beyond 2^53');
    expect((await sql`select 1 as n`.execute(db)).rows).toEqual([{ n: 1 }]);
  });

  it('refuses a text that it cannot keep', async () => {
    const { db } = await open();
    const error = await refusal(db.insertInto('note').values({ id: 'a\0b', body: null }).execute());
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toContain('NUL');
  });

  it('may use a schema that someone made for its user, who may make none', async () => {
    await asAdministrator(async (client) => {
      await client.query(`create user ${schema} password 'narrow'; create schema ${schema} authorization ${schema}`);
    });
    const url = server.url(schema).replace(/\/\/.*@/, `//${schema}:narrow@`);
    const { db } = await open(url);
    await db.insertInto('note').values({ id: 'a', body: null }).execute();
    const error = await refusal(open(url.replace(`schema=${schema}`, `schema=${schema}_new`)));
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain('grant it');
  });
});

describe('a PostgreSQL server that cannot be used is named in one clear line', () => {
  const open = (url: string) => openDatabase(url, { migrations: [] });
  const expectLine = async (url: string, code: string, words: RegExp) => {
    const error = await refusal(open(url));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
    expect(error.message).not.toMatch(/\n|hunter2/);
    expect(error.message).not.toContain(server.password);
  };

  it('wrong password, unknown user, none at all', async () => {
    const words = /^database postgres:\/\/127\.0\.0\.1:\d+\/assay, schema x: refused the user or its password/;
    await expectLine(server.url('x').replace(server.password, 'hunter2'), 'FAILED_PRECONDITION', words);
    await expectLine(server.url('x').replace(/\/\/.*@/, '//someone:hunter2@'), 'FAILED_PRECONDITION', words);
    await expectLine(server.url('x').replace(`:${server.password}`, ''), 'FAILED_PRECONDITION', words);
  });

  it('no such database', () =>
    expectLine(server.url('x').replace('/assay?', '/absent?'), 'FAILED_PRECONDITION', /there is no such database/));

  it('nothing listens there', () =>
    expectLine('postgres://u:hunter2@127.0.0.1:1/assay', 'UNAVAILABLE', /cannot be reached; check that it runs/));

  it('something else listens there', async () => {
    const other = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    await expectLine(`postgres://u:hunter2@127.0.0.1:${port}/assay`, 'UNAVAILABLE', /lost|reached/);
    other.close();
  });

  it('the host is unknown', () => expectLine('postgres://u:hunter2@no-such-host.invalid/assay', 'UNAVAILABLE', /host/));

  it('it has no TLS', () => expectLine(`${server.url('x')}&sslmode=require`, 'FAILED_PRECONDITION', /has no TLS/));

  it.each([
    ['postgres://u:hunter2@', /cannot be read|names no host/],
    ['postgres://u:hunter2@host', /names no host or no database/],
    ['postgres://u:hunter2@host/db?shema=x', /there is no parameter "shema"; did you mean "schema"/],
    ['postgres://u:hunter2@host/db?schema=Registry', /"Registry" is no schema name/],
    ['postgres://u:hunter2@host/db?schema=pg_x', /"pg_x" is no schema name/],
    ['postgres://u:hunter2@host/db?sslmode=prefer', /sslmode is "prefer"; expected disable, require or verify-full/],
    [
      'postgres://u:hunter2@host/db?sslmode=verify-full&sslrootcert=/absent.pem',
      /sslrootcert "\/absent.pem" cannot be read/,
    ],
    ['postgres://u:hunter2@host/db?maxReaders=0', /maxReaders/],
    ['postgres://u:hunter2@host/db?passwordFile=/x', /keep one/],
    ['postgres://u:hunter2%@host/db', /write % in a password as %25/],
  ])('the url %s', (url, words) => expectLine(url, 'INVALID_ARGUMENT', words));

  it('a password file is read at each connection', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-database-'));
    try {
      const path = join(dir, 'password');
      writeFileSync(path, 'hunter2\n');
      const url = `${server.url('from_file').replace(`:${server.password}`, '')}&passwordFile=${path}`;
      await expectLine(url, 'FAILED_PRECONDITION', /refused the user/);
      writeFileSync(path, `${server.password}\n`);
      await (await open(url)).close();
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
