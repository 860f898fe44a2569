import type { ApiKey, CreatedKey, KeySnapshot } from '@assay/contracts';
import { AssayError } from '@assay/contracts';
import { afterEach, expect, test } from 'vitest';
import { answer, errorBody, type FakePeer, fakePeer, readAll } from './fake-peer.ts';
import { createRegistryClient, type RegistryClient } from './index.ts';

const TOKEN = `assay_key_1_${'s'.repeat(43)}`;
const key: ApiKey = {
  id: 'key_2',
  principalId: 'prn_1',
  principalName: 'alice',
  principalKind: 'person',
  scopes: ['score'],
  description: '',
  revision: 1,
  createdAt: 1,
  createdBy: 'admin',
  revokedAt: null,
  revokedBy: null,
};

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(handle: Parameters<typeof fakePeer>[0]): Promise<{ peer: FakePeer; client: RegistryClient }> {
  const peer = await fakePeer(handle);
  const client = createRegistryClient({
    url: peer.url,
    bearerToken: TOKEN,
    retry: { initialDelayMs: 1, maxDelayMs: 5 },
  });
  cleanups.push(
    () => peer.close(),
    () => client.close(),
  );
  return { peer, client };
}

test('a key is sent as a bearer token with each call', async () => {
  const sent: (string | undefined)[] = [];
  const { client } = await start((request, response) => {
    sent.push(request.headers.authorization);
    answer(response, 200, { items: [key] });
  });
  await client.listKeys({ principal: 'alice' });
  await client.listPrincipals().catch(() => undefined);
  expect(sent).toEqual([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`]);
});

test('a key that was made is given with its text', async () => {
  const created: CreatedKey = { key, secret: `assay_key_2_${'t'.repeat(43)}` };
  const { peer, client } = await start(async (request, response) => {
    expect(JSON.parse(String(await readAll(request)))).toEqual({ principal: 'alice', scopes: ['score'] });
    answer(response, 201, created);
  });
  expect(await client.createKey({ principal: 'alice', scopes: ['score'] })).toEqual(created);
  expect(peer.requests).toEqual(['POST /v1/keys']);
});

test('making a key is not tried again once it was sent: there might be a second one that nobody knows', async () => {
  const { peer, client } = await start((_request, response) => {
    answer(response, 503, errorBody('UNAVAILABLE', 'away'));
  });
  await expect(client.createKey({ principal: 'alice', scopes: ['score'] })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  expect(peer.requests).toHaveLength(1);
});

test('the snapshot of keys is nothing when nothing has changed', async () => {
  const snapshot: KeySnapshot = { revision: 7, keys: [] };
  const { peer, client } = await start((request, response) => {
    if (request.url?.includes('after=7')) response.writeHead(204).end();
    else answer(response, 200, { ...snapshot, newer: true });
  });
  expect(await client.keySnapshot()).toMatchObject(snapshot);
  expect(await client.keySnapshot({ after: 7, waitMs: 10 })).toBeUndefined();
  expect(peer.requests).toEqual(['GET /v1/keys/snapshot', 'GET /v1/keys/snapshot?after=7&waitMs=10']);
});

test('no error says the key', async () => {
  const { client } = await start((_request, response) => answer(response, 401, errorBody('UNAUTHENTICATED', 'no')));
  const error = await client.revokeKey('key_2').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AssayError);
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(TOKEN.slice(-43));
});
