import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiKey, type AuditEntry, type KeySnapshot, SCOPES, type Scope } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KeyedRegistry, newKeyText, startKeyedRegistry, writeKeys } from '../keys-under-test.ts';
import { startRegistry } from '../registry-under-test.ts';

let registry: KeyedRegistry;
let admin: string;

beforeAll(async () => {
  registry = await startKeyedRegistry();
  admin = registry.keys.admin ?? '';
});
afterAll(() => registry[Symbol.asyncDispose]());

async function auditOf(keyed: KeyedRegistry, resource: string): Promise<AuditEntry[]> {
  const { body } = await keyed.call(
    keyed.keys.admin,
    'GET',
    `/v1/audit?resource=${encodeURIComponent(resource)}&limit=1000`,
  );
  return body.items;
}

describe('a key', () => {
  it('is shown once, holds at once, and dies at once when it is revoked', async () => {
    const made = await registry.makeKey({ principal: 'bob', scopes: ['read'], description: 'laptop' });
    expect(made.secret).toMatch(/^assay_key_[0-9a-z]{26}_[0-9A-Za-z]{43}$/);
    expect(made.key).toMatchObject({
      principalName: 'bob',
      principalKind: 'person',
      createdBy: 'admin',
      revokedAt: null,
    });
    expect((await registry.call(made.secret, 'GET', '/v1/models')).status).toBe(200);

    const shown = await registry.call(admin, 'GET', `/v1/keys/${made.key.id}`);
    expect(shown.body).toEqual(made.key);
    expect(shown.text).not.toContain(made.secret.slice(-43));

    const revoked = await registry.call(admin, 'POST', `/v1/keys/${made.key.id}/revoke`);
    expect(revoked.body).toMatchObject({ revokedBy: 'admin', revokedAt: expect.any(Number) });
    const refused = await registry.call(made.secret, 'GET', '/v1/models');
    expect(refused).toMatchObject({ status: 401, body: { error: { code: 'UNAUTHENTICATED' } } });
  });

  it('that is revoked twice is revoked once', async () => {
    const { key } = await registry.makeKey({});
    const first = await registry.call(admin, 'POST', `/v1/keys/${key.id}/revoke`);
    const second = await registry.call(admin, 'POST', `/v1/keys/${key.id}/revoke`);
    expect(second.body).toEqual(first.body);
    const actions = (await auditOf(registry, `key/${key.id}`)).map((entry) => entry.action);
    expect(actions).toEqual(['key.create', 'key.revoke']);
  });

  it('may do something else from one call to the next, by compare-and-set', async () => {
    const { key, secret } = await registry.makeKey({ principal: 'frank', scopes: ['read'], endpoints: ['churn'] });
    expect(key.revision).toBe(1);
    const path = `/v1/keys/${key.id}`;
    const patch = (body: object) => registry.call(admin, 'PATCH', path, body);
    const widened = await patch({ expectedRevision: 1, scopes: ['register'], endpoints: [], description: 'CI' });
    expect(widened.body).toMatchObject({
      scopes: ['register'],
      description: 'CI',
      revision: 2,
      principalName: 'frank',
    });
    expect(widened.body).not.toHaveProperty('endpoints');
    expect((await registry.call(secret, 'POST', '/v1/models', { name: 'of-frank' })).status).toBe(201);
    expect((await registry.call(secret, 'GET', '/v1/models')).status).toBe(403);
    expect((await patch({ expectedRevision: 2, scopes: ['register'] })).body.revision).toBe(2);
    expect(await patch({ expectedRevision: 1, scopes: ['admin'] })).toMatchObject({
      status: 409,
      body: { error: { code: 'STALE_REVISION', message: expect.stringContaining('by admin'), currentRevision: 2 } },
    });
    expect((await patch({ expectedRevision: 2, scopes: ['fly'] })).status).toBe(400);
    expect((await registry.call(admin, 'POST', `${path}/revoke`)).body.revision).toBe(3);
    expect((await patch({ expectedRevision: 3, scopes: ['read'] })).body.error.code).toBe('FAILED_PRECONDITION');
    expect(
      (await auditOf(registry, `key/${key.id}`)).map(({ action, details }) => ({ action, details })),
    ).toMatchObject([
      { action: 'key.create' },
      { action: 'key.update', details: { from: { endpoints: ['churn'] }, to: { endpoints: null, description: 'CI' } } },
      { action: 'key.revoke' },
    ]);
  });

  it('is one of several of its principal, each with scopes of its own', async () => {
    const one = await registry.makeKey({ principal: 'carol', scopes: ['read'], kind: 'person' });
    const two = await registry.makeKey({ principal: 'carol', scopes: ['score', 'promote'] });
    expect(two.key.principalId).toBe(one.key.principalId);
    const { body } = await registry.call(admin, 'GET', '/v1/keys?principal=carol');
    expect(body.items.map((key: ApiKey) => key.scopes)).toEqual([['read'], ['score', 'promote']]);
    const other = await registry.call(admin, 'POST', '/v1/keys', {
      principal: 'carol',
      kind: 'service',
      scopes: ['read'],
    });
    expect(other).toMatchObject({
      status: 412,
      body: { error: { message: 'kind: carol is a person already, not a service' } },
    });
  });

  it('acts under the name of its principal, in what it writes and in the audit chain', async () => {
    const made = await registry.makeKey({ principal: 'dora', scopes: ['register', 'promote', 'read'] });
    const model = await registry.call(made.secret, 'POST', '/v1/models', { name: 'of-dora' });
    expect(model.status).toBe(201);
    const [entry] = await auditOf(registry, `model/${model.body.id}`);
    expect(entry).toMatchObject({ principal: 'dora', action: 'model.create', details: { byKey: made.key.id } });
    expect((await registry.call(admin, 'GET', '/v1/audit/verify')).body.valid).toBe(true);
  });

  it.each([
    [{ principal: 'local' }, /principal: "local" is reserved/],
    [{ principal: 'bootstrap' }, /reserved/],
    [{ principal: 'no spaces' }, /principal/],
    [{ scopes: [] }, /scopes/],
    [{ scopes: ['fly'] }, /scopes\[0\]/],
    [{ endpoints: [] }, /endpoints/],
    [{ endpoints: ['a b'] }, /endpoints\[0\]/],
    [{ secret: 'mine' }, /secret/],
    [{ kind: 'robot' }, /kind/],
  ])('is not made from %j', async (wrong, message) => {
    const body = { principal: 'erin', scopes: ['read'], ...wrong };
    const refused = await registry.call(admin, 'POST', '/v1/keys', body);
    expect(refused.status).toBe(400);
    expect(refused.body.error.message).toMatch(message);
  });

  it('is listed by pages, and missed by its id', async () => {
    await registry.makeKey({});
    await registry.makeKey({});
    const all = (await registry.call(admin, 'GET', '/v1/keys')).body.items.map((key: ApiKey) => key.id);
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const { body } = await registry.call(admin, 'GET', `/v1/keys?limit=2${after}`);
      seen.push(...body.items.map((key: ApiKey) => key.id));
      if (body.next === undefined) break;
      after = `&after=${body.next}`;
    }
    expect(seen).toEqual(all);
    expect((await registry.call(admin, 'GET', '/v1/keys/key_none')).status).toBe(404);
    expect((await registry.call(admin, 'POST', '/v1/keys/key_none/revoke')).status).toBe(404);
    const { body } = await registry.call(admin, 'GET', '/v1/principals');
    expect(body.items.map(({ name }: { name: string }) => name)).toContain('admin');
  });
});

describe('a principal', () => {
  it('is made without a key, once', async () => {
    const made = await registry.call(admin, 'POST', '/v1/principals', { name: 'nightly', kind: 'service' });
    expect(made).toMatchObject({ status: 201, body: { name: 'nightly', kind: 'service', createdBy: 'admin' } });
    expect((await registry.call(admin, 'GET', '/v1/principals/nightly')).body).toEqual(made.body);
    expect((await registry.call(admin, 'POST', '/v1/principals', { name: 'nightly' })).status).toBe(409);
    expect((await registry.call(admin, 'POST', '/v1/principals', { name: 'local' })).status).toBe(400);
    expect((await registry.call(admin, 'GET', '/v1/principals/none')).status).toBe(404);
    expect((await registry.makeKey({ principal: 'nightly' })).key.principalId).toBe(made.body.id);
  });
});

describe('the last administrator', () => {
  it('keeps the scope, and so does what comes from the bootstrap folder', async () => {
    await using keyed = await startKeyedRegistry();
    const [training] = (await keyed.call(keyed.keys.admin, 'GET', '/v1/keys?principal=training')).body.items;
    const { key, secret } = await keyed.makeKey({ principal: 'root', scopes: ['admin'] });
    const patch = async (id: string, body: object) =>
      (await keyed.call(secret, 'PATCH', `/v1/keys/${id}`, { expectedRevision: 1, ...body })).body.error.message;
    expect(await patch(training.id, { scopes: ['admin'] })).toContain('the file training of the bootstrap folder');
    const [first] = (await keyed.call(secret, 'GET', '/v1/keys?principal=admin')).body.items;
    await keyed.call(secret, 'POST', `/v1/keys/${first.id}/revoke`);
    expect(await patch(key.id, { scopes: ['read'] })).toContain('Make one first');
  });

  it('cannot be revoked before there is another', async () => {
    await using keyed = await startKeyedRegistry();
    const [first] = (await keyed.call(keyed.keys.admin, 'GET', '/v1/keys?principal=admin')).body.items;
    const refused = await keyed.call(keyed.keys.admin, 'POST', `/v1/keys/${first.id}/revoke`);
    expect(refused).toMatchObject({
      status: 412,
      body: { error: { message: expect.stringContaining('Make one first') } },
    });
    const second = await keyed.makeKey({ principal: 'root', scopes: ['admin'] });
    expect((await keyed.call(second.secret, 'POST', `/v1/keys/${first.id}/revoke`)).status).toBe(200);
    expect((await keyed.call(keyed.keys.admin, 'GET', '/v1/keys')).status).toBe(401);
  });
});

describe('the scope', () => {
  const needs: [string, string, Scope[]][] = [
    ['GET', '/v1/models', ['read']],
    ['POST', '/v1/models', ['register']],
    ['PATCH', '/v1/models/m', ['register']],
    ['GET', '/v1/models/m', ['read']],
    ['DELETE', '/v1/models/m?expectedRevision=1', ['register']],
    ['POST', '/v1/models/m/restore', ['register']],
    ['GET', '/v1/models/m/versions', ['read']],
    ['POST', '/v1/models/m/versions', ['register']],
    ['GET', '/v1/models/m/versions/1', ['read']],
    ['GET', '/v1/models/m/versions/1/lineage', ['read']],
    ['DELETE', '/v1/models/m/versions/1', ['register']],
    ['POST', '/v1/models/m/versions/1/restore', ['register']],
    ['GET', '/v1/versions/v', ['read']],
    ['GET', '/v1/versions/v/files/f', ['read']],
    ['HEAD', `/v1/blobs/${'0'.repeat(64)}`, ['read', 'register']],
    ['PUT', `/v1/blobs/${'0'.repeat(64)}`, ['register']],
    ['GET', '/v1/models/m/gates', ['read']],
    ['PUT', '/v1/models/m/gates', []],
    ['GET', '/v1/models/m/versions/1/gates', ['read']],
    ['GET', '/v1/models/m/versions/1/approvals', ['read']],
    ['POST', '/v1/models/m/versions/1/approvals', ['promote']],
    ['DELETE', '/v1/models/m/versions/1/approvals', ['promote']],
    ['GET', '/v1/models/m/aliases', ['read']],
    ['GET', '/v1/models/m/aliases/a', ['read']],
    ['PUT', '/v1/models/m/aliases/a', ['promote']],
    ['DELETE', '/v1/models/m/aliases/a?expectedRevision=1', ['promote']],
    ['GET', '/v1/datasets', ['read']],
    ['GET', '/v1/datasets/d', ['read']],
    ['GET', '/v1/datasets/d/versions', ['read']],
    ['POST', '/v1/datasets/d/versions', ['register']],
    ['GET', '/v1/datasets/d/versions/1', ['read']],
    ['GET', '/v1/datasets/d/versions/1/lineage', ['read']],
    ['GET', '/v1/datasets/d/versions/1/changes', ['read']],
    ['GET', '/v1/dataset-versions/d', ['read']],
    ['GET', '/v1/datasets/d/versions/1/files/f', ['read']],
    ['DELETE', '/v1/datasets/d', ['register']],
    ['POST', '/v1/datasets/d/restore', ['register']],
    ['DELETE', '/v1/datasets/d/versions/1', ['register']],
    ['POST', '/v1/datasets/d/versions/1/restore', ['register']],
    ['GET', '/v1/endpoints', ['read']],
    ['GET', '/v1/endpoints/e', ['read']],
    ['GET', '/v1/endpoints/e/shadows', ['read']],
    ['POST', '/v1/endpoints/e/shadow-reports', ['read']], // and the inference service alone
    ['PUT', '/v1/endpoints/e', ['promote']],
    ['DELETE', '/v1/endpoints/e?expectedRevision=1', ['promote']],
    ['GET', '/v1/pipelines', ['read']],
    ['GET', '/v1/pipelines/p', ['read']],
    ['PUT', '/v1/pipelines/p', ['promote']],
    ['DELETE', '/v1/pipelines/p?expectedRevision=1', ['promote']],
    ['GET', '/v1/training-specs', ['read']],
    ['GET', '/v1/training-specs/s', ['read']],
    ['PUT', '/v1/training-specs/s', ['train']],
    ['DELETE', '/v1/training-specs/s?expectedRevision=1', ['train']],
    ['GET', '/v1/routing', ['read']],
    ['GET', '/v1/audit', ['read']],
    ['GET', '/v1/audit/verify', ['read']],
    ['GET', '/v1/audit/export', ['read']],
    ['GET', '/v1/audit/checkpoints', ['read']],
    ['GET', '/metrics', ['read']],
    ['GET', '/v1/keys', []],
    ['POST', '/v1/keys', []],
    ['GET', '/v1/keys/k', []],
    ['PATCH', '/v1/keys/k', []],
    ['POST', '/v1/keys/k/revoke', []],
    ['GET', '/v1/principals', []],
    ['POST', '/v1/principals', []],
    ['GET', '/v1/principals/p', []],
    ['GET', '/v1/webhooks', []],
    ['POST', '/v1/webhooks', []],
    ['GET', '/v1/webhooks/w', []],
    ['PATCH', '/v1/webhooks/w', []],
    ['DELETE', '/v1/webhooks/w?expectedRevision=1', []],
    ['POST', '/v1/webhooks/w/secret', []],
    ['POST', '/v1/webhooks/w/test', []],
    ['GET', '/v1/webhooks/w/deliveries', []],
    ['POST', '/v1/webhooks/w/deliveries/d/replay', []],
    ['POST', '/v1/collect', []],
  ];

  it('decides over every route of the registry, and no route is forgotten here', async () => {
    const { body: document } = await registry.call(undefined, 'GET', '/openapi.json');
    const declared = Object.entries<Record<string, unknown>>(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const isPublic = (route: string) => /\/(livez|readyz|snapshot)$/.test(route) || route.startsWith('HEAD ');
    const headBlobs = needs.filter(([method]) => method === 'HEAD').length;
    expect(needs.length - headBlobs).toBe(declared.filter((route) => !isPublic(route)).length);

    const keys = new Map<Scope, string>();
    for (const scope of SCOPES)
      keys.set(scope, (await registry.makeKey({ principal: `only-${scope}`, scopes: [scope] })).secret);
    for (const [method, path, enough] of needs) {
      expect([method, path, (await registry.call(undefined, method, path)).status]).toEqual([method, path, 401]);
      for (const scope of SCOPES) {
        const { status } = await registry.call(keys.get(scope), method, path);
        const isLetIn = scope === 'admin' || enough.includes(scope);
        expect([method, path, scope, status !== 403 && status !== 401]).toEqual([method, path, scope, isLetIn]);
      }
    }
  });
});

describe('the snapshot of keys', () => {
  it('has the digests of the keys that hold, for services and administrators alone', async () => {
    const made = await registry.makeKey({ principal: 'app', scopes: ['score'], endpoints: ['churn'] });
    const answer = await registry.call(registry.keys.inference, 'GET', '/v1/keys/snapshot');
    const snapshot: KeySnapshot = answer.body;
    expect(snapshot.keys.find(({ id }) => id === made.key.id)).toMatchObject({
      scopes: ['score'],
      endpoints: ['churn'],
    });
    expect(answer.text).not.toContain(made.secret.slice(-43));
    const person = await registry.makeKey({ principal: 'frank', scopes: ['read'] });
    expect((await registry.call(person.secret, 'GET', '/v1/keys/snapshot')).status).toBe(403);
    await registry.call(admin, 'POST', `/v1/keys/${made.key.id}/revoke`);
    const after: KeySnapshot = (await registry.call(admin, 'GET', '/v1/keys/snapshot')).body;
    expect(after.revision).toBeGreaterThan(snapshot.revision);
    expect(after.keys.some(({ id }) => id === made.key.id)).toBe(false);
  });

  it('comes as soon as a key changes, and without a body when none does', async () => {
    const { revision } = (await registry.call(admin, 'GET', '/v1/keys/snapshot')).body;
    const path = `/v1/keys/snapshot?after=${revision}&waitMs=`;
    expect((await registry.call(admin, 'GET', `${path}1`)).status).toBe(204);
    const waiting = registry.call(registry.keys.inference, 'GET', `${path}60000`);
    const made = await registry.makeKey({});
    const next: KeySnapshot = (await waiting).body;
    expect(next.revision).toBeGreaterThan(revision);
    expect(next.keys.some(({ id }) => id === made.key.id)).toBe(true);
    expect((await registry.call(admin, 'GET', `${path}999999999`)).status).toBe(400);
  });
});

describe('bootstrap keys', () => {
  it('are made once, whatever the number of starts', async () => {
    await using keyed = await startKeyedRegistry();
    const before = (await keyed.call(keyed.keys.admin, 'GET', '/v1/keys')).body;
    await keyed.restart();
    expect((await keyed.call(keyed.keys.admin, 'GET', '/v1/keys')).body).toEqual(before);
    expect(before.items.map((key: ApiKey) => [key.principalName, key.scopes])).toEqual([
      ['admin', ['admin']],
      ['inference', ['read']],
      ['training', ['read', 'register', 'promote']],
    ]);
  });

  it('change with their files while the registry runs, and go with them', async () => {
    await using keyed = await startKeyedRegistry();
    const old = keyed.keys.inference;
    const next = newKeyText();
    await writeFile(join(keyed.keysDir, 'inference'), next);
    await rm(join(keyed.keysDir, 'training'));
    const status = async (key: string | undefined) => (await keyed.call(key, 'GET', '/v1/models')).status;
    await expect.poll(() => status(next), { timeout: 15_000 }).toBe(200);
    expect(await status(old)).toBe(401);
    expect(await status(keyed.keys.training)).toBe(401);
  });

  it('with the same id and another secret are the same key with another secret', async () => {
    await using keyed = await startKeyedRegistry();
    const text = keyed.keys.inference ?? '';
    const rotated = text.slice(0, -43) + newKeyText().slice(-43);
    await writeFile(join(keyed.keysDir, 'inference'), rotated);
    await keyed.restart();
    expect((await keyed.call(rotated, 'GET', '/v1/models')).status).toBe(200);
    expect((await keyed.call(text, 'GET', '/v1/models')).status).toBe(401);
    const id = /^assay_(.+)_/.exec(text)?.[1];
    expect((await auditOf(keyed, `key/${id}`)).map(({ action }) => action)).toEqual(['key.create', 'key.rotate']);
  });

  it('that somebody revoked stay revoked', async () => {
    await using keyed = await startKeyedRegistry();
    const [key] = (await keyed.call(keyed.keys.admin, 'GET', '/v1/keys?principal=inference')).body.items;
    await keyed.call(keyed.keys.admin, 'POST', `/v1/keys/${key.id}/revoke`);
    await keyed.restart();
    expect((await keyed.call(keyed.keys.inference, 'GET', '/v1/models')).status).toBe(401);
  });

  it.each([
    ['inferense', newKeyText(), /"inferense" is not one whose key.*did you mean "inference"/],
    ['batch', 'changeme', /batch does not hold the text of an API key/],
    ['batch', '', /batch does not hold the text of an API key/],
  ])('refuse a start with the file %s that says %j, and do not repeat it', async (name, text, message) => {
    await using keyed = await startKeyedRegistry();
    await keyed.stop();
    await writeFile(join(keyed.keysDir, name), text);
    const error = await keyed.restart().then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', message: expect.stringMatching(message) });
    if (text !== '') expect(error?.message).not.toContain(text);
  });

  it('without an administrator refuse a start', async () => {
    await using keyed = await startKeyedRegistry();
    await keyed.stop();
    await rm(join(keyed.keysDir, 'admin'));
    await expect(keyed.restart()).rejects.toThrow(/no key has the scope admin/);
  });
});

describe('a registry', () => {
  it('with keys listens where others can reach it', async () => {
    await using keyed = await startKeyedRegistry({ host: '0.0.0.0' });
    expect((await keyed.call(undefined, 'GET', '/livez')).status).toBe(200);
    expect((await keyed.call(undefined, 'GET', '/v1/models')).status).toBe(401);
    expect((await keyed.call(keyed.keys.admin, 'GET', '/v1/models')).status).toBe(200);
  });

  it('without keys refuses to, and says what to set', async () => {
    await expect(startRegistry({ flags: { host: '0.0.0.0' } })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('set ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR to a folder of keys'),
    });
  });

  it('without keys makes none: whoever calls it would be shut out in the middle of its life', async () => {
    await using open = await startRegistry();
    const refused = await open.fails('POST', '/v1/keys', { principal: 'a', scopes: ['admin'] });
    expect(refused).toMatchObject({
      status: 412,
      body: { error: { message: expect.stringContaining('assay up --keys') } },
    });
  });

  it('that once had keys needs them still when the folder is no longer named', async () => {
    await using keyed = await startKeyedRegistry();
    await keyed.stop();
    const again = await startRegistry({ dir: keyed.dir });
    try {
      expect((await again.call('GET', '/v1/models')).status).toBe(401);
    } finally {
      await again.stop();
    }
  });

  it('learns within seconds of a key that another process revoked', async () => {
    await using keyed = await startKeyedRegistry();
    const made = await keyed.makeKey({});
    const { openRegistryDatabase } = await import('../service.ts');
    const { databaseUrlOf } = await import('../testing/database.ts');
    const { revokeKey } = await import('../store/keys.ts');
    await using database = await openRegistryDatabase(databaseUrlOf(keyed.dir));
    const actor = { principal: 'other', keyId: null, requestId: 'r', traceparent: '00-1' };
    await revokeKey({ database, onRerouted() {}, onRekeyed() {} }, actor, made.key.id);
    const status = async () => (await keyed.call(made.secret, 'GET', '/v1/models')).status;
    await expect.poll(status, { timeout: 5000 }).toBe(401);
  });
});

it('keys that the test folder writes are distinct', async () => {
  await using keyed = await startKeyedRegistry();
  const keys = await writeKeys(keyed.keysDir, ['admin', 'batch']);
  expect(keys.admin).not.toBe(keys.batch);
});
