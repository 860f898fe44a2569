/** Pipelines and training specs: what is kept under a name. */
import type {
  AuditEntry,
  ErrorBody,
  KeptPipeline,
  KeptTrainingSpec,
  Page,
  Pipeline,
  RoutingSnapshot,
  TrainingSpec,
} from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: async () => {} } });
  await registry.call('POST', '/v1/models', { name: 'flights' });
  await registry.register('flights', await makePackage({ adds: 1 }));
  await registry.call('PUT', '/v1/models/flights/aliases/champion', { version: 1, expectedRevision: 0 });
});
afterAll(() => registry[Symbol.asyncDispose]());

const actionsOn = async (resource: string): Promise<[string, unknown, unknown][]> => {
  const { body } = await registry.call<Page<AuditEntry>>('GET', `/v1/audit?resource=${encodeURIComponent(resource)}`);
  return body.items.map(({ action, details }) => [action, details?.from, details?.to]);
};

describe('pipelines', () => {
  const spec = (name: string) => ({
    endpoint: 'flights',
    input: name,
    output: `${name}.scored`,
    deadLetters: `${name}.rejected`,
  });
  const path = (name: string) => `/v1/pipelines/${name}`;
  const put = (name: string, body: object, expectedRevision = 0) =>
    registry.call<KeptPipeline>('PUT', path(name), { ...body, expectedRevision });
  const refused = (name: string, body: object, expectedRevision = 0) =>
    registry.fails('PUT', path(name), { ...body, expectedRevision });
  const routed = async (): Promise<[number, Pipeline[] | undefined]> => {
    const { body } = await registry.call<RoutingSnapshot>('GET', '/v1/routing');
    return [body.revision, body.pipelines];
  };

  it('are made, changed and deleted by compare-and-set, each time with an entry, and come with routing', async () => {
    const [revision, none] = await routed();
    expect(none).toBeUndefined();
    const made = await put('moves', spec('moves'));
    expect(made).toMatchObject({ status: 200, body: { name: 'moves', revision: 1, ...spec('moves') } });
    expect(await routed()).toEqual([revision + 1, [{ name: 'moves', ...spec('moves') }]]);
    expect((await put('moves', spec('moves'), 1)).body).toEqual(made.body);
    expect((await routed())[0], 'nothing changed').toBe(revision + 1);

    expect(await refused('moves', spec('moves'))).toMatchObject({
      status: 409,
      body: { error: { code: 'STALE_REVISION', currentRevision: 1, message: expect.stringContaining('by local at') } },
    });
    const changed = { ...spec('moves'), output: 'elsewhere', maxBatchRecords: 50 };
    expect((await put('moves', changed, 1)).body).toMatchObject({ revision: 2, output: 'elsewhere' });
    expect((await put('moves', spec('moves'), 2)).body, 'what is left out has its default').not.toHaveProperty(
      'maxBatchRecords',
    );
    expect((await registry.call('DELETE', `${path('moves')}?expectedRevision=2`)).status).toBe(409);
    expect((await registry.call('DELETE', `${path('moves')}?expectedRevision=3`)).status).toBe(204);
    expect((await registry.call('GET', path('moves'))).status).toBe(404);
    expect((await registry.call('DELETE', `${path('moves')}?expectedRevision=3`)).status).toBe(404);
    expect(await routed()).toEqual([revision + 4, undefined]);
    expect((await put('moves', spec('moves'))).body.revision, 'revisions count on').toBe(5);
    expect(await actionsOn('pipeline/moves')).toEqual([
      ['pipeline.set', null, spec('moves')],
      ['pipeline.set', spec('moves'), changed],
      ['pipeline.set', changed, spec('moves')],
      ['pipeline.delete', spec('moves'), undefined],
      ['pipeline.set', null, spec('moves')],
    ]);
    await registry.call('DELETE', `${path('moves')}?expectedRevision=5`);
  });

  it.each([
    ['output', { output: 'odd' }, 'is the input topic too'],
    ['deadLetters', { deadLetters: 'odd' }, 'is the input topic too'],
    ['group', { input: 'even', group: 'assay-even' }, 'pipeline "even" reads this input in the same group'],
  ])('that contradict themselves or each other are refused, and nothing is kept: %s', async (place, wrong, message) => {
    const others = await registry.call<Page<KeptPipeline>>('GET', '/v1/pipelines');
    if (!others.body.items.some(({ name }) => name === 'even')) await put('even', spec('even'));
    expect(await refused('odd', { ...spec('odd'), ...wrong })).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_ARGUMENT', details: [{ place, message: expect.stringContaining(message) }] } },
    });
    expect((await registry.call('GET', path('odd'))).status).toBe(404);
    expect(await actionsOn('pipeline/odd')).toEqual([]);
  });

  it('name an endpoint that is there, and hold it', async () => {
    expect(await refused('lost', { ...spec('lost'), endpoint: 'flihgts' })).toMatchObject({
      status: 404,
      body: { error: { message: expect.stringContaining('did you mean "flights"?') } },
    });
    const held = (await put('held', spec('held'))).body;
    const { body: endpoint } = await registry.call<{ revision: number }>('GET', '/v1/endpoints/flights');
    const remove = () => registry.fails('DELETE', `/v1/endpoints/flights?expectedRevision=${endpoint.revision}`);
    expect(await remove()).toMatchObject({
      status: 412,
      body: { error: { code: 'FAILED_PRECONDITION', message: expect.stringMatching(/pipeline .*held/) } },
    });
    expect((await registry.call('DELETE', `${path('held')}?expectedRevision=${held.revision}`)).status).toBe(204);
  });

  it('are listed by name, a page at a time', async () => {
    for (const name of ['page-b', 'page-a', 'page-c']) await put(name, spec(name));
    const first = await registry.call<Page<KeptPipeline>>('GET', '/v1/pipelines?after=page&limit=2');
    expect([first.body.items.map(({ name }) => name), first.body.next]).toEqual([['page-a', 'page-b'], 'page-b']);
    const second = await registry.call<Page<KeptPipeline>>('GET', '/v1/pipelines?after=page-b');
    expect([second.body.items.map(({ name }) => name), second.body.next]).toEqual([['page-c'], undefined]);
  });

  it('are read strictly', async () => {
    const answer = await registry.call<ErrorBody>('PUT', path('odd'), {
      ...spec('odd'),
      outptu: 'x',
      expectedRevision: 0,
    });
    expect(answer.status).toBe(400);
    expect(answer.body.error.message).toContain('did you mean "output"?');
  });
});

describe('training specs', () => {
  const spec = (more: Partial<TrainingSpec> = {}): TrainingSpec =>
    ({
      model: 'flights',
      source: { dataset: 'flights' },
      target: { name: 'late', expression: 'delay > 15' },
      features: [{ name: 'distance', dtype: 'float32' }],
      split: { by: 'time', column: 'day', validationFrom: '2026-01-01', testFrom: '2026-02-01' },
      trainer: { name: 'lightgbm', rounds: 10 },
      ...more,
    }) as TrainingSpec; // its schema is the registry's to check
  const path = '/v1/training-specs/nightly';

  it('are made, changed and deleted by compare-and-set, with the digest that lineage has', async () => {
    const made = await registry.call<KeptTrainingSpec>('PUT', path, { spec: spec(), expectedRevision: 0 });
    expect([made.status, made.body]).toMatchObject([200, { name: 'nightly', revision: 1, spec: spec() }]);
    const changed = await registry.call<KeptTrainingSpec>('PUT', path, {
      spec: spec({ seed: 7 }),
      expectedRevision: 1,
    });
    expect(changed.body.specSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(changed.body.specSha256).not.toBe(made.body.specSha256);
    expect((await registry.call('PUT', path, { spec: spec(), expectedRevision: 1 })).status).toBe(409);
    expect((await registry.call<Page<KeptTrainingSpec>>('GET', '/v1/training-specs')).body.items).toEqual([
      changed.body,
    ]);
    expect((await registry.call('DELETE', `${path}?expectedRevision=2`)).status).toBe(204);
    expect((await registry.fails('GET', '/v1/training-specs/nightyl')).body.error.message).not.toContain(
      'did you mean',
    );
    const entries = await registry.call<Page<AuditEntry>>('GET', '/v1/audit?resource=training-spec%2Fnightly');
    expect(entries.body.items.map(({ action, details }) => [action, details?.specSha256])).toEqual([
      ['training-spec.set', made.body.specSha256],
      ['training-spec.set', changed.body.specSha256],
      ['training-spec.delete', undefined],
    ]);
  });

  it('are in no folder: a relative path is refused with what to name instead', async () => {
    const body = (source: object) => ({ spec: { ...spec(), source }, expectedRevision: 0 });
    expect(
      await registry.fails('PUT', '/v1/training-specs/files', body({ path: 'data/*.csv', format: 'csv' })),
    ).toMatchObject({
      status: 400,
      body: {
        error: { details: [{ place: 'spec.source.path', expected: expect.stringContaining('spec.source.dataset') }] },
      },
    });
    const absolute = body({ path: '/data/*.csv', format: 'csv' });
    expect((await registry.call('PUT', '/v1/training-specs/files', absolute)).status).toBe(200);
  });

  it('are specs: what their schema refuses is told with its place', async () => {
    const wrong = { spec: { ...spec(), trainer: { name: 'lightgbm', round: 3 } }, expectedRevision: 0 };
    expect(await registry.fails('PUT', path, wrong)).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_ARGUMENT', message: expect.stringContaining('spec.trainer') } },
    });
  });
});
