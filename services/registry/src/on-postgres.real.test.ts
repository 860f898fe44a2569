/** What the registry does on SQLite, it does on PostgreSQL: the same tests, on a real server, a schema for each registry. */
import type { ErrorBody, Model, Page } from '@assay/contracts';
import { type Postgres, startPostgres } from '@assay/database/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRegistry } from './registry-under-test.ts';
import { openRegistryDatabase } from './service.ts';
import { useDatabases } from './testing/database.ts';

let server: Postgres;
const schemas = new Map<string, string>();

beforeAll(async () => {
  server = await startPostgres();
  useDatabases((dir) => {
    const schema = schemas.get(dir) ?? `registry_${schemas.size + 1}`;
    schemas.set(dir, schema);
    return server.url(schema);
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

describe('on PostgreSQL', async () => {
  // Each file registers its tests here as it is loaded.
  await import('./store/audit.test.ts');
  await import('./http/governance.real.test.ts');
  await import('./http/endpoints.real.test.ts');
  await import('./http/audit-replay.real.test.ts');
  await import('./http/keys.real.test.ts');
  await import('./http/bad-input.real.test.ts');
  await import('./registration/register-version.real.test.ts');
  await import('./service.real.test.ts');

  it('answers 503 with one clear line while the server is away, and goes on when it is back', async () => {
    await using registry = await startRegistry();
    const create = (name: string) => registry.call<ErrorBody>('POST', '/v1/models', { name });
    expect((await create('before')).status).toBe(201);
    await server.stop('kill');
    try {
      for (const answer of [await create('lost'), await registry.fails('GET', '/v1/models')]) {
        expect(answer.status).toBe(503);
        expect(answer.body.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
        expect(answer.body.error.message).not.toContain(server.password);
      }
    } finally {
      await server.start();
    }
    await expect.poll(async () => (await create('after')).status, { timeout: 20_000 }).toBe(201);
    const { body } = await registry.call<Page<Model>>('GET', '/v1/models');
    expect(body.items.map(({ name }) => name)).toEqual(['after', 'before']);
  });

  it('the audit entries of all these tests are there', async () => {
    let registriesWithEntries = 0;
    for (const schema of schemas.values()) {
      await using database = await openRegistryDatabase(server.url(schema));
      registriesWithEntries += (await database.db.selectFrom('audit').select('id').limit(1).execute()).length;
    }
    expect(registriesWithEntries).toBeGreaterThan(5);
  });
});
