import type {
  Alias,
  AuditEntry,
  AuditVerification,
  Endpoint,
  Model,
  Page,
  RoutingSnapshot,
  Version,
} from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MadePackage, makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';

/** These tests are about what happens to versions that were accepted; how they are checked is tested beside it. */
const accepted = async (): Promise<void> => {};

let registry: RegistryUnderTest;
let first: MadePackage;
let second: MadePackage;
let other: MadePackage;

beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: accepted } });
  [first, second, other] = await Promise.all([
    makePackage({ adds: 1 }),
    makePackage({ adds: 2 }),
    makePackage({ feature: 'z' }),
  ]);
});
afterAll(() => registry[Symbol.asyncDispose]());

let names = 0;
async function newModel(): Promise<Model> {
  const { body, status } = await registry.call<Model>('POST', '/v1/models', { name: `model-${++names}` });
  expect(status).toBe(201);
  return body;
}

async function modelWithVersions(): Promise<{ model: Model; one: Version; two: Version; incompatible: Version }> {
  const model = await newModel();
  const one = (await registry.register(model.name, first)).body;
  const two = (await registry.register(model.name, second)).body;
  const incompatible = (await registry.register(model.name, other)).body;
  return { model, one, two, incompatible };
}

async function auditOf(resource: string): Promise<AuditEntry[]> {
  const { body } = await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=${encodeURIComponent(resource)}`);
  return body.items;
}

describe('models', () => {
  it('are found by name and by id, and listed by pages', async () => {
    const model = await newModel();
    expect(model).toMatchObject({ revision: 1, latestVersion: null, aliases: {} });
    expect((await registry.call<Model>('GET', `/v1/models/${model.id}`)).body).toEqual(model);
    await newModel();
    const seen: string[] = [];
    let after = '';
    for (;;) {
      const { body } = await registry.call<Page<Model>>('GET', `/v1/models?limit=1${after}`);
      seen.push(...body.items.map((item) => item.name));
      if (body.next === undefined) break;
      after = `&after=${encodeURIComponent(body.next)}`;
    }
    expect(seen).toEqual([...seen].sort());
    expect(seen).toContain(model.name);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('have a name of their own', async () => {
    const model = await newModel();
    const again = await registry.fails('POST', '/v1/models', { name: model.name });
    expect(again).toMatchObject({ status: 409, body: { error: { code: 'ALREADY_EXISTS' } } });
  });

  it('are renamed by compare-and-set, and keep their id', async () => {
    const model = await newModel();
    const path = `/v1/models/${model.name}`;
    const renamed = await registry.call<Model>('PATCH', path, {
      expectedRevision: 1,
      name: `${model.name}-b`,
      description: 'd',
    });
    expect(renamed.body).toMatchObject({ id: model.id, name: `${model.name}-b`, description: 'd', revision: 2 });
    const stale = await registry.fails('PATCH', `/v1/models/${model.id}`, { expectedRevision: 1, description: 'e' });
    expect(stale).toMatchObject({ status: 409, body: { error: { code: 'STALE_REVISION', currentRevision: 2 } } });
  });

  it('have tags, which are set all at once', async () => {
    const made = await registry.call<Model>('POST', '/v1/models', {
      name: `model-${++names}`,
      tags: { team: 'flights', tier: '1' },
    });
    expect(made.body.tags).toEqual({ team: 'flights', tier: '1' });
    const path = `/v1/models/${made.body.id}`;
    const change = (body: object) => registry.call<Model>('PATCH', path, body);
    const set = await change({ expectedRevision: 1, tags: { team: 'trains', __proto__x: '' } });
    expect(set.body).toMatchObject({ tags: { team: 'trains', __proto__x: '' }, revision: 2 });
    expect((await change({ expectedRevision: 2, description: 'd' })).body.tags).toEqual(set.body.tags);
    expect((await change({ expectedRevision: 3, tags: set.body.tags })).body.revision).toBe(3);
    expect((await change({ expectedRevision: 3, tags: {} })).body).not.toHaveProperty('tags');
    expect((await auditOf(`model/${made.body.id}`)).map(({ details }) => details)).toMatchObject([
      { tags: { team: 'flights', tier: '1' } },
      { from: { tags: { team: 'flights', tier: '1' } }, to: { tags: set.body.tags } },
      { from: { description: '' }, to: { description: 'd' } },
      { from: { tags: set.body.tags }, to: { tags: {} } },
    ]);
  });

  it('keep their default endpoint when they are renamed, and may take its name back', async () => {
    const { model } = await modelWithVersions();
    await registry.call('PUT', `/v1/models/${model.name}/aliases/champion`, { version: 1, expectedRevision: 0 });
    const rename = async (name: string) => {
      const { revision } = (await registry.call<Model>('GET', `/v1/models/${model.id}`)).body;
      return registry.call<Model>('PATCH', `/v1/models/${model.id}`, { expectedRevision: revision, name });
    };
    expect((await rename(`${model.name}-new`)).status).toBe(200);
    const endpoint = await registry.call<Endpoint>('GET', `/v1/endpoints/${model.name}`);
    expect(endpoint.body.follow?.modelId).toBe(model.id);
    expect((await registry.call('POST', '/v1/models', { name: model.name })).status).toBe(409);
    const routed = (await registry.call<RoutingSnapshot>('GET', '/v1/routing')).body.versions;
    expect(routed.find((version) => version.modelId === model.id)?.modelName).toBe(`${model.name}-new`);
    expect((await rename(model.name)).body.name).toBe(model.name);
  });

  it('that do not exist are told with the nearest name', async () => {
    const model = await newModel();
    const missing = await registry.fails('GET', `/v1/models/${model.name}x`);
    expect(missing).toMatchObject({
      status: 404,
      body: { error: { message: expect.stringContaining('did you mean') } },
    });
  });

  it('refuse unknown keys and wrong types with the place', async () => {
    expect((await registry.fails('POST', '/v1/models', { name: 'a', desription: '' })).body.error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: [{ place: 'desription', message: expect.stringContaining('did you mean "description"') }],
    });
    expect((await registry.fails('POST', '/v1/models', { name: 7 })).body.error.details[0]).toMatchObject({
      place: 'name',
    });
  });
});

describe('versions', () => {
  it('are numbered from 1, newest first in the list, and found by number and id', async () => {
    const { model, one, two } = await modelWithVersions();
    expect([one.version, two.version]).toEqual([1, 2]);
    expect(one).toMatchObject({ modelId: model.id, createdBy: 'local', metrics: { auc: 0.75 }, aliases: [] });
    const page = await registry.call<Page<Version>>('GET', `/v1/models/${model.name}/versions?limit=2`);
    expect(page.body.items.map((version) => version.version)).toEqual([3, 2]);
    const rest = await registry.call<Page<Version>>(
      'GET',
      `/v1/models/${model.name}/versions?limit=2&after=${page.body.next}`,
    );
    expect(rest.body.items.map((version) => version.version)).toEqual([1]);
    expect(rest.body.next).toBeUndefined();
    for (const path of [
      `/v1/models/${model.name}/versions/1`,
      `/v1/models/${model.id}/versions/${one.id}`,
      `/v1/versions/${one.id}`,
    ]) {
      expect((await registry.call('GET', path)).body).toEqual(one);
    }
  });

  it('registered at the same time get distinct, consecutive numbers', async () => {
    const model = await newModel();
    await registry.upload(first);
    const answers = await Promise.all(
      Array.from({ length: 12 }, () =>
        registry.call<Version>('POST', `/v1/models/${model.name}/versions`, { files: first.files }),
      ),
    );
    expect(answers.map((answer) => answer.body.version).sort((a, b) => a - b)).toEqual(answers.map((_, i) => i + 1));
  });

  it('with one idempotency key are one version, at the same time too', async () => {
    const model = await newModel();
    const register = () => registry.register(model.name, first, { idempotencyKey: 'k' });
    const answers = await Promise.all([register(), register(), register()]);
    expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect((await register()).status).toBe(200);
    const misused = await registry.register(model.name, second, { idempotencyKey: 'k' });
    expect(misused).toMatchObject({ status: 409, body: { error: { code: 'ALREADY_EXISTS' } } });
  });
});

describe('aliases', () => {
  const alias = (model: Model, name = 'champion') => `/v1/models/${model.name}/aliases/${name}`;

  it('move by compare-and-set, and the loser is told the revision and who moved it', async () => {
    const { model, one, two } = await modelWithVersions();
    const made = await registry.call<Alias>('PUT', alias(model), { version: 1, expectedRevision: 0 });
    expect(made.body).toMatchObject({ version: 1, versionId: one.id, revision: 1, movedBy: 'local' });
    const moved = await registry.call<Alias>('PUT', alias(model), { version: two.id, expectedRevision: 1 });
    expect(moved.body).toMatchObject({ version: 2, revision: 2 });
    const stale = await registry.fails('PUT', alias(model), { version: 1, expectedRevision: 1 });
    expect(stale).toMatchObject({ status: 409, body: { error: { code: 'STALE_REVISION', currentRevision: 2 } } });
    expect(stale.body.error.message).toMatch(/version 2, by local at/);
    expect((await registry.call('GET', alias(model))).body).toEqual(moved.body);
    expect((await registry.call<Model>('GET', `/v1/models/${model.name}`)).body.aliases).toEqual({ champion: 2 });
    expect((await registry.call<Version>('GET', `/v1/versions/${two.id}`)).body.aliases).toEqual(['champion']);
  });

  it('moved by many at once are moved by one', async () => {
    const { model } = await modelWithVersions();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        registry.call('PUT', alias(model, 'a'), { version: (i % 2) + 1, expectedRevision: 0 }),
      ),
    );
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, ...Array(7).fill(409)]);
    expect((await auditOf(`model/${model.id}`)).filter((entry) => entry.action === 'alias.move')).toHaveLength(1);
  });

  it('that were deleted go on counting, so that a writer who saw the old one loses', async () => {
    const { model } = await modelWithVersions();
    await registry.call('PUT', alias(model, 'a'), { version: 1, expectedRevision: 0 });
    expect((await registry.call('DELETE', `${alias(model, 'a')}?expectedRevision=9`)).status).toBe(409);
    expect((await registry.call('DELETE', `${alias(model, 'a')}?expectedRevision=1`)).status).toBe(204);
    expect((await registry.call('GET', alias(model, 'a'))).status).toBe(404);
    expect((await registry.call('DELETE', `${alias(model, 'a')}?expectedRevision=1`)).status).toBe(404);
    expect((await registry.call('PUT', alias(model, 'a'), { version: 2, expectedRevision: 1 })).status).toBe(409);
    const back = await registry.call<Alias>('PUT', alias(model, 'a'), { version: 1, expectedRevision: 0 });
    expect(back.body.revision).toBe(3);
  });

  it.each(['latest', 'v1', '3'])('may not be called %s', async (name) => {
    const { model } = await modelWithVersions();
    const refused = await registry.fails('PUT', alias(model, name), { version: 1, expectedRevision: 0 });
    expect(refused).toMatchObject({ status: 400, body: { error: { details: [{ place: 'alias' }] } } });
  });

  it('point at versions of their own model only', async () => {
    const { model } = await modelWithVersions();
    const stranger = await modelWithVersions();
    for (const version of [stranger.one.id, 99, 'ver_nothing']) {
      const refused = await registry.fails('PUT', alias(model), { version, expectedRevision: 0 });
      expect(refused.status).toBe(404);
    }
  });
});

describe('the audit chain of a registry', () => {
  it('has an entry for every move of an alias and an endpoint, whatever was tried, and verifies', async () => {
    const { model } = await modelWithVersions();
    const path = `/v1/models/${model.name}/aliases/champion`;
    const tries = Array.from({ length: 30 }, (_, i) => ({ version: (i % 4) + 1, expectedRevision: Math.floor(i / 5) }));
    await Promise.all(tries.map((body) => registry.call('PUT', path, body)));
    const alias = (await registry.call<Alias>('GET', path)).body;
    const endpoint = (await registry.call<Endpoint>('GET', `/v1/endpoints/${model.name}`)).body;
    const moves = (await auditOf(`model/${model.id}`)).filter((entry) => entry.action === 'alias.move');
    expect(moves.map((entry) => entry.details?.revision)).toEqual(
      Array.from({ length: alias.revision }, (_, i) => i + 1),
    );
    expect(moves.at(-1)?.details?.to).toBe(alias.versionId);
    const routed = await auditOf(`endpoint/${endpoint.id}`);
    expect(routed.map((entry) => entry.details?.revision)).toEqual(
      Array.from({ length: endpoint.revision }, (_, i) => i + 1),
    );
    expect(endpoint.variants).toEqual([{ versionId: alias.versionId, weight: 10_000 }]);
    const verdict = (await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body;
    expect(verdict).toMatchObject({ valid: true, entries: expect.any(Number) });
    expect(verdict.entries).toBeGreaterThan(moves.length);
  });

  it('is read by pages and filters', async () => {
    await modelWithVersions();
    const page = (await registry.call<Page<AuditEntry>>('GET', '/v1/audit?limit=3')).body;
    expect(page.items.map((entry) => entry.sequence)).toEqual([1, 2, 3]);
    const next = (await registry.call<Page<AuditEntry>>('GET', `/v1/audit?limit=3&after=${page.next}`)).body;
    expect(next.items.map((entry) => entry.sequence)).toEqual([4, 5, 6]);
    const registered = (
      await registry.call<Page<AuditEntry>>('GET', '/v1/audit?action=version.register&principal=local')
    ).body;
    expect(registered.items.length).toBeGreaterThan(0);
    expect(new Set(registered.items.map((entry) => entry.action))).toEqual(new Set(['version.register']));
    expect((await registry.call<Page<AuditEntry>>('GET', '/v1/audit?principal=nobody')).body.items).toEqual([]);
  });

  it('carries the request id of the call that made the entry', async () => {
    const answer = await registry.call<Model>('POST', '/v1/models', { name: `model-${++names}` });
    const [entry] = await auditOf(`model/${answer.body.id}`);
    expect(entry?.requestId).toBe(answer.headers.get('assay-request-id'));
  });

  it('has the commit that a write says it comes from, and refuses what is no commit, on every door', async () => {
    const post = (path: string, body: object, commit: string) =>
      fetch(`${registry.url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'assay-commit': commit },
        body: JSON.stringify(body),
      });
    const commit = '0123456789abcdef0123456789abcdef01234567';
    const made = await post('/v1/models', { name: `model-${++names}` }, commit);
    const { id } = (await made.json()) as Model; // what the route is documented to answer
    expect((await auditOf(`model/${id}`)).map(({ details }) => details?.commit)).toEqual([commit]);
    for (const wrong of ['012345', 'HEAD', commit.toUpperCase(), `${commit}, ${commit}`, '0'.repeat(65), '']) {
      const name = `model-${++names}`;
      const refused = await post('/v1/models', { name }, wrong);
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ error: { details: [{ place: 'header assay-commit' }] } });
      expect((await post('/api/2.0/mlflow/registered-models/create', { name }, wrong)).status).toBe(400);
      expect((await registry.fails('GET', `/v1/models/${name}`)).status).toBe(404);
    }
    expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
  });
});
