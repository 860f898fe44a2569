import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '@assay/database';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../parts/certificates.ts';
import { type Postgres, startPostgres } from '../parts/postgres.ts';

let dir: string;
let certificates: Certificates;
let server: Postgres;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-postgres-tls-'));
  certificates = await makeCertificates(dir);
  server = await startPostgres({ tls: { certFile: certificates.serverCertFile, keyFile: certificates.serverKeyFile } });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

/** The server's own views. */
interface Views {
  pg_stat_ssl: { pid: number; ssl: number };
  pg_stat_activity: { pid: number; application_name: string };
}

/** Whether each connection of this schema is encrypted. */
async function areEncrypted({ db }: Database<Views>): Promise<number[]> {
  const rows = await db
    .selectFrom('pg_stat_ssl')
    .innerJoin('pg_stat_activity', 'pg_stat_activity.pid', 'pg_stat_ssl.pid')
    .where('application_name', '=', 'assay-tls')
    .select('ssl')
    .execute();
  return rows.map(({ ssl }) => ssl);
}

describe('PostgreSQL by TLS', () => {
  it.each([
    ['verified by the authority', (ca: string) => `&sslmode=verify-full&sslrootcert=${ca}`],
    ['encrypted only', () => '&sslmode=require'],
  ])('is %s', async (_, parameters) => {
    await using database = await openDatabase<Views>(server.url('tls') + parameters(certificates.caFile), {
      migrations: [],
    });
    expect(await areEncrypted(database)).toEqual([1, 1]); // one writes, one reads
  });

  it('is refused where another authority signed its certificate, or where none is known that did', async () => {
    for (const parameters of [`&sslmode=verify-full&sslrootcert=${certificates.otherCaFile}`, '&sslmode=verify-full']) {
      const opened = openDatabase(server.url('tls') + parameters, { migrations: [] });
      await expect(opened).rejects.toThrow(
        /schema tls: its TLS certificate is not trusted \(\w+\); check sslrootcert$/,
      );
    }
  });
});
