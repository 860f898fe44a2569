/** Files against a real registry. Each test has aliases and endpoints of its own, of a model that all of them share. */
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditEntry } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readDocuments } from './documents.ts';
import { execute } from './execute.ts';
import { KINDS } from './kinds/index.ts';
import { makePlan } from './plan.ts';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';
import { openSession } from './session.ts';

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry();
  await registry.register('churn', 1);
  await registry.register('churn', 2);
  await registry.register('churn', 3, 'other'); // breaks the contract of an endpoint that serves the others
});
afterAll(() => registry[Symbol.asyncDispose]());

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const never = new AbortController().signal;
const diff = (dir: string, ...more: string[]) => registry.run(['diff', '-f', dir, ...more]);
const apply = (dir: string, ...more: string[]) => registry.run(['apply', '-f', dir, ...more]);

async function entriesAfter(sequence: number): Promise<AuditEntry[]> {
  return (await registry.client.audit({ after: sequence, limit: 1000 })).items;
}

const alias = (name: string, version: number) => `kind: Alias\nname: churn@${name}\nspec: { version: ${version} }\n`;
/** An endpoint that follows the alias of its name. */
const follower = (name: string, more = '') =>
  `---\nkind: Endpoint\nname: ${name}\nspec:\n  follow: { model: churn, alias: ${name} }\n${more}`;

describe('a platform as files', () => {
  test('becomes what they say in one go, then there is nothing to do, and the audit trail names the commit', async () => {
    const { key } = await registry.client.createKey({ principal: 'churn-app', kind: 'service', scopes: ['read'] });
    await registry.write({
      'whole/churn.yaml': [
        'kind: Key\nname: KEY\nspec:\n  principal: churn-app\n  scopes: [score, read]\n  endpoints: [churn]\n',
        'kind: Principal\nname: nightly\nspec: { kind: service }\n',
        'kind: Webhook\nname: https://hooks.example.com/assay\nspec:\n  events: [assay.model.alias-moved.v1]\n  models: [churn, fraud]\n',
        // The first champion makes an endpoint of this name, in the same go.
        'kind: Endpoint\nname: churn\nspec:\n  follow: { model: churn, alias: champion }\n  limits: { requestsPerSecond: 100 }\n  cache: { maxBytes: 1000000, maxAgeMs: 60000 }\n  shadows:\n    - { model: churn, version: 1, ratio: 0.5 }\n',
        'kind: Endpoint\nname: churn-ab\nspec:\n  variants:\n    - { model: churn, version: 1, weight: 9000 }\n    - { model: churn, version: 2, weight: 1000 }\n',
        alias('champion', 2),
        'kind: Model\nname: churn\nspec:\n  description: Who leaves\n  tags: { team: crm }\n',
        'kind: Model\nname: fraud\nspec: {}\n',
      ]
        .join('---\n')
        .replace('KEY', key.id),
    });
    const before = await registry.lastEntry();
    const planned = await diff('whole');
    expect(planned.err).toBe('');
    expect(planned.code).toBe(2);
    expect(planned.out).toContain('~ Model churn  (whole/churn.yaml:38)\n+    description: Who leaves\n');
    expect(planned.out).toMatch(/6 to make, 2 to change, 0 to delete, 0 as they are already\n$/);
    expect((await apply('whole', '--dry-run')).out).toBe(planned.out);
    expect(await registry.lastEntry()).toBe(before);

    const applied = await apply('whole', '--commit', COMMIT);
    expect(applied).toMatchObject({ code: 0, err: '' });
    expect(applied.out).toMatch(/done: \+ Webhook \S+ \(its receiver needs a secret: assay webhooks secret whk_/);
    const entries = await entriesAfter(before);
    expect(new Set(entries.map(({ details }) => details?.commit))).toEqual(new Set([COMMIT]));
    const listed = await registry.run(['audit', '--after', String(before)]);
    expect(listed.out.split('\n')[1]).toMatch(/ model\.update .* 0123456789ab /);
    const done = ['model.update', 'model.create', 'alias.move', 'endpoint.create', 'endpoint.update'];
    const then = ['endpoint.create', 'webhook.create', 'principal.create', 'key.update'];
    expect(entries.map(({ action }) => action)).toEqual([...done, ...then]);
    expect(await registry.client.getEndpoint('churn')).toMatchObject({
      follow: { alias: 'champion' },
      limits: { requestsPerSecond: 100 },
      cache: { maxBytes: 1_000_000, maxAgeMs: 60_000 },
      shadows: [{ ratio: 0.5 }],
    });

    expect(await diff('whole')).toMatchObject({ code: 0, out: expect.stringMatching(/^0 to make.* 8 as they are/) });
    expect((await apply('whole')).code).toBe(0);
    expect(await registry.lastEntry()).toBe(before + entries.length);
    expect((await registry.client.verifyAudit()).valid).toBe(true);
  });

  test('has gates, which hold an alias of the same files back, and are taken away by a file', async () => {
    const gated = (spec: string) => `kind: Gates\nname: churn\n${spec}`;
    const spec = 'spec:\n  aliases: [gated]\n  endpoints: []\n  metrics: [{ metric: auc, min: 2 }]\n';
    await registry.write({ 'gated/a.yaml': alias('gated', 1), 'gated/gates.yaml': gated(spec) });
    const held = await apply('gated');
    expect(held).toMatchObject({ code: 4, out: expect.stringContaining('done: + Gates churn') });
    expect(held.err).toContain('Alias churn@gated');
    expect(held.err).toContain('metrics.auc');
    expect((await diff('gated')).out).toMatch(/1 to make, 0 to change, 0 to delete, 1 as it is already/);
    await registry.run(['export', '-f', 'out/gated', '--kinds', 'Gates']);
    expect(await diff('out/gated')).toMatchObject({ code: 0, err: '' });

    await registry.write({ 'gated/gates.yaml': gated('absent: true\n') });
    // What is made comes before what is taken away.
    expect((await apply('gated')).code).toBe(4);
    expect(await apply('gated/gates.yaml')).toMatchObject({ code: 0, err: '' });
    expect((await diff('gated/gates.yaml')).code).toBe(0);
    expect(await apply('gated')).toMatchObject({ code: 0, err: '' });
    await registry.write({ 'gated/gates.yaml': gated(spec) });
    expect(await apply('gated')).toMatchObject({ code: 0, err: '' });
    await registry.write({
      'gated/gates.yaml': gated('absent: true\n'),
      'gated/empty.yaml': 'kind: Gates\nname: fraud\nspec: {}\n',
    });
    expect((await apply('gated')).err).toContain('requires nothing');
    expect(await apply('gated/gates.yaml')).toMatchObject({ code: 0, err: '' });
  });

  test('that was exported differs from nothing, and can be made again from the files after everything was deleted', async () => {
    await registry.write({
      'round/all.yaml': `${alias('round', 1)}${follower('round')}---\nkind: Model\nname: round-model\nspec:\n  description: "two\\nlines: #1 "\n  tags: { "yes": "no", a b: "" }\n`,
    });
    expect((await apply('round')).code).toBe(0);
    expect((await registry.run(['export', '-f', 'out/platform'])).out).toMatch(
      /^Written to out\/platform: \d+ models, /,
    );
    expect(await readFile(join(registry.dir, 'out/platform/models/round-model.yaml'), 'utf8')).toContain(
      'kind: Model\nname: round-model\n',
    );
    expect(await diff('out/platform')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('0 to change') });
    const again = await registry.run(['export', '-f', 'out/platform']);
    expect(again).toMatchObject({ code: 4, err: expect.stringContaining('has files already') });

    await registry.write({
      'gone.yaml': 'kind: Alias\nname: churn@round\nabsent: true\n---\nkind: Endpoint\nname: round\nabsent: true\n',
    });
    // The endpoint follows the alias: it goes first.
    expect(await apply('gone.yaml')).toMatchObject({ code: 0, err: '' });
    expect((await diff('gone.yaml')).code).toBe(0);
    expect((await diff('out/platform')).out).toMatch(/2 to make, 0 to change/);
    expect(await apply('out/platform')).toMatchObject({ code: 0, err: '' });
    expect((await diff('out/platform')).code).toBe(0);
  });

  test('has pipelines and training specs, which go before the endpoints that they name', async () => {
    const pipeline = (output: string) =>
      `kind: Pipeline\nname: streamed\nspec:\n  endpoint: streamed\n  input: moves\n  output: ${output}\n  deadLetters: moves.rejected\n`;
    const spec = (seed: number) =>
      `kind: TrainingSpec\nname: churn-nightly\nspec:\n  model: churn\n  source: { dataset: customers }\n  target: { name: left, expression: left_at is not null }\n  features: [{ name: age, dtype: float32 }]\n  split: { by: time, column: day, validationFrom: "2026-01-01", testFrom: "2026-02-01" }\n  trainer: { name: lightgbm, rounds: 10 }\n  seed: ${seed}\n`;
    await registry.write({
      'streams/pipeline.yaml': pipeline('moves.scored'),
      'streams/endpoint.yaml': alias('streamed', 1) + follower('streamed'),
      'streams/spec.yaml': spec(1),
    });
    expect(await apply('streams')).toMatchObject({ code: 0, err: '' });
    expect((await diff('streams')).code).toBe(0);
    await registry.run(['export', '-f', 'out/streams', '--kinds', 'Pipeline,TrainingSpec']);
    expect(await diff('out/streams')).toMatchObject({ code: 0, err: '' });

    await registry.write({ 'streams/pipeline.yaml': pipeline('elsewhere'), 'streams/spec.yaml': spec(2) });
    expect((await diff('streams')).out).toContain('-    output: moves.scored\n+    output: elsewhere\n');
    expect(await apply('streams')).toMatchObject({ code: 0, err: '' });
    expect(await registry.client.getPipeline('streamed')).toMatchObject({ output: 'elsewhere', revision: 2 });
    expect((await registry.client.getTrainingSpec('churn-nightly')).spec.seed).toBe(2);

    await registry.write({ 'streams/pipeline.yaml': pipeline('moves') });
    expect((await apply('streams')).err).toContain('output: is the input topic too');
    const absent = (kind: string, name: string) => `kind: ${kind}\nname: ${name}\nabsent: true\n`;
    await registry.write({
      'streams/pipeline.yaml': absent('Pipeline', 'streamed'),
      'streams/endpoint.yaml': absent('Endpoint', 'streamed'),
      'streams/spec.yaml': absent('TrainingSpec', 'churn-nightly'),
    });
    expect(await apply('streams')).toMatchObject({ code: 0, err: '' });
    expect((await registry.client.listPipelines()).items).toEqual([]);
  });

  test('may be read and exported in part by those who may not see all of it', async () => {
    const { secret } = await registry.client.createKey({ principal: 'reader', scopes: ['read'] });
    const env = { ASSAY_API_KEY: secret };
    const refused = await registry.run(['export', '-f', 'all'], { env });
    expect(refused).toMatchObject({ code: 4, err: expect.stringContaining('needs the scope admin') });
    const kinds = ['--kinds', 'Model,Alias,Endpoint'];
    expect((await registry.run(['export', '-f', 'part', ...kinds], { env })).code).toBe(0);
    expect((await readdir(join(registry.dir, 'part'))).sort()).toEqual(['aliases', 'endpoints', 'models']);
    expect((await registry.run(['diff', '-f', 'part'], { env })).code).toBe(0);
    expect((await registry.run(['export', '-f', 'x', '--kinds', 'Modell'])).err).toContain('did you mean "Model"?');
  });

  test('goes to what an alias moves in the same go: a version that begins to serve is no shadow any more', async () => {
    const shadows = '  shadows: [{ model: churn, version: 2, ratio: 1 }]\n';
    await registry.write({ 'moved.yaml': alias('moved', 1) + follower('moved', shadows) });
    expect(await apply('moved.yaml')).toMatchObject({ code: 0, err: '' });
    await registry.write({ 'moved.yaml': alias('moved', 2) + follower('moved', '  defaultTimeoutMs: 500\n') });
    expect((await apply('moved.yaml')).err).toBe('');
    expect((await registry.client.getEndpoint('moved')).defaultTimeoutMs).toBe(500);
    expect((await diff('moved.yaml')).code).toBe(0);
  });
});

describe('an apply that cannot be finished', () => {
  test('because another has changed something since the plan was made, changes nothing of that', async () => {
    await registry.client.createModel({ name: 'contested' });
    await registry.write({ 'contested.yaml': 'kind: Model\nname: contested\nspec: { description: mine }\n' });
    const documents = await readDocuments(registry.dir, 'contested.yaml', KINDS);
    const plan = await makePlan(documents, KINDS, openSession(registry.client, never));
    await registry.client.updateModel('contested', { expectedRevision: 1, description: 'theirs' });
    await expect(execute(plan.steps, never, () => undefined)).rejects.toMatchObject({
      code: 'STALE_REVISION',
      currentRevision: 2,
      message: expect.stringMatching(/^contested\.yaml:1: Model contested: .*revision 2 now/),
    });
    expect((await registry.client.getModel('contested')).description).toBe('theirs');
    expect((await apply('contested.yaml')).code).toBe(0);
  });

  test('because another has changed the endpoint that its alias has moved, leaves that endpoint', async () => {
    await registry.write({ 'raced.yaml': alias('raced', 1) + follower('raced') });
    expect((await apply('raced.yaml')).code).toBe(0);
    await registry.write({ 'raced.yaml': alias('raced', 2) + follower('raced', '  limits: { concurrency: 4 }\n') });
    const documents = await readDocuments(registry.dir, 'raced.yaml', KINDS);
    const plan = await makePlan(documents, KINDS, openSession(registry.client, never));
    const { revision } = await registry.client.getEndpoint('raced');
    await registry.client.putEndpoint('raced', { expectedRevision: revision, limits: { concurrency: 9 } });
    const done: string[] = [];
    const failed = execute(plan.steps, never, ({ name }) => done.push(name));
    await expect(failed).rejects.toMatchObject({ code: 'STALE_REVISION' });
    expect(done).toEqual(['churn@raced']);
    expect((await registry.client.getEndpoint('raced')).limits).toEqual({ concurrency: 9 });
  });

  test('says what was done and what not; another one finishes it', async () => {
    const files = (version: number) =>
      `kind: Model\nname: half-new\nspec: {}\n---\n${alias('half', version)}---\nkind: Endpoint\nname: half-late\nspec:\n  follow: { model: churn, alias: half }\n`;
    await registry.client.moveAlias('churn', 'half', { version: 1, expectedRevision: 0 });
    await registry.client.putEndpoint('half', { expectedRevision: 0, follow: { model: 'churn', alias: 'half' } });
    await registry.write({ 'half.yaml': files(3) });
    const failed = await apply('half.yaml', '--json');
    expect(failed.code).toBe(4);
    expect(failed.err).toMatch(/half\.yaml:5: Alias churn@half: .*would break the contract of endpoint half/);
    expect(JSON.parse(failed.err).error.details.at(-1)).toEqual({ place: 'Endpoint half-late', message: 'not tried' });
    expect(JSON.parse(failed.out).applied).toEqual([{ action: 'make', kind: 'Model', name: 'half-new' }]);

    await registry.write({ 'half.yaml': files(1) });
    const finished = await apply('half.yaml', '--json');
    expect(JSON.parse(finished.out).applied).toEqual([{ action: 'make', kind: 'Endpoint', name: 'half-late' }]);
    expect((await diff('half.yaml')).code).toBe(0);
  });

  test('because of what can be seen before does nothing at all', async () => {
    const { key } = await registry.client.createKey({ principal: 'gone', scopes: ['read'] });
    await registry.client.revokeKey(key.id);
    await registry.write({
      'bad/a.yaml': 'kind: Model\nname: never\nspec: {}\n',
      'bad/b.yaml': 'kind: Alias\nname: never@champion\nspec:\n  version: 1\n',
      'bad/c.yaml': 'kind: Endpoint\nname: never\nspec:\n  defaultTimeoutMs: 5\n',
      'bad/d.yaml': `kind: Key\nname: ${key.id}\nspec:\n  principal: gone\n  scopes: [admin]\n`,
      'bad/e.yaml': 'kind: Key\nname: key_none\nspec:\n  principal: gone\n  scopes: [admin]\n',
      'bad/f.yaml': 'kind: Principal\nname: gone\nspec:\n  kind: service\n',
      'bad/g.yaml': 'kind: Webhook\nname: example\nspec: {}\n',
    });
    const before = await registry.lastEntry();
    const refused = await apply('bad');
    expect(refused.code).toBe(2);
    expect(refused.err.split('\n').slice(1, -1)).toEqual([
      expect.stringContaining('bad/b.yaml:4: spec.version: model never has no version 1'),
      expect.stringContaining('bad/c.yaml:3: spec: needs `follow` or `variants`'),
      expect.stringContaining('bad/g.yaml:2: name: is no address'),
      expect.stringContaining('bad/f.yaml:4: spec.kind: gone is a person, for good'),
      expect.stringContaining(`bad/d.yaml:3: spec: ${key.id} was revoked by admin, for good`),
      expect.stringContaining('bad/e.yaml:2: name: there is no key key_none'),
    ]);
    expect(await registry.lastEntry()).toBe(before);
    expect((await diff('bad')).code).toBe(1);
  });
});

describe('assay diff', () => {
  test('ends with 1 for every error, its own arguments too, so that 2 is always a change', async () => {
    expect((await diff('nowhere')).code).toBe(1);
    expect((await diff('.', '--colour')).code).toBe(1);
    expect((await registry.run(['diff'])).code).toBe(1);
    expect((await registry.run(['diff', '--help'])).code).toBe(0);
    expect((await apply('nowhere')).code).toBe(2);
  });
});

describe('the commit of an apply', () => {
  test('is HEAD where git has every file as it is, none where not, and else what the platform says', async () => {
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], {
        cwd: join(registry.dir, 'repository'),
        encoding: 'utf8',
      }).trim();
    const model = (description: string) => `kind: Model\nname: committed\nspec: { description: ${description} }\n`;
    const commitOfApply = async (env: Record<string, string> = {}) => {
      const { out, err } = await registry.run(['apply', '-f', 'repository/files', '--json'], {
        env: { ASSAY_API_KEY: registry.key, ...env },
      });
      return { commit: JSON.parse(out).commit, err };
    };
    await registry.write({ 'repository/files/a.yaml': model('one'), 'repository/other.txt': '1' });
    expect(await commitOfApply({ GITHUB_SHA: COMMIT })).toEqual({ commit: COMMIT, err: '' });
    expect(await commitOfApply({ BUILD_SOURCEVERSION: COMMIT })).toEqual({ commit: COMMIT, err: '' });
    expect(await commitOfApply({ GITHUB_SHA: 'main' })).toEqual({ commit: null, err: '' });
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '--message', 'one');
    const head = git('rev-parse', 'HEAD');
    await registry.write({ 'repository/other.txt': '2' }); // no file of the platform
    expect(await commitOfApply({ GITHUB_SHA: COMMIT })).toEqual({ commit: head, err: '' });
    await registry.write({ 'repository/files/a.yaml': model('two') });
    expect(await commitOfApply({ GITHUB_SHA: COMMIT })).toEqual({
      commit: null,
      err: expect.stringContaining('changes that are not committed'),
    });
    expect((await apply('repository/files', '--commit', 'HEAD')).err).toContain('is not the id of a git commit');
  });
});
