/** What somebody would try who may move things, and may not force them. */
import type { AuditEntry, ShadowCounts, Version } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { aliasOf, approvalsOf, places, useGatedRegistry } from './gates-under-test.ts';

const gated = useGatedRegistry();
const { newModel, setGates, auditOf } = gated;

const asAda = (method: string, path: string, body?: unknown) => gated.registry.call(gated.keys.ada, method, path, body);
const all = (version: Version | undefined) => [{ versionId: version?.id, weight: 10_000 }];

it('an approval that is withdrawn while the alias moves counts before, or the alias stays', async () => {
  const { name, versions } = await newModel();
  await setGates(name, { approvals: 1 });
  let revision = 1;
  for (const version of [2, 3, 4, 2, 3, 4]) {
    await gated.registry.call(gated.keys.bob, 'POST', approvalsOf(name, version), {});
    const [withdrawn, moved] = await Promise.all([
      gated.registry.call(gated.keys.bob, 'DELETE', approvalsOf(name, version)),
      asAda('PUT', aliasOf(name), { version, expectedRevision: revision }),
    ]);
    expect(withdrawn.status).toBe(204);
    expect([200, 412]).toContain(moved.status);
    if (moved.status === 200) revision += 1;
  }
  const ids = new Map(versions.map(({ id }) => [`version/${id}`, id]));
  const approved = new Set<unknown>();
  const entries: AuditEntry[] = [
    ...(await auditOf('approval.add')),
    ...(await auditOf('approval.withdraw')),
    ...(await auditOf('alias.move')).filter(({ details }) => details?.modelName === name && details.from !== null),
  ].sort((a, b) => a.sequence - b.sequence);
  for (const { action, resource, details } of entries) {
    if (action === 'approval.add') approved.add(ids.get(resource));
    else if (action === 'approval.withdraw') approved.delete(ids.get(resource));
    else expect(approved).toContain(details?.to);
  }
});

it('who deletes the alias of the champion, or its endpoint and its version, has it to beat all the same', async () => {
  const { name, versions } = await newModel();
  await setGates(name, { betterThanChampion: [{ metric: 'auc', better: 'higher' }] });
  expect((await asAda('DELETE', `/v1/endpoints/${name}?expectedRevision=1`)).status).toBe(204);
  expect((await asAda('DELETE', `${aliasOf(name)}?expectedRevision=1`)).status).toBe(204);
  expect((await asAda('DELETE', `/v1/models/${name}/versions/1`)).status).toBe(204);
  const move = (version: number) => asAda('PUT', aliasOf(name), { version, expectedRevision: 0 });
  expect(places(await move(2))).toEqual(['gates.betterThanChampion.auc']);
  expect((await move(4)).body).toMatchObject({ versionId: versions[3]?.id });
});

it('the name of a model that has gates is not given to another one', async () => {
  const { name } = await newModel();
  await setGates(name, { approvals: 1 });
  const model = (await asAda('GET', `/v1/models/${name}`)).body;
  const rename = { expectedRevision: model.revision, name: `${name}-old` };
  expect(places(await asAda('PATCH', `/v1/models/${name}`, rename))).toEqual(['gates']);
  await asAda('DELETE', `/v1/endpoints/${name}?expectedRevision=1`);
  const remove = () => asAda('DELETE', `/v1/models/${name}?expectedRevision=${model.revision}`);
  expect(places(await remove())).toEqual(['gates']);
  const ofMlflow = await asAda('DELETE', '/api/2.0/mlflow/registered-models/delete', { name });
  expect([ofMlflow.status, ofMlflow.body.message]).toEqual([400, expect.stringContaining('has gates')]);
  await setGates(name, {});
  const { revision } = (await asAda('GET', `/v1/models/${name}`)).body;
  expect((await asAda('DELETE', `/v1/models/${name}?expectedRevision=${revision}`)).status).toBe(204);
});

it('a guarded endpoint serves no versions of a model without gates, nor when it is made anew', async () => {
  const [gated, free] = [await newModel(), await newModel()];
  const path = `/v1/endpoints/live-of-${gated.name}`;
  await asAda('PUT', path, { expectedRevision: 0, variants: all(gated.versions[0]) });
  await setGates(gated.name, { approvals: 1 });
  const stranger = { variants: all(free.versions[0]) };
  const refused = await asAda('PUT', path, { expectedRevision: 1, ...stranger });
  expect(places(refused)).toEqual(['gates.model']);
  expect(refused.body.error.message).toContain(`version 1 of ${free.name}`);
  expect((await asAda('DELETE', `${path}?expectedRevision=1`)).status).toBe(204);
  expect(places(await asAda('PUT', path, { expectedRevision: 0, ...stranger }))).toEqual(['gates.model']);
  await setGates(free.name, { metrics: [{ metric: 'auc', min: 0.7 }] });
  expect((await asAda('PUT', path, { expectedRevision: 0, ...stranger })).status).toBe(200);
});

describe('a version that must have been a shadow', () => {
  const counts = (rows: number, failedRows = 0): ShadowCounts => ({
    ...{ rows, failedRows, droppedRows: 0, primaryRunMs: 1, shadowRunMs: 1 },
    outputs: [
      { name: 'y', values: rows, differingRows: 0, disagreeingRows: 0, sumAbsDifference: 0, maxAbsDifference: 0 },
    ],
  });

  it('moves when it was compared with the champion of today, at a guarded endpoint, on all replicas together', async () => {
    const { name, versions } = await newModel();
    const [one, two, three] = versions.map(({ id }) => id);
    await setGates(name, { shadow: { rows: 100 }, endpoints: [name] });
    const put = async (endpoint: string, body: object) =>
      (await asAda('PUT', `/v1/endpoints/${endpoint}`, body)).body.id as string; // by the schema of the route
    const shadows = [{ versionId: two, ratio: 1 }];
    const staging = await put(`${name}-staging`, { expectedRevision: 0, variants: all(versions[0]), shadows });
    const live = await put(name, { expectedRevision: 1, shadows });
    const report = async (endpoint: string, id: string, replica: string, counted: ShadowCounts, beside = one) => {
      const body = { endpointId: id, replica, sequence: 1, comparisons: [] as object[] };
      body.comparisons.push({ versionId: two, primaryVersionId: beside, counts: counted });
      const told = await gated.registry.call(
        gated.keys.inference,
        'POST',
        `/v1/endpoints/${endpoint}/shadow-reports`,
        body,
      );
      expect(told.status).toBe(204);
    };
    const move = () => asAda('PUT', aliasOf(name), { version: 2, expectedRevision: 1 });
    expect(places(await move())).toEqual(['gates.shadow.rows']);
    await report(`${name}-staging`, staging, 'a', counts(1000));
    await report(name, live, 'a', counts(1000), three);
    expect(places(await move())).toEqual(['gates.shadow.rows']);
    await report(name, live, 'a', counts(60));
    await report(name, live, 'b', counts(30, 1));
    expect(places(await move())).toEqual(['gates.shadow.rows', 'gates.shadow.failed']);
    await report(name, live, 'c', counts(10));
    expect(places(await move())).toEqual(['gates.shadow.failed']);
    await setGates(name, { shadow: { rows: 100, maxFailedRatio: 0.01 }, endpoints: [name] });
    expect((await move()).body).toMatchObject({ version: 2, revision: 2 });
  });
});
