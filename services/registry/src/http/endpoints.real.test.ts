import type {
  Alias,
  AuditEntry,
  Endpoint,
  Model,
  Page,
  RoutingSnapshot,
  ShadowComparisons,
  Version,
} from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type MadePackage,
  makePackage,
  type RegistryUnderTest,
  signatureOf,
  startRegistry,
} from '../registry-under-test.ts';

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

const routing = async (): Promise<RoutingSnapshot> => (await registry.call<RoutingSnapshot>('GET', '/v1/routing')).body;

async function auditOf(resource: string): Promise<AuditEntry[]> {
  const { body } = await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=${encodeURIComponent(resource)}`);
  return body.items;
}

describe('endpoints', () => {
  const champion = (model: Model) => `/v1/models/${model.name}/aliases/champion`;
  const endpoint = (name: string) => `/v1/endpoints/${name}`;

  it("a model's first champion makes its default endpoint, which follows it", async () => {
    const { model, one, two } = await modelWithVersions();
    expect((await registry.call('GET', endpoint(model.name))).status).toBe(404);
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const made = (await registry.call<Endpoint>('GET', endpoint(model.name))).body;
    expect(made).toMatchObject({
      name: model.name,
      revision: 1,
      contract: one.signature,
      variants: [{ versionId: one.id, weight: 10_000 }],
      follow: { modelId: model.id, alias: 'champion', strategy: 'immediate' },
    });
    await registry.call('PUT', champion(model), { version: 2, expectedRevision: 1 });
    const moved = (await registry.call<Endpoint>('GET', endpoint(model.name))).body;
    expect(moved).toMatchObject({ id: made.id, salt: made.salt, revision: 2, variants: [{ versionId: two.id }] });
    const actions = (await auditOf(`endpoint/${made.id}`)).map((entry) => entry.action);
    expect(actions).toEqual(['endpoint.create', 'endpoint.move']);
  });

  it('an alias does not move to a version that breaks the contract of an endpoint that follows it', async () => {
    const { model, one, incompatible } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const before = await routing();
    const refused = await registry.fails('PUT', champion(model), { version: incompatible.id, expectedRevision: 1 });
    expect(refused).toMatchObject({ status: 412, body: { error: { code: 'FAILED_PRECONDITION' } } });
    expect(refused.body.error.details[0]).toMatchObject({
      place: `endpoint ${model.name}`,
      message: expect.stringContaining('"x"'),
    });
    expect((await registry.call<Alias>('GET', champion(model))).body).toMatchObject({ versionId: one.id, revision: 1 });
    expect(await routing()).toEqual(before);
  });

  it('are made with variants, changed and deleted by compare-and-set', async () => {
    const { one, two } = await modelWithVersions();
    const path = endpoint(`split-${names}`);
    const variants = [
      { versionId: one.id, weight: 9_000 },
      { versionId: two.id, weight: 1_000 },
    ];
    const made = await registry.call<Endpoint>('PUT', path, { expectedRevision: 0, variants, defaultTimeoutMs: 50 });
    expect(made.body).toMatchObject({ revision: 1, variants, defaultTimeoutMs: 50, contract: one.signature });
    expect(made.body.follow).toBeUndefined();
    expect((await registry.call('PUT', path, { expectedRevision: 0, variants })).status).toBe(409);
    const slower = await registry.call<Endpoint>('PUT', path, { expectedRevision: 1, defaultTimeoutMs: 60 });
    expect(slower.body).toMatchObject({ revision: 2, variants, defaultTimeoutMs: 60 });
    expect((await registry.call('DELETE', `${path}?expectedRevision=1`)).status).toBe(409);
    expect((await registry.call('DELETE', `${path}?expectedRevision=2`)).status).toBe(204);
    const again = await registry.call<Endpoint>('PUT', path, { expectedRevision: 0, variants });
    expect(again.body.revision).toBe(4);
    expect(again.body.id).not.toBe(made.body.id);
    const actions = [...(await auditOf(`endpoint/${made.body.id}`)), ...(await auditOf(`endpoint/${again.body.id}`))];
    expect(actions.map((entry) => entry.action)).toEqual([
      'endpoint.create',
      'endpoint.update',
      'endpoint.delete',
      'endpoint.create',
    ]);
  });

  it('limit what they take, all at once, whichever way they move, until the limits are removed', async () => {
    const { model, one } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const path = endpoint(model.name);
    const limits = { requestsPerSecond: 100, concurrency: 8, timeoutMs: 250 };
    const limited = (await registry.call<Endpoint>('PUT', path, { expectedRevision: 1, limits })).body;
    expect(limited).toMatchObject({ revision: 2, limits, variants: [{ versionId: one.id }] });
    const routed = async () => (await routing()).endpoints.find(({ name }) => name === model.name);
    expect(await routed()).toMatchObject({ revision: 2, limits });
    await registry.call('PUT', champion(model), { version: 2, expectedRevision: 1 });
    expect(await routed()).toMatchObject({ revision: 3, limits });
    const other = { rowsPerRequest: 10 };
    expect((await registry.call<Endpoint>('PUT', path, { expectedRevision: 3, limits: other })).body.limits).toEqual(
      other,
    );
    const open = (await registry.call<Endpoint>('PUT', path, { expectedRevision: 4, limits: {} })).body;
    expect([open.limits, (await routed())?.limits]).toEqual([undefined, undefined]);
    const told = (await auditOf(`endpoint/${open.id}`)).map((entry) => entry.details?.limits);
    expect(told).toEqual([undefined, limits, undefined, other, null]);
    expect(await registry.fails('PUT', path, { expectedRevision: 5, limits: { rowsPerSecond: 0 } })).toMatchObject({
      status: 400,
      body: { error: { details: [{ place: 'limits.rowsPerSecond' }] } },
    });
  });

  it('have shadows, which are given to inference, keep the contract, and are no variants', async () => {
    const { model, one, two, incompatible } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const path = endpoint(model.name);
    const put = (body: object) => registry.fails('PUT', path, { expectedRevision: 1, ...body });
    const wrong = await put({
      shadows: [{ versionId: one.id, ratio: 1 }, ...[0.5, 1].map((ratio) => ({ versionId: two.id, ratio }))],
    });
    expect(wrong).toMatchObject({ status: 400 });
    expect(wrong.body.error.details).toMatchObject([
      { place: 'shadows[0].versionId', message: expect.stringContaining('is a variant') },
      { place: 'shadows[2].versionId', message: expect.stringContaining('named twice') },
    ]);
    expect(await put({ shadows: [{ versionId: incompatible.id, ratio: 1 }] })).toMatchObject({ status: 412 });
    expect(await put({ shadows: [{ versionId: two.id, ratio: 0 }] })).toMatchObject({ status: 400 });
    const shadows = [{ versionId: two.id, ratio: 0.5, finishAfterRows: 100 }];
    const shadowed = (await registry.call<Endpoint>('PUT', path, { expectedRevision: 1, shadows })).body;
    expect(shadowed).toMatchObject({ revision: 2, shadows, variants: [{ versionId: one.id }] });
    const routed = async () => {
      const snapshot = await routing();
      const found = snapshot.endpoints.find(({ name }) => name === model.name);
      return { shadows: found?.shadows, described: snapshot.versions.some(({ id }) => id === two.id) };
    };
    expect(await routed()).toEqual({ shadows: [{ versionId: two.id, ratio: 0.5 }], described: true });
    // What serves is compared with itself no more.
    await registry.call('PUT', champion(model), { version: 2, expectedRevision: 1 });
    expect((await registry.call<Endpoint>('GET', path)).body).toMatchObject({
      revision: 3,
      variants: [{ versionId: two.id }],
    });
    expect((await registry.call<Endpoint>('GET', path)).body.shadows).toBeUndefined();
  });

  it('sum up what replicas report of shadows, each report once, and whether the comparison is finished', async () => {
    const { model, one, two } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const path = endpoint(model.name);
    const shadows = [{ versionId: two.id, ratio: 1, finishAfterRows: 30 }];
    const { id: endpointId } = (await registry.call<Endpoint>('PUT', path, { expectedRevision: 1, shadows })).body;
    const report = (replica: string, sequence: number, rows: number, of: object = {}) => {
      const output = {
        name: 'y',
        values: rows,
        differingRows: 1,
        disagreeingRows: 0,
        sumAbsDifference: 0.5 * rows,
        maxAbsDifference: rows,
      };
      const counts = { rows, failedRows: 1, droppedRows: 2, primaryRunMs: 0.5, shadowRunMs: 0.25, outputs: [output] };
      const comparisons = [{ versionId: two.id, primaryVersionId: one.id, counts }];
      return { endpointId, replica, sequence, comparisons, ...of };
    };
    const tell = async (body: object) => (await registry.call('POST', `${path}/shadow-reports`, body)).status;
    const compared = async () => (await registry.call<ShadowComparisons>('GET', `${path}/shadows`)).body.items;
    expect(await compared()).toEqual([]);
    expect(await tell(report('a', 2, 10))).toBe(204);
    expect(await tell(report('a', 2, 10))).toBe(204);
    expect(await tell(report('a', 1, 5))).toBe(204);
    expect(await tell(report('b', 1, 19))).toBe(204);
    expect(await compared()).toMatchObject([
      {
        versionId: two.id,
        primaryVersionId: one.id,
        isShadow: true,
        isFinished: false,
        finishAfterRows: 30,
        replicas: 2,
        counts: {
          rows: 29,
          failedRows: 2,
          droppedRows: 4,
          outputs: [{ sumAbsDifference: 14.5, maxAbsDifference: 19 }],
        },
      },
    ]);
    expect(await tell(report('b', 2, 20))).toBe(204);
    expect(await compared()).toMatchObject([{ isFinished: true, counts: { rows: 30 } }]);
    expect(await tell(report('b', 3, 20, { endpointId: 'ept_other' }))).toBe(404);
    expect(await tell(report('b', 3, -1))).toBe(400);
    await registry.call('PUT', path, { expectedRevision: 2, shadows: [] });
    expect(await compared()).toMatchObject([{ isShadow: false, isFinished: false, counts: { rows: 30 } }]);
    await registry.call('DELETE', `${path}?expectedRevision=3`);
    await registry.call('PUT', path, { expectedRevision: 0, follow: { model: model.name, alias: 'champion' } });
    expect(await compared()).toEqual([]);
  });

  it('let answers be used again, whichever way they move, until that is taken back', async () => {
    const { model } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const path = endpoint(model.name);
    const cache = { maxBytes: 1_000_000, maxAgeMs: 60_000, coalesce: false };
    const put = async (body: object) => (await registry.call<Endpoint>('PUT', path, body)).body;
    expect(await put({ expectedRevision: 1, cache })).toMatchObject({ revision: 2, cache });
    await registry.call('PUT', champion(model), { version: 2, expectedRevision: 1 });
    const routed = async () => (await routing()).endpoints.find(({ name }) => name === model.name);
    expect(await routed()).toMatchObject({ revision: 3, cache });
    const without = await put({ expectedRevision: 3, cache: null });
    expect([without.cache, (await routed())?.cache]).toEqual([undefined, undefined]);
    const told = (await auditOf(`endpoint/${without.id}`)).map((entry) => entry.details?.cache);
    expect(told).toEqual([undefined, cache, undefined, null]);
    const half = { expectedRevision: 4, cache: { maxBytes: 1 } };
    expect(await registry.fails('PUT', path, half)).toMatchObject({ status: 400 });
  });

  it('refuse weights that do not sum to 10,000, unknown versions, and both ways at once', async () => {
    const { model, one } = await modelWithVersions();
    const path = endpoint(`bad-${names}`);
    const put = (body: unknown) => registry.fails('PUT', path, body);
    const whole = [{ versionId: one.id, weight: 10_000 }];
    expect(await put({ expectedRevision: 0, variants: [{ versionId: one.id, weight: 9_999 }] })).toMatchObject({
      status: 400,
    });
    expect(
      (await put({ expectedRevision: 0, variants: [{ versionId: 'ver_no', weight: 10_000 }] })).body.error.details,
    ).toMatchObject([{ place: 'variants[0].versionId' }]);
    expect(await put({ expectedRevision: 0 })).toMatchObject({ status: 400 });
    expect(
      await put({ expectedRevision: 0, variants: whole, follow: { model: model.name, alias: 'champion' } }),
    ).toMatchObject({ status: 400 });
    expect(await put({ expectedRevision: 0, follow: { model: model.name, alias: 'nobody' } })).toMatchObject({
      status: 412,
    });
    expect(await put({ expectedRevision: 3, variants: whole })).toMatchObject({
      status: 409,
      body: { error: { currentRevision: 0 } },
    });
    expect((await registry.call('GET', path)).status).toBe(404);
  });

  it('hold every variant to their contract', async () => {
    const { one, incompatible } = await modelWithVersions();
    const path = endpoint(`contract-${names}`);
    const half = (version: Version) => ({ versionId: version.id, weight: 5_000 });
    expect(
      await registry.fails('PUT', path, { expectedRevision: 0, variants: [half(one), half(incompatible)] }),
    ).toMatchObject({
      status: 412,
      body: {
        error: { details: expect.arrayContaining([expect.objectContaining({ place: `endpoint contract-${names}` })]) },
      },
    });
    const variants = [{ versionId: one.id, weight: 10_000 }];
    expect(
      (await registry.call('PUT', path, { expectedRevision: 0, variants, contract: signatureOf('z') })).status,
    ).toBe(412);
    expect(
      (await registry.call('PUT', path, { expectedRevision: 0, variants, contract: signatureOf('x') })).status,
    ).toBe(200);
  });

  it("the name of a model is reserved for the model's versions", async () => {
    const { model, one } = await modelWithVersions();
    const stranger = await modelWithVersions();
    const variants = (version: Version) => [{ versionId: version.id, weight: 10_000 }];
    const taken = await registry.fails('PUT', endpoint(model.name), {
      expectedRevision: 0,
      variants: variants(stranger.one),
    });
    expect(taken).toMatchObject({ status: 412, body: { error: { message: expect.stringContaining('reserved') } } });
    expect(
      (await registry.call('PUT', endpoint(model.name), { expectedRevision: 0, variants: variants(one) })).status,
    ).toBe(200);
    await registry.call('PUT', endpoint(`free-${names}`), { expectedRevision: 0, variants: variants(one) });
    expect((await registry.call('POST', '/v1/models', { name: `free-${names}` })).status).toBe(409);
  });

  it('that follow an alias keep it from being deleted', async () => {
    const { model } = await modelWithVersions();
    await registry.call('PUT', champion(model), { version: 1, expectedRevision: 0 });
    const refused = await registry.fails('DELETE', `${champion(model)}?expectedRevision=1`);
    expect(refused).toMatchObject({ status: 412, body: { error: { details: [{ place: `endpoint ${model.name}` }] } } });
  });
});

describe('the routing snapshot', () => {
  it('has one revision that grows with each change, and every version that it names', async () => {
    const { model, one } = await modelWithVersions();
    const before = await routing();
    await registry.call('PUT', `/v1/models/${model.name}/aliases/champion`, { version: 1, expectedRevision: 0 });
    const after = await routing();
    expect(after.revision).toBe(before.revision + 1);
    expect(after.endpoints.find((endpoint) => endpoint.name === model.name)).toMatchObject({
      revision: 1,
      contract: one.signature,
    });
    expect(after.versions.find((version) => version.id === one.id)).toMatchObject({
      digest: one.digest,
      files: one.files,
    });
    const known = new Set(after.versions.map((version) => version.id));
    for (const endpoint of after.endpoints)
      for (const variant of endpoint.variants) expect(known).toContain(variant.versionId);
    await registry.call('PUT', `/v1/models/${model.name}/aliases/other`, { version: 2, expectedRevision: 0 });
    expect((await routing()).revision).toBe(after.revision);
  });

  it('is waited for: a change answers at once, and the end of the wait answers with what there is', async () => {
    const { model } = await modelWithVersions();
    const { revision } = await routing();
    const unchanged = await registry.call<RoutingSnapshot>('GET', `/v1/routing?after=${revision}&waitMs=20`);
    expect(unchanged.body.revision).toBe(revision);
    const waiting = registry.call<RoutingSnapshot>('GET', `/v1/routing?after=${revision}&waitMs=60000`);
    await registry.call('PUT', `/v1/models/${model.name}/aliases/champion`, { version: 1, expectedRevision: 0 });
    expect((await waiting).body.revision).toBe(revision + 1);
    expect((await registry.call('GET', '/v1/routing?after=0&waitMs=60001')).status).toBe(400);
  });
});
