import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3 } from '@assay/blobs/testing';
import { startAzure } from '@assay/blobs/testing/azure';
import type { Collection } from '@assay/contracts';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { sha256Of, startRegistry } from '../registry-under-test.ts';

interface Store extends AsyncDisposable {
  readonly url: string;
}

async function onS3(): Promise<Store> {
  const server = await startS3(await mkdtemp(join(tmpdir(), 'assay-s3-')), 'models');
  for (const [name, value] of Object.entries(server.credentials)) vi.stubEnv(name, value);
  return Object.assign(server, { url: `s3://models/assay?endpoint=${server.endpoint}` });
}

async function onAzure(): Promise<Store> {
  const server = await startAzure('models');
  vi.stubEnv('AZURE_STORAGE_CONNECTION_STRING', server.connectionString);
  return Object.assign(server, { url: 'az://models/assay' });
}
afterEach(() => vi.unstubAllEnvs());

describe.each([
  ['S3', onS3],
  ['Azure', onAzure],
])('a collection on %s', (_, startStore) => {
  it('removes what nothing names, and takes the same content again', async () => {
    await using store = await startStore();
    await using registry = await startRegistry({
      flags: { blobsUrl: store.url, deletedRetentionMs: 1, unusedBlobGraceMs: 1 },
    });
    const [named, unused] = [Buffer.from('a\n1\n'), Buffer.from('never registered')];
    for (const bytes of [named, unused]) expect((await registry.put(bytes)).status).toBe(201);
    const isThere = async (bytes: Uint8Array): Promise<boolean> =>
      (await fetch(`${registry.url}/v1/blobs/${sha256Of(bytes)}`, { method: 'HEAD' })).status === 200;
    const register = () =>
      registry.call('POST', '/v1/datasets/d/versions', {
        ...{ format: 'csv', rows: 1, schema: [{ name: 'a', type: 'BIGINT', nullable: false }] },
        files: [{ name: 'a.csv', sha256: sha256Of(named), sizeBytes: named.length }],
      });
    const collect = async () => (await registry.call<Collection>('POST', '/v1/collect', { delete: true })).body.blobs;
    expect((await register()).status).toBe(201);
    expect(await collect()).toEqual({ count: 1, sizeBytes: unused.length });
    expect([await isThere(named), await isThere(unused)]).toEqual([true, false]);

    expect((await registry.call('DELETE', '/v1/datasets/d')).status).toBe(204);
    expect(await collect()).toEqual({ count: 1, sizeBytes: named.length });
    expect(await isThere(named)).toBe(false);
    expect((await registry.put(named)).status).toBe(201);
    expect((await register()).status).toBe(201);
  });
});
