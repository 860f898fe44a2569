/**
 * What the registry does on SQLite, it does on PostgreSQL: the same tests, on a real server, a schema for each registry.
 * Those of MLflow's API, of backups and of collections are run by a file beside them, at the same time.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditVerification, DatasetVersion, ErrorBody, Model, Page } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { sha256Of, startRegistry } from './registry-under-test.ts';
import { openRegistryDatabase } from './service.ts';
import { useDatabases } from './testing/database.ts';
import { onPostgres } from './testing/postgres.ts';
import { startReceiver } from './webhooks/receiver-under-test.ts';
import { makeBoxKey } from './webhooks/secret-box.ts';

const postgres = onPostgres();

describe('on PostgreSQL', async () => {
  // Each file registers its tests here as it is loaded.
  await import('./store/audit.test.ts');
  await import('./store/hot-reads.real.test.ts');
  await import('./store/register-at-once.real.test.ts');
  await import('./checkpoints/checkpoints.real.test.ts');
  await import('./http/governance.real.test.ts');
  await import('./http/datasets.real.test.ts');
  await import('./http/endpoints.real.test.ts');
  await import('./http/named-documents.real.test.ts');
  await import('./http/deletions.real.test.ts');
  await import('./http/gates.real.test.ts');
  await import('./http/ways-around-gates.real.test.ts');
  await import('./http/lineage.real.test.ts');
  await import('./http/webhooks.real.test.ts');
  await import('./http/audit-replay.real.test.ts');
  await import('./http/keys.real.test.ts');
  await import('./http/bad-input.real.test.ts');
  await import('./registration/register-version.real.test.ts');
  await import('./service.real.test.ts');
  await import('./told-facts.real.test.ts');

  it('answers 503 with one clear line while the server is away, and goes on when it is back', async () => {
    await using registry = await startRegistry();
    const create = (name: string) => registry.call<ErrorBody>('POST', '/v1/models', { name });
    expect((await create('before')).status).toBe(201);
    const { server } = postgres();
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

  it('gives consecutive numbers to a dataset that two replicas register at once, and one chain of audit entries', async () => {
    const { server, useOwnSchemas } = postgres();
    useDatabases(() => server.url('two_replicas'));
    await using first = await startRegistry();
    await using second = await startRegistry();
    useOwnSchemas();
    const bytes = Buffer.from('a\n1\n');
    const sha256 = sha256Of(bytes);
    for (const registry of [first, second]) await registry.put(bytes);
    const made = await Promise.all(
      Array.from({ length: 80 }, async (_, i) => {
        const files = [{ name: `${i}.csv`, sha256, sizeBytes: bytes.length }];
        const schema = [{ name: 'a', type: 'BIGINT', nullable: false }];
        const body = { format: 'csv', files, rows: 1, schema, changes: `${i}` };
        return (i % 2 === 0 ? first : second).call<DatasetVersion>('POST', '/v1/datasets/d/versions', body);
      }),
    );
    expect(made.map(({ body }) => body.version).sort((a, b) => a - b)).toEqual(made.map((_, i) => i + 1));
    const verdict = await second.call<AuditVerification>('GET', '/v1/audit/verify');
    expect(verdict.body).toMatchObject({ valid: true, entries: 80 });
  });

  it('delivers the events of two replicas once, in the order of each model', async () => {
    const { server, useOwnSchemas } = postgres();
    useDatabases(() => server.url('two_deliverers'));
    await using receiver = await startReceiver();
    const keyDir = await mkdtemp(join(tmpdir(), 'assay-webhook-key-'));
    const webhookKeyFile = join(keyDir, 'key');
    await makeBoxKey(webhookKeyFile);
    const flags = { webhookKeyFile, webhookAllowedNetworks: ['127.0.0.0/8'] };
    await using first = await startRegistry({ flags });
    await using second = await startRegistry({ flags });
    useOwnSchemas();
    await first.call('POST', '/v1/webhooks', { url: receiver.url });
    await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async (name) => {
        await first.call('POST', '/v1/models', { name });
        for (let revision = 1; revision <= 10; revision += 1) {
          const body = { expectedRevision: revision, description: `${revision}` };
          const answer = await (revision % 2 === 0 ? first : second).call('PATCH', `/v1/models/${name}`, body);
          expect(answer.status).toBe(200);
        }
      }),
    );
    await expect.poll(() => receiver.received.length, { timeout: 20_000 }).toBe(55);
    const bySubject = Map.groupBy(receiver.received, ({ event }) => event.subject);
    expect(bySubject.size).toBe(5);
    for (const received of bySubject.values())
      expect(received.map(({ event }) => event.sequence)).toEqual(received.map((_, i) => i + 1));
    await rm(keyDir, { recursive: true });
  });

  it('the audit entries of all these tests are there', async () => {
    const { server, schemas } = postgres();
    let registriesWithEntries = 0;
    for (const schema of schemas) {
      await using database = await openRegistryDatabase(server.url(schema));
      registriesWithEntries += (await database.db.selectFrom('audit').select('id').limit(1).execute()).length;
    }
    expect(registriesWithEntries).toBeGreaterThan(5);
  });
});
