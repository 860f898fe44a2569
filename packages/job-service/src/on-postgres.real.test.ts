/** What the record of jobs does on SQLite, it does on PostgreSQL: the same tests, on a real server, a schema for each. */
import { type Postgres, startPostgres } from '@assay/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useDatabases } from './testing/database.ts';

let server: Postgres;
const schemas = new Map<string, string>();

beforeAll(async () => {
  server = await startPostgres();
  useDatabases((dir) => {
    const schema = schemas.get(dir) ?? `jobs_${schemas.size + 1}`;
    schemas.set(dir, schema);
    return server.url(schema);
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

describe('on PostgreSQL', async () => {
  // It registers its tests here as it is loaded.
  await import('./store/jobs.test.ts');

  it('all of them had a schema of their own', () => {
    expect(schemas.size).toBeGreaterThan(10);
  });
});
