/** Two registries on one database: what a client is told does not depend on which of them it asks. */
import type { RoutingSnapshot } from '@assay/contracts';
import { startPostgres } from '@assay/database/testing';
import { expect, it } from 'vitest';
import { makePackage, startRegistry } from './registry-under-test.ts';
import { useDatabases } from './testing/database.ts';

it('a replica tells those who wait for routing of what another replica changed', async () => {
  await using server = await startPostgres();
  useDatabases(() => server.url('replicas'));
  await using first = await startRegistry();
  await using second = await startRegistry();
  const { body: before } = await second.call<RoutingSnapshot>('GET', '/v1/routing');
  const waiting = second.call<RoutingSnapshot>('GET', `/v1/routing?after=${before.revision}&waitMs=30000`);
  await first.call('POST', '/v1/models', { name: 'm' });
  const { body: version } = await first.register('m', await makePackage());
  const startedMs = performance.now();
  await first.call('PUT', '/v1/models/m/aliases/champion', { version: version.version, expectedRevision: 0 });
  const { body: after } = await waiting;
  expect(performance.now() - startedMs).toBeLessThan(10_000);
  expect(after.revision).toBeGreaterThan(before.revision);
  expect(after.endpoints.map(({ name }) => name)).toEqual(['m']);
});
