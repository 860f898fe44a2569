import type { AuditVerification, ErrorBody, RoutingSnapshot } from '@assay/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';

let registry: RegistryUnderTest;
let versionId: string;

beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: async () => {} } });
  await registry.call('POST', '/v1/models', { name: 'm' });
  versionId = (await registry.register('m', await makePackage())).body.id;
  await registry.call('PUT', '/v1/models/m/aliases/champion', { version: 1, expectedRevision: 0 });
});
afterAll(() => registry[Symbol.asyncDispose]());

const word = fc.constantFrom(
  'm',
  'champion',
  'latest',
  'v1',
  '1',
  '0',
  '-1',
  '1e9',
  '99999999999999999999',
  'mdl_x',
  'ver_x',
  '__proto__',
  '..',
  '%2e%2e',
  'a'.repeat(200),
  'ü',
  ' ',
  "'; drop table models; --",
  '%00',
  '*',
);
const segment = fc
  .oneof({ weight: 4, arbitrary: word }, { weight: 1, arbitrary: fc.string({ maxLength: 20 }) })
  .map((text) => (/^%[0-9a-f]{2}/.test(text) ? text : encodeURIComponent(text)));
const path = fc.oneof(
  fc.constant('/v1/models'),
  segment.map((model) => `/v1/models/${model}`),
  segment.map((model) => `/v1/models/${model}/versions`),
  fc.tuple(segment, segment).map(([model, version]) => `/v1/models/${model}/versions/${version}`),
  segment.map((id) => `/v1/versions/${id}`),
  fc.tuple(segment, segment).map(([id, file]) => `/v1/versions/${id}/files/${file}`),
  segment.map((model) => `/v1/models/${model}/aliases`),
  fc.tuple(segment, segment).map(([model, alias]) => `/v1/models/${model}/aliases/${alias}`),
  fc.constant('/v1/datasets'),
  segment.map((name) => `/v1/datasets/${name}`),
  segment.map((name) => `/v1/datasets/${name}/versions`),
  fc.tuple(segment, segment).map(([name, version]) => `/v1/datasets/${name}/versions/${version}`),
  fc.tuple(segment, segment).map(([version, file]) => `/v1/datasets/m/versions/${version}/files/${file}`),
  segment.map((id) => `/v1/dataset-versions/${id}`),
  fc.constant('/v1/endpoints'),
  segment.map((name) => `/v1/endpoints/${name}`),
  fc.constantFrom('/v1/routing', '/v1/audit', '/v1/audit/verify', '/v1/nothing', '/'),
  segment.map((sha256) => `/v1/blobs/${sha256}`),
  fc.constant(`/v1/blobs/${'a'.repeat(64)}`),
);
const query = fc.array(
  fc.tuple(
    fc.constantFrom('limit', 'after', 'expectedRevision', 'waitMs', 'principal', 'resource', 'action', 'typo'),
    fc.oneof(
      fc.constantFrom('0', '1', '-1', '1.5', '1e3', 'x', '', 'null', '9007199254740993', '1001'),
      fc.string({ maxLength: 8 }),
    ),
  ),
  { maxLength: 3 },
);
/** Values near to what the routes take: right keys with wrong values, and the other way round. */
const scalar = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1, 0.5, 2 ** 53, 1e308, '', '1', 'm', 'champion', 'ver_x', 'a'.repeat(300)),
  fc.string({ maxLength: 10 }),
);
const nearly = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        'name',
        'description',
        'files',
        'path',
        'sha256',
        'sizeBytes',
        'tags',
        'version',
        'expectedRevision',
        'variants',
        'versionId',
        'weight',
        'follow',
        'model',
        'alias',
        'contract',
        'features',
        'outputs',
        'defaultTimeoutMs',
        'idempotencyKey',
        'strategy',
        'format',
        'rows',
        'schema',
        'type',
        'nullable',
        'profile',
        'personalData',
        'parents',
        'changes',
        'extra',
        'constructor',
      ),
      tie('value'),
      { maxKeys: 5 },
    ),
  ),
})).value;
const body = fc.oneof(
  fc.constant(undefined),
  nearly.map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '',
    '{',
    '[[[[',
    '{"a":1,}',
    '{"__proto__":{}}',
    `${'['.repeat(100_000)}`,
    '\u0000',
    'NaN',
    '"x"',
    '[]',
  ),
  fc.string({ maxLength: 30 }),
);
const contentType = fc.constantFrom(
  'application/json',
  'text/plain',
  'application/octet-stream',
  'application/json; charset=utf-16',
  'nonsense',
);

describe('whatever is sent', () => {
  it('is answered, never with a 500, and every refusal has the one shape', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
        path,
        query,
        body,
        contentType,
        async (method, path, query, body, type) => {
          const suffix = query.length === 0 ? '' : `?${new URLSearchParams(query)}`;
          const waits = path === '/v1/routing' && suffix.includes('waitMs'); // what it waits for is tested elsewhere
          const answer = await fetch(`${registry.url}${path}${waits ? '' : suffix}`, {
            method,
            ...(body === undefined || method === 'GET' ? {} : { body, headers: { 'content-type': type } }),
          });
          const text = await answer.text();
          expect(answer.status, text).toBeLessThan(500);
          if (answer.status >= 400) {
            refused += 1;
            const { error } = JSON.parse(text) as ErrorBody; // the property says that it is one
            expect(error).toMatchObject({
              code: expect.any(String),
              message: expect.any(String),
              requestId: expect.any(String),
            });
            expect(error.message).not.toMatch(/sqlite|SQLITE|undefined|\[object/);
          }
        },
      ),
      { numRuns: 600 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it('is answered also where a text holds a NUL, which some databases cannot keep', async () => {
    const text = 'a\u0000b';
    const encoded = encodeURIComponent(text);
    const answers = [
      await registry.fails('POST', '/v1/models', { name: 'nul', description: text }),
      await registry.fails('POST', '/v1/models/m/versions', { files: [], description: text, idempotencyKey: text }),
      await registry.fails('POST', '/v1/keys', { principal: 'nul', scopes: ['read'], description: text }),
      await registry.fails('GET', `/v1/models?after=${encoded}`),
      await registry.fails('GET', `/v1/datasets?after=${encoded}`),
      await registry.fails('GET', `/v1/audit?principal=${encoded}`),
      await registry.fails('GET', `/v1/audit?resource=${encoded}`),
    ];
    expect(answers.filter(({ status }) => status >= 500).map(({ body }) => body.error.message)).toEqual([]);
  });

  it('leaves a registry that still answers, routes the same, and whose chain verifies', async () => {
    const { body: snapshot } = await registry.call<RoutingSnapshot>('GET', '/v1/routing');
    expect(snapshot.endpoints.find((endpoint) => endpoint.name === 'm')?.variants).toEqual([
      { versionId, weight: 10_000 },
    ]);
    expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body).toMatchObject({ valid: true });
  });
});

describe('mistakes are told with their place', () => {
  it.each([
    [
      'POST',
      '/v1/models/m/versions',
      { files: [{ path: '../x', sha256: 'a'.repeat(64), sizeBytes: 1 }] },
      400,
      'files[0].path',
    ],
    ['POST', '/v1/models/m/versions', { files: [] }, 400, 'files'],
    [
      'POST',
      '/v1/models/m/versions',
      { files: [{ path: 'model.onnx', sha256: 'x', sizeBytes: -1 }] },
      400,
      'files[0].sha256',
    ],
    ['PUT', '/v1/models/m/aliases/a', { version: 1 }, 400, 'expectedRevision'],
    ['PUT', '/v1/models/m/aliases/a', { version: '', expectedRevision: 0 }, 400, 'version'],
    [
      'PUT',
      '/v1/endpoints/e',
      { expectedRevision: 0, variants: [{ versionId: 'v', weight: 10_001 }] },
      400,
      'variants[0].weight',
    ],
    ['DELETE', '/v1/endpoints/m', undefined, 400, 'query.expectedRevision'],
    ['GET', '/v1/models?limit=0', undefined, 400, 'query.limit'],
    ['GET', '/v1/models?limt=1', undefined, 400, 'query.limt'],
    ['GET', '/v1/models/m/versions?after=x', undefined, 400, 'query.after'],
    ['GET', '/v1/audit?after=x', undefined, 400, 'query.after'],
  ])('%s %s with %j: %i at %s', async (method, path, body, status, place) => {
    const refused = await registry.fails(method, path, body);
    expect(refused.status).toBe(status);
    expect(refused.body.error.details.map((detail) => detail.place)).toContain(place);
  });

  it('refuses credentials that it cannot check, and says so', async () => {
    const answer = await fetch(`${registry.url}/v1/models`, {
      method: 'POST',
      body: '{"name":"with-key"}',
      headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
    });
    expect(answer.status).toBe(401);
  });
});
