/** A snapshot of a schema of PostgreSQL: one REPEATABLE READ transaction that only reads, and a cursor a table. */
import { Client } from 'pg';
import { connectionConfig } from './postgres.ts';
import { mapPostgresError } from './postgres-errors.ts';
import { parsePostgresUrl } from './postgres-url.ts';
import { type DatabaseSnapshot, MIGRATIONS_TABLE, type SnapshotRow } from './snapshot.ts';

const ROWS_A_FETCH = 500;

export async function openPostgresSnapshot(url: string): Promise<DatabaseSnapshot> {
  const address = parsePostgresUrl(url);
  const client = new Client({ ...connectionConfig(address), options: `-c search_path=${address.schema}` });
  client.on('error', () => undefined); // a lost connection is reported by the statement that meets it
  const query = async <Row>(text: string, values: unknown[] = []): Promise<Row[]> => {
    try {
      return (await client.query(text, values)).rows as Row[]; // each caller says what its statement selects
    } catch (error) {
      throw mapPostgresError(error, address.where);
    }
  };
  try {
    await client.connect().catch((error: unknown) => {
      throw mapPostgresError(error, address.where);
    });
    await query('begin isolation level repeatable read, read only');
    const found = await query<{ name: string }>(
      `select table_name as name from information_schema.tables
       where table_schema = $1 and table_type = 'BASE TABLE' order by table_name collate "C"`,
      [address.schema],
    );
    const names = found.map(({ name }) => name);
    const applied = names.includes(MIGRATIONS_TABLE)
      ? await query<{ name: string }>(`select name from ${MIGRATIONS_TABLE} order by position`)
      : [];
    return {
      migrations: applied.map(({ name }) => name),
      tables: names.filter((name) => name !== MIGRATIONS_TABLE),
      async *rows(table) {
        await query(`declare snapshot_rows no scroll cursor for select * from "${table}"`);
        for (;;) {
          const rows = await query<SnapshotRow>(`fetch ${ROWS_A_FETCH} from snapshot_rows`);
          yield* rows;
          if (rows.length < ROWS_A_FETCH) break;
        }
        await query('close snapshot_rows');
      },
      async [Symbol.asyncDispose]() {
        await client.end().catch(() => undefined); // it only read
      },
    };
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}
