import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Alias, Approval, GateReport, Model, ModelGates } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { assay, type FakeServices, fakeServices } from './fake-services.ts';

const of = { modelId: 'mdl_1', modelName: 'delay' };
const gates: ModelGates = { ...of, gates: { approvals: 2 }, revision: 3, updatedAt: 0, updatedBy: 'admin' };
const alias: Alias = {
  ...of,
  alias: 'champion',
  versionId: 'ver_2',
  version: 2,
  revision: 5,
  movedAt: 0,
  movedBy: 'a',
};
const approval: Approval = { ...of, versionId: 'ver_2', version: 2, principal: 'bob', comment: '', at: 0 };
const model: Model = {
  ...{ id: 'mdl_1', name: 'delay', description: '', revision: 9, latestVersion: 2, createdAt: 0, updatedAt: 0 },
  aliases: { champion: 1 },
};
const report: GateReport = {
  ...{ ...of, versionId: 'ver_2', version: 2, alias: 'champion', guarded: true, passed: false, revision: 3 },
  gates: [
    { gate: 'approvals', passed: false, required: 'approvals of 2', found: 'none', action: '2 more: assay approve' },
    { gate: 'metrics.auc', passed: true, required: '0.7 at least', found: '0.8' },
  ],
};
const CHAMPION = '/v1/models/delay/aliases/champion';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function services(routes: Parameters<typeof fakeServices>[0]): Promise<{
  readonly made: FakeServices;
  readonly run: (...args: string[]) => ReturnType<typeof assay>;
}> {
  const made = await fakeServices(routes);
  cleanups.push(() => made.close());
  return { made, run: (...args) => assay([...args, '--registry', made.url]) };
}

describe('assay gates', () => {
  test('check tells each gate, and its exit code whether the alias may move', async () => {
    const path = 'GET /v1/models/delay/versions/2/gates';
    const held = await services({ [path]: [200, report] });
    const { code, out } = await held.run('gates', 'check', 'delay', '2');
    expect(code).toBe(4);
    expect(out).toBe(
      'champion of delay may not move to version 2.\n' +
        'missing  approvals: approvals of 2\n         there is: none\n         to do: 2 more: assay approve\n' +
        'met      metrics.auc: 0.7 at least\n         there is: 0.8\n',
    );
    const open = await services({ [path]: [200, { ...report, passed: true }] });
    expect((await open.run('gates', 'check', 'delay', '2')).code).toBe(0);
  });

  test('set sends what the file says with the revision that was read, and names a line that is wrong', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-gates-'));
    cleanups.push(() => rm(dir, { recursive: true }));
    const file = join(dir, 'gates.yaml');
    await writeFile(file, 'aliases: [champion]\napprovals: 2\nmetrics:\n  - { metric: auc, min: 0.7 }\n');
    const path = '/v1/models/delay/gates';
    const { made, run } = await services({ [`GET ${path}`]: [200, gates], [`PUT ${path}`]: [200, gates] });
    expect((await run('gates', 'set', 'delay', file)).out).toContain('delay, revision 3');
    expect(made.requests.at(-1)?.body).toEqual({
      expectedRevision: 3,
      gates: { aliases: ['champion'], approvals: 2, metrics: [{ metric: 'auc', min: 0.7 }] },
    });
    await writeFile(file, 'approval: 2\n');
    const { code, err } = await run('gates', 'set', 'delay', file);
    expect(code).toBe(2);
    expect(err).toContain('did you mean "approvals"');
  });
});

describe('assay promote', () => {
  const routes = {
    'GET /v1/models/delay': [200, model],
    [`GET ${CHAMPION}`]: [200, alias],
    [`PUT ${CHAMPION}`]: [200, alias],
  } as const;

  test('moves champion from where it is', async () => {
    const { made, run } = await services(routes);
    expect((await run('promote', 'delay', '2')).out).toBe('delay champion → version 2 (revision 5)\n');
    expect(made.requests.at(-1)?.body).toEqual({ version: 2, expectedRevision: 5 });
  });

  test('forces with a reason alone', async () => {
    const { made, run } = await services(routes);
    for (const args of [['--force'], ['--force', '--reason', ' '], ['--reason', 'because']]) {
      expect((await run('promote', 'delay', '2', ...args)).code).toBe(2);
    }
    expect(made.requests).toEqual([]);
    await run('promote', 'delay', '2', '--expect', '4', '--force', '--reason', 'it burns');
    expect(made.requests.at(-1)?.body).toEqual({ version: 2, expectedRevision: 4, force: { reason: 'it burns' } });
  });
});

test('assay approve gives an approval, and takes it back', async () => {
  const path = '/v1/models/delay/versions/2/approvals';
  const { made, run } = await services({ [`POST ${path}`]: [201, approval], [`DELETE ${path}`]: [204, null] });
  expect((await run('approve', 'delay', '2', '--comment', 'read')).out).toBe('bob approves version 2 of delay.\n');
  expect(made.requests.at(-1)?.body).toEqual({ comment: 'read' });
  expect((await run('approve', 'delay', '2', '--withdraw')).code).toBe(0);
  expect((await run('approve', 'delay', '2', '--withdraw', '--comment', 'x')).code).toBe(2);
});
