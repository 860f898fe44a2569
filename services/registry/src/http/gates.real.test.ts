/** Gates hold on every door, and what went past them stands in the audit trail. */
import { join } from 'node:path';
import { type Alias, type GateReport, type Gates, TOPICS } from '@assay/contracts';
import { newEvent, openDatabaseEventBus } from '@assay/events';
import { createLogger, newId } from '@assay/runtime';
import { describe, expect, it } from 'vitest';
import { startRegistry } from '../registry-under-test.ts';
import { aliasOf, approvalsOf, JOB, places, useGatedRegistry } from './gates-under-test.ts';

const MLFLOW = '/api/2.0/mlflow';

const gated = useGatedRegistry();
const { newModel, setGates, auditOf } = gated;

describe('the gates of a model', () => {
  it('are set by an administrator, by compare-and-set, with an entry and an event', async () => {
    const { name, versions } = await newModel();
    const path = `/v1/models/${name}/gates`;
    expect((await gated.registry.call(gated.keys.ada, 'GET', path)).body).toMatchObject({ gates: {}, revision: 0 });
    const body = { expectedRevision: 0, gates: { approvals: 1 } };
    expect((await gated.registry.call(gated.keys.ada, 'PUT', path, body)).status).toBe(403);
    expect((await gated.registry.call(gated.keys.admin, 'PUT', path, body)).status).toBe(200);
    const stale = await gated.registry.call(gated.keys.admin, 'PUT', path, { ...body, gates: {} });
    expect(stale).toMatchObject({ status: 409, body: { error: { currentRevision: 1 } } });
    const entries = (await auditOf('gates.set')).filter(({ resource }) => resource === `model/${versions[0]?.modelId}`);
    expect(entries.map(({ principal, details }) => [principal, details?.from, details?.to])).toEqual([
      ['admin', {}, { approvals: 1 }],
    ]);
    const wrong = { expectedRevision: 1, gates: { metrics: [{ metric: 'auc' }] } };
    expect((await gated.registry.call(gated.keys.admin, 'PUT', path, wrong)).status).toBe(400);
  });

  it('ask for no approvals where nobody has a key', async () => {
    await using open = await startRegistry();
    await open.call('POST', '/v1/models', { name: 'm' });
    const set = (gates: Gates) => open.fails('PUT', '/v1/models/m/gates', { expectedRevision: 0, gates });
    expect(await set({ approvals: 1 })).toMatchObject({
      status: 412,
      body: { error: { code: 'FAILED_PRECONDITION' } },
    });
    expect((await set({ checks: ['golden'] })).status).toBe(200);
  });
});

describe('approvals', () => {
  it('of two keys of one person count once, and those of the author never', async () => {
    const { name, versions } = await newModel();
    await setGates(name, { approvals: 2 });
    const move = () => gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), { version: 2, expectedRevision: 1 });
    const approve = (key: string) => gated.registry.call(key, 'POST', approvalsOf(name, 2), { comment: 'read it' });
    expect((await approve(gated.keys.ada)).status).toBe(403);
    expect((await approve(gated.keys.bob)).status).toBe(201);
    expect((await approve(gated.keys.bob2)).status).toBe(200);
    const refused = await move();
    expect(refused).toMatchObject({ status: 412, body: { error: { code: 'FAILED_PRECONDITION' } } });
    expect(refused.body.error.details).toEqual([
      {
        place: 'gates.approvals',
        message: `there is: 1: bob; to do: 1 more: assay approve ${name} 2`,
        expected: '2, by principals other than ada, who made it',
      },
    ]);
    expect((await approve(gated.keys.cleo)).status).toBe(201);
    const listed = (await gated.registry.call(gated.keys.ada, 'GET', approvalsOf(name, 2))).body.items;
    expect(listed).toMatchObject([{ principal: 'bob', comment: 'read it' }, { principal: 'cleo' }]);
    expect((await move()).body).toMatchObject({ version: 2, revision: 2 });
    const added = (await auditOf('approval.add')).filter(({ resource }) => resource === `version/${versions[1]?.id}`);
    expect(added.map(({ principal }) => principal)).toEqual(['bob', 'cleo']);
  });

  it('of who submitted the job that made the version count neither, given before that was known or after', async () => {
    const { name } = await newModel();
    await setGates(name, { approvals: 1 });
    const approve = () => gated.registry.call(gated.keys.cleo, 'POST', approvalsOf(name, 3), {});
    expect((await approve()).status).toBe(201);
    const log = createLogger({ service: 'training', level: 'silent' });
    const bus = await openDatabaseEventBus({ url: `sqlite:${join(gated.registry.dir, 'events.sqlite')}`, log });
    const fact = { id: newId('aud'), at: Date.now(), principal: 'cleo', action: 'job.submit', requestId: 'req_1' };
    const event = { source: '/assay/training', type: 'assay.audit.fact.v1', subject: JOB, sequence: 1 };
    await bus.publish(TOPICS.audit, [newEvent({ ...event, data: { ...fact, resource: `job/${JOB}`, details: {} } })]);
    await bus.close();
    await expect.poll(() => auditOf('job.submit'), { timeout: 20_000 }).toHaveLength(1);
    const refused = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), {
      version: 3,
      expectedRevision: 1,
    });
    expect(refused.body.error.details[0].expected).toBe('1, by principals other than ada and cleo, who made it');
    await gated.registry.call(gated.keys.cleo, 'DELETE', approvalsOf(name, 3));
    expect((await approve()).status).toBe(403);
  });

  it('are withdrawn by who gave them, and then missing', async () => {
    const { name } = await newModel();
    await setGates(name, { approvals: 1 });
    await gated.registry.call(gated.keys.bob, 'POST', approvalsOf(name, 2), {});
    expect((await gated.registry.call(gated.keys.cleo, 'DELETE', approvalsOf(name, 2))).status).toBe(404);
    expect((await gated.registry.call(gated.keys.bob2, 'DELETE', approvalsOf(name, 2))).status).toBe(204);
    const refused = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), {
      version: 2,
      expectedRevision: 1,
    });
    expect(places(refused)).toEqual(['gates.approvals']);
    expect((await auditOf('approval.withdraw')).at(-1)).toMatchObject({ principal: 'bob' });
  });
});

describe('a version', () => {
  const gates: Gates = {
    metrics: [{ metric: 'auc', min: 0.72 }],
    betterThanChampion: [{ metric: 'auc', better: 'higher' }],
    checks: ['golden', 'parity'],
  };

  it('is told every gate that it does not meet, without a move and with one', async () => {
    const { name } = await newModel();
    await setGates(name, gates);
    const report = async (version: number): Promise<GateReport> =>
      (await gated.registry.call(gated.keys.ada, 'GET', `/v1/models/${name}/versions/${version}/gates`)).body;
    const failed = async (version: number) =>
      (await report(version)).gates.filter(({ passed }) => !passed).map(({ gate }) => gate);
    expect(await failed(2)).toEqual(['metrics.auc', 'betterThanChampion.auc', 'checks.parity']);
    expect(await failed(3)).toEqual(['betterThanChampion.auc']);
    expect((await report(3)).gates[1]?.found).toContain('on other datasets');
    expect(await report(4)).toMatchObject({ guarded: true, passed: true, alias: 'champion', revision: 1 });
    const refused = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), {
      version: 2,
      expectedRevision: 1,
    });
    expect(places(refused)).toEqual(['gates.metrics.auc', 'gates.betterThanChampion.auc', 'gates.checks.parity']);
    expect((await gated.registry.call(gated.keys.ada, 'GET', aliasOf(name))).body).toMatchObject({
      version: 1,
      revision: 1,
    });
    const moved = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), { version: 4, expectedRevision: 1 });
    expect(moved.body).toMatchObject({ version: 4 });
  });

  it('that was the champion goes back through the gates, too', async () => {
    const { name } = await newModel();
    await setGates(name, gates);
    await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), { version: 4, expectedRevision: 1 });
    const back = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), { version: 1, expectedRevision: 2 });
    expect(places(back)).toEqual(['gates.betterThanChampion.auc']);
  });
});

describe('a forced move', () => {
  it('needs the scope admin and a reason, and both stand in the audit trail with what was missing', async () => {
    const { name, versions } = await newModel();
    await setGates(name, { approvals: 1 });
    const force = { reason: 'version 1 answers nonsense since noon' };
    const body = { version: 2, expectedRevision: 1, force };
    const denied = await gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name), body);
    expect(denied).toMatchObject({ status: 403, body: { error: { code: 'PERMISSION_DENIED' } } });
    for (const reason of ['', '  ']) {
      const answer = await gated.registry.call(gated.keys.admin, 'PUT', aliasOf(name), { ...body, force: { reason } });
      expect(answer.status).toBe(400);
    }
    const moved: Alias = (await gated.registry.call(gated.keys.admin, 'PUT', aliasOf(name), body)).body;
    expect(moved).toMatchObject({ version: 2, movedBy: 'admin' });
    const entry = (await auditOf('alias.move')).filter(({ resource }) => resource === `model/${moved.modelId}`).at(-1);
    expect(entry).toMatchObject({
      principal: 'admin',
      details: { to: versions[1]?.id, forced: { ...force, missing: [{ gate: 'approvals', found: 'none' }] } },
    });
  });
});

describe('an endpoint', () => {
  it('gives a version of a gated model no more traffic than it has, unless it meets them or is forced', async () => {
    const { name, versions } = await newModel();
    await setGates(name, { approvals: 1, aliases: ['champion'] });
    const [one, two] = versions.map(({ id }) => id);
    const put = (key: string, expectedRevision: number, weights: [string | undefined, number][], more = {}) =>
      gated.registry.call(key, 'PUT', `/v1/endpoints/${name}`, {
        ...{ expectedRevision, ...more },
        variants: weights.map(([versionId, weight]) => ({ versionId, weight })),
      });
    const split: [string | undefined, number][] = [
      [one, 9000],
      [two, 1000],
    ];
    expect(places(await put(gated.keys.ada, 1, split))).toEqual(['gates.approvals']);
    const force = { reason: 'a canary that the board asked for' };
    expect((await put(gated.keys.ada, 1, split, { force })).status).toBe(403);
    expect((await put(gated.keys.admin, 1, split, { force })).body).toMatchObject({ revision: 2 });
    expect((await auditOf('endpoint.update')).at(-1)?.details).toMatchObject({
      forced: { ...force, missing: [{ gate: 'approvals' }] },
    });
    const more: [string | undefined, number][] = [
      [one, 8000],
      [two, 2000],
    ];
    expect(places(await put(gated.keys.ada, 2, more))).toEqual(['gates.approvals']);
    expect((await put(gated.keys.ada, 2, [[one, 10_000]])).body).toMatchObject({ revision: 3 });
  });

  it('is no way around: an alias that it follows is guarded with it', async () => {
    const { name } = await newModel();
    await setGates(name, { approvals: 1, aliases: ['champion'], endpoints: [name] });
    const candidate = (version: number, expectedRevision: number) =>
      gated.registry.call(gated.keys.ada, 'PUT', aliasOf(name, 'candidate'), { version, expectedRevision });
    expect((await candidate(2, 0)).status).toBe(200);
    const follow = { model: name, alias: 'candidate' };
    const put = (endpoint: string, expectedRevision: number) =>
      gated.registry.call(gated.keys.ada, 'PUT', `/v1/endpoints/${endpoint}`, { expectedRevision, follow });
    expect(places(await put(name, 1))).toEqual(['gates.approvals']);
    expect((await put(`${name}-staging`, 0)).status).toBe(200);
    expect((await candidate(3, 1)).status).toBe(200);
    await gated.registry.call(gated.keys.bob, 'POST', approvalsOf(name, 3), {});
    expect((await put(name, 1)).status).toBe(200);
    expect(places(await candidate(4, 2))).toEqual(['gates.approvals']);
  });
});

describe("MLflow's doors", () => {
  it('are refused with PERMISSION_DENIED and the missing gates, and open when they are met', async () => {
    const { name } = await newModel();
    await setGates(name, { approvals: 1, checks: ['parity'] });
    const alias = (version: string) =>
      gated.registry.call(gated.keys.ada, 'POST', `${MLFLOW}/registered-models/alias`, {
        name,
        alias: 'champion',
        version,
      });
    const stage = (version: string, to: string) =>
      gated.registry.call(gated.keys.ada, 'POST', `${MLFLOW}/model-versions/transition-stage`, {
        name,
        version,
        stage: to,
      });
    for (const refused of [await alias('2'), await stage('2', 'Production')]) {
      expect([refused.status, refused.body.error_code]).toEqual([403, 'PERMISSION_DENIED']);
      expect(refused.body.message).toMatch(/gates\.approvals: required: 1, by principals .*there is: none/);
      expect(refused.body.message).toMatch(/gates\.checks\.parity: .*the package does not say/);
    }
    expect((await stage('2', 'Staging')).status).toBe(200);
    await gated.registry.call(gated.keys.bob, 'POST', approvalsOf(name, 4), {});
    expect((await alias('4')).status).toBe(200);
    expect((await stage('4', 'Production')).status).toBe(200);
  });
});
