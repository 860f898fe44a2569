import Type from 'typebox';
import { expect, test } from 'vitest';
import type { App } from '../app.ts';
import { appUnderTest } from '../app-under-test.ts';
import { errorResponses } from '../error-responses.ts';
import { describeOpenApi } from '../openapi.ts';
import { openApiViolations } from './openapi-rules.ts';

const Thing = Type.Object({ name: Type.String() }, { $id: 'Thing', additionalProperties: false });
const FormOfV2 = Type.Object({ error: Type.String() }, { $id: 'FormOfV2', additionalProperties: false });
const params = Type.Object({ id: Type.String() });
const described = { tags: ['things'], summary: 'Read a thing' };

const answered = (): { name: string } => ({ name: 'a' });

async function violationsOf(add: (app: App) => void, rules?: Parameters<typeof openApiViolations>[1]) {
  const { app } = appUnderTest();
  add(app);
  return openApiViolations(await describeOpenApi(app), rules);
}

test('a document whose routes say all there is to say passes', async () => {
  const violations = await violationsOf((app) => {
    const response = { 200: Thing, ...errorResponses('NOT_FOUND') };
    app.get('/v1/things/:id', { schema: { ...described, params, response } }, answered);
  });
  expect(violations).toEqual([]);
});

test('everything that is missing or wrong is told at once, with its operation', async () => {
  const violations = await violationsOf((app) => {
    app.get('/v1/silent', answered);
    app.get('/v1/things/:id', { schema: { ...described, operationId: 'readThing', params } }, answered);
    app.put('/v1/things/:name', { schema: { ...described, operationId: 'readThing', params } }, answered);
    app.get('/v1/nothing', { schema: { ...described, response: { 404: Type.Null(), 503: Thing } } }, answered);
  });
  expect(violations).toEqual([
    'operationId "readThing": repeated',
    '/v1/things/{}: two paths differ in nothing but the names of their parameters',
    'GET /v1/silent: has neither summary nor description',
    'GET /v1/silent: has no tag',
    'PUT /v1/things/{name}: its parameter "id" is not in the path',
    'PUT /v1/things/{name}: "name" of the path is not declared',
    'GET /v1/nothing: its answer 404 is no named form of JSON, not #/components/schemas/Error',
    'GET /v1/nothing: its answer 503 is #/components/schemas/Thing, not #/components/schemas/Error',
  ]);
});

test('errors have the form of their protocol, and of no other', async () => {
  const add = (app: App) => {
    app.get('/v2/own', { schema: { ...described, response: { 200: Thing, default: FormOfV2 } } }, answered);
    app.get('/v2/ours', { schema: { ...described, response: { 200: Thing, 503: Thing } } }, answered);
  };
  expect(await violationsOf(add, { errorForms: { '/v2': 'FormOfV2' } })).toEqual([
    'GET /v2/ours: its answer default is #/components/schemas/Error, not #/components/schemas/FormOfV2',
  ]);
});

test('what is not OpenAPI, and what is no JSON Schema, is told with its place', async () => {
  const { app } = appUnderTest();
  app.get('/v1/things', { schema: { ...described, response: { 200: Thing } } }, answered);
  const document = await describeOpenApi(app);
  const { openapi: _, ...unversioned } = document;
  expect(await openApiViolations(unversioned)).toEqual([expect.stringContaining('version')]);
  const { title: __, ...info } = document.info as { title: string }; // of the app under test
  expect(await openApiViolations({ ...document, info })).toContain("/info: must have required property 'title'");
  const components = { schemas: { ...(document.components as { schemas: object }).schemas, Thing: { type: 'thing' } } };
  expect(await openApiViolations({ ...document, components })).toContainEqual(
    expect.stringContaining('/components/schemas/Thing/type: must be equal to one of the allowed values'),
  );
  const { Thing: ___, ...schemas } = components.schemas;
  expect(await openApiViolations({ ...document, components: { schemas } })).toEqual([
    expect.stringContaining('#/components/schemas/Thing'),
  ]);
});

test('a parameter of a path has the name of a variable', async () => {
  const { app } = appUnderTest();
  app.get('/v1/things/:id', { schema: { ...described, params, response: { 200: Thing } } }, answered);
  const text = JSON.stringify(await describeOpenApi(app))
    .replace('{id}', '{*}')
    .replace('"name":"id"', '"name":"*"');
  expect(await openApiViolations(JSON.parse(text))).toEqual([
    'GET /v1/things/{*}: "*" of the path is no name for a variable',
  ]);
});
