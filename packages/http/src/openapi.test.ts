import { CreateModel, Model, Page, PageQuery } from '@assay/contracts';
import Type from 'typebox';
import { expect, test } from 'vitest';
import { appUnderTest } from './app-under-test.ts';
import { describeOpenApi } from './openapi.ts';

function registryLike() {
  const { app } = appUnderTest();
  app.post(
    '/v1/models',
    { schema: { summary: 'Create a model', body: CreateModel, response: { 201: Model } } },
    async () => {
      throw new Error('not called');
    },
  );
  app.get(
    '/v1/models',
    { schema: { querystring: PageQuery, response: { 200: Page(Model, 'ModelPage') } } },
    async () => ({ items: [] }),
  );
  app.register(async (scope) => {
    scope.get(
      '/v1/models/:model/versions/:version',
      { schema: { params: Type.Object({ model: Type.String(), version: Type.Integer() }) } },
      async () => ({}),
    );
  });
  return app;
}

/** Every `$ref` in a document. */
function refsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(refsOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => (key === '$ref' ? [String(child)] : refsOf(child)));
}

test('the document is OpenAPI 3.1 with every route that was declared, before and after', async () => {
  const document = await describeOpenApi(registryLike());
  expect(document.openapi).toBe('3.1.0');
  expect(document.info).toEqual({ title: 'Sample', description: 'For tests.', version: '1.2.3' });
  expect(Object.keys(document.paths as object).sort()).toEqual([
    '/livez',
    '/metrics',
    '/readyz',
    '/v1/models',
    '/v1/models/{model}/versions/{version}',
  ]);
});

test('named schemas are components of that name, and every reference is to one', async () => {
  const document = await describeOpenApi(registryLike());
  const { schemas } = document.components as { schemas: Record<string, unknown> };
  expect(Object.keys(schemas)).toEqual([
    'CreateModel',
    'Error',
    'ErrorDetail',
    'Liveness',
    'Model',
    'ModelPage',
    'ReadyCheck',
    'ReadyReport',
  ]);
  const refs = refsOf(document);
  expect(refs).toContain('#/components/schemas/CreateModel');
  for (const ref of refs) expect(schemas).toHaveProperty([ref.replace('#/components/schemas/', '')]);
  expect(JSON.stringify(document)).not.toContain('$id');
});

test('each operation has an id, meanings for its answers, and the one form of errors', async () => {
  const document = await describeOpenApi(registryLike());
  const paths = document.paths as Record<
    string,
    Record<string, { operationId: string; responses: Record<string, { description: string }> }>
  >;
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
  expect(operations.length).toBeGreaterThanOrEqual(6);
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toContain('getV1ModelsByModelVersionsByVersion');
  for (const { responses } of operations) {
    expect(responses.default).toMatchObject({
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
    });
    for (const { description } of Object.values(responses)) expect(description).not.toMatch(/^(Default Response)?$/);
  }
  expect(paths['/v1/models']?.post).toMatchObject({
    summary: 'Create a model',
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/CreateModel' } } },
    },
    responses: { 201: { description: 'Created.' } },
  });
  expect(paths['/v1/models']?.get).toMatchObject({
    parameters: expect.arrayContaining([expect.objectContaining({ name: 'limit', in: 'query', required: false })]),
  });
});

test('the rest of a path is a parameter with a name', async () => {
  const { app } = appUnderTest();
  const params = Type.Object({ id: Type.String(), '*': Type.String({ minLength: 1 }) });
  app.get('/v1/versions/:id/files/*', { schema: { params } }, async () => ({}));
  const { paths } = (await describeOpenApi(app)) as { paths: Record<string, Record<string, unknown>> }; // OpenAPI's form
  expect(paths['/v1/versions/{id}/files/{path}']?.get).toMatchObject({
    operationId: 'getV1VersionsByIdFilesPath',
    parameters: [
      { name: 'id', in: 'path', required: true },
      { name: 'path', in: 'path', required: true, schema: { type: 'string', minLength: 1 } },
    ],
  });
});

test('it is the same each time, so that it can be committed and compared', async () => {
  expect(JSON.stringify(await describeOpenApi(registryLike()))).toBe(
    JSON.stringify(await describeOpenApi(registryLike())),
  );
});

test('it is made once, when it is asked for', async () => {
  const app = registryLike();
  await app.ready();
  expect(await app.openApi()).toBe(await app.openApi());
});

test('two different schemas of one name are refused', async () => {
  const { app } = appUnderTest();
  app.get('/a', { schema: { response: { 200: Type.String({ $id: 'X' }) } } }, async () => 'a');
  app.get('/b', { schema: { response: { 200: Type.Integer({ $id: 'X' }) } } }, async () => 1);
  await expect(describeOpenApi(app)).rejects.toThrow('two different schemas are called X');
});

test('the app serves the document and a page to read it', async () => {
  const app = registryLike();
  const served = await app.inject('/openapi.json');
  expect(served.headers['content-type']).toBe('application/json');
  expect(served.json()).toEqual(await describeOpenApi(app));
  const page = await app.inject('/docs');
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  expect(page.headers['content-security-policy']).toContain("default-src 'none'; script-src 'self';");
  const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source ?? '');
  expect(sources.length).toBeGreaterThanOrEqual(4);
  for (const source of sources) {
    expect(source).toMatch(/^\//);
    expect((await app.inject(source)).statusCode).toBe(200);
  }
});
