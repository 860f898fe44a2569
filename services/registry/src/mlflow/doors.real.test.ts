/** What MLflow's doors refuse, keep and survive, seen on the wire. */
import { request } from 'node:http';
import { Readable } from 'node:stream';
import type { Alias, Endpoint, Version } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { describe, expect, it } from 'vitest';
import { startKeyedRegistry } from '../keys-under-test.ts';
import { type MadePackage, makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { runPython } from './mlflow-under-test.ts';
import { reserveVersion } from './store/reserve-version.ts';

const API = '/api/2.0/mlflow';
const ARTIFACTS = '/api/2.0/mlflow-artifacts/artifacts';

interface MlflowError {
  readonly error_code: string;
  readonly message: string;
}

interface Registered {
  readonly model_version: { readonly version: string; readonly status: string; readonly status_message: string };
}

/** A request whose path is sent as it is written here. */
function raw(
  registry: RegistryUnderTest,
  method: string,
  path: string,
  body = '',
): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(registry.url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject).end(body);
  });
}

const put = (registry: RegistryUnderTest, path: string, body: string | Uint8Array<ArrayBuffer>) =>
  fetch(`${registry.url}${ARTIFACTS}/${path}`, { method: 'PUT', body });

async function logPackage(registry: RegistryUnderTest, folder: string, made: MadePackage): Promise<void> {
  for (const name of ['MLmodel', 'model.onnx']) {
    const answer = await put(registry, `${folder}/${name}`, Buffer.from(made.contents.get(name) ?? ''));
    expect(answer.status).toBe(200);
  }
}

const register = (registry: RegistryUnderTest, name: string, source: string) =>
  registry.call<Registered>('POST', `${API}/model-versions/create`, { name, source });

describe('keys', () => {
  it('are shown as a token or as a password, and their scopes hold as elsewhere', async () => {
    await using registry = await startKeyedRegistry();
    const { text: refused, status } = await registry.call(undefined, 'GET', `${API}/registered-models/search`);
    expect([status, JSON.parse(refused).error_code]).toEqual([401, 'UNAUTHENTICATED']);

    const reader = await registry.makeKey({ principal: 'rita', scopes: ['read'] });
    const create = { name: 'm' };
    const denied = await registry.call(reader.secret, 'POST', `${API}/registered-models/create`, create);
    expect([denied.status, denied.body.error_code]).toEqual([403, 'PERMISSION_DENIED']);
    const author = await registry.makeKey({ principal: 'ada', scopes: ['read', 'register'] });
    expect((await registry.call(author.secret, 'POST', `${API}/registered-models/create`, create)).status).toBe(200);
    const moved = await registry.call(author.secret, 'POST', `${API}/registered-models/alias`, {
      name: 'm',
      alias: 'champion',
      version: '1',
    });
    expect([moved.status, moved.body.error_code]).toEqual([403, 'PERMISSION_DENIED']);

    for (const env of [
      { MLFLOW_TRACKING_TOKEN: author.secret },
      { MLFLOW_TRACKING_USERNAME: 'ada', MLFLOW_TRACKING_PASSWORD: author.secret },
    ]) {
      expect(await runPython('who_am_i.py', [registry.url], env)).toBe('ada\n');
    }
    const wrong = { MLFLOW_TRACKING_TOKEN: `${author.secret.slice(0, -6)}xxxxxx` };
    await expect(runPython('who_am_i.py', [registry.url], wrong)).rejects.toThrow('UNAUTHENTICATED');
  });
});

it('a client is denied what gates hold back, and told each of them', async () => {
  await using registry = await startKeyedRegistry();
  const ada = await registry.makeKey({ principal: 'ada', scopes: ['read', 'register', 'promote'] });
  const bob = await registry.makeKey({ principal: 'bob', scopes: ['promote'] });
  await registry.call(ada.secret, 'POST', '/v1/models', { name: 'fraud' });
  const gates = { approvals: 1, metrics: [{ metric: 'auc', min: 0.7 }] };
  await registry.call(registry.keys.admin, 'PUT', '/v1/models/fraud/gates', { expectedRevision: 0, gates });
  const env = { MLFLOW_TRACKING_TOKEN: ada.secret };
  expect(await runPython('gated_session.py', [registry.url, bob.secret], env)).toBe('2\n');
});

describe('artifacts', () => {
  it('have no path out of their tree', async () => {
    await using registry = await startRegistry();
    const bad = [
      '0/../x',
      '0/%2e%2e/x',
      '0/%2E%2E%2Fx',
      '0//x',
      '0/./x',
      '0/a%00b',
      '0/a%5C..%5Cb',
      `0/${'n'.repeat(300)}`,
      `${'d/'.repeat(60)}x`,
    ];
    for (const path of bad) {
      for (const method of ['PUT', 'GET', 'DELETE']) {
        const { status, text } = await raw(registry, method, `${ARTIFACTS}/${path}`, method === 'PUT' ? 'x' : '');
        expect([status, JSON.parse(text).error_code], `${method} ${path}`).toEqual([400, 'INVALID_PARAMETER_VALUE']);
      }
    }
    const listed = await registry.call<{ files: unknown[] }>('GET', `${ARTIFACTS}?path=`);
    expect(listed.body.files).toEqual([]);
    const outside = await registry.call<MlflowError>('GET', `${ARTIFACTS}?path=..%2F..`);
    expect(outside.body.error_code).toBe('INVALID_PARAMETER_VALUE');
  });

  it('are whole or absent: an upload that is cut leaves nothing', async () => {
    await using registry = await startRegistry();
    const { hostname, port } = new URL(registry.url);
    const cut = request({
      hostname,
      port,
      method: 'PUT',
      path: `${ARTIFACTS}/0/run/artifacts/big`,
      headers: { 'content-length': 1_000_000 },
    });
    cut.on('error', () => {});
    cut.write(Buffer.alloc(10_000));
    const metrics = async () => (await fetch(`${registry.url}/metrics`)).text();
    await expect.poll(metrics).toContain('assay_registry_blob_bytes_total{direction="in"} 10000');
    cut.destroy();
    await new Promise((resolve) => cut.once('close', resolve));
    expect((await fetch(`${registry.url}${ARTIFACTS}/0/run/artifacts/big`)).status).toBe(404);
    expect((await put(registry, '0/run/artifacts/big', 'whole')).status).toBe(200);
    expect(await (await fetch(`${registry.url}${ARTIFACTS}/0/run/artifacts/big`)).text()).toBe('whole');
  });

  it('are files or folders, not both, and go with their folder', async () => {
    await using registry = await startRegistry();
    await put(registry, '0/run/artifacts/a/b/c.txt', 'c');
    await put(registry, '0/run/artifacts/a/d.txt', 'four');
    expect((await put(registry, '0/run/artifacts/a', 'x')).status).toBe(400);
    expect((await put(registry, '0/run/artifacts/a/d.txt/e', 'x')).status).toBe(400);
    const listed = await registry.call<{ files: unknown[] }>('GET', `${ARTIFACTS}?path=0/run/artifacts/a`);
    expect(listed.body.files).toEqual([
      { path: 'b', is_dir: true },
      { path: 'd.txt', is_dir: false, file_size: 4 },
    ]);
    expect((await registry.call('DELETE', `${ARTIFACTS}/0/run/artifacts/a`)).status).toBe(200);
    expect((await fetch(`${registry.url}${ARTIFACTS}/0/run/artifacts/a/b/c.txt`)).status).toBe(404);
  });

  it('are streamed: memory does not grow with their size', async () => {
    await using registry = await startRegistry();
    const [chunk, chunks] = [Buffer.alloc(1 << 20, 7), 300];
    const before = process.memoryUsage().rss;
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    try {
      const body = Readable.from(Array.from({ length: chunks }, () => chunk));
      const init = { method: 'PUT', body, duplex: 'half' } as const; // which fetch needs, and the types do not know
      expect((await fetch(`${registry.url}${ARTIFACTS}/0/run/artifacts/huge`, init)).status).toBe(200);
      let received = 0;
      const download = await fetch(`${registry.url}${ARTIFACTS}/0/run/artifacts/huge`);
      for await (const part of download.body ?? []) received += part.length;
      expect(received).toBe(chunk.length * chunks);
    } finally {
      clearInterval(watch);
    }
    expect(most - before).toBeLessThan(180 * 1024 * 1024);
  });
});

describe('a version that MLflow registers', () => {
  it('keeps the files that it was made of, whatever becomes of them', async () => {
    await using registry = await startRegistry();
    await registry.call('POST', '/v1/models', { name: 'm' });
    await logPackage(registry, '0/run/artifacts/model', await makePackage({ adds: 1 }));
    const made = await register(registry, 'm', 'mlflow-artifacts:/0/run/artifacts/model');
    expect(made.body.model_version).toMatchObject({ version: '1', status: 'READY', status_message: '' });
    const before = (await registry.call<Version>('GET', '/v1/models/m/versions/1')).body;

    await put(registry, '0/run/artifacts/model/model.onnx', 'other bytes');
    await registry.call('DELETE', `${ARTIFACTS}/0/run/artifacts/model`);
    const { body } = await registry.call<{ artifact_uri: string }>(
      'GET',
      `${API}/model-versions/get-download-uri?name=m&version=1`,
    );
    const path = body.artifact_uri.replace('mlflow-artifacts:/', '');
    expect(path).toBe(`versions/${before.id}`);
    const kept = await fetch(`${registry.url}${ARTIFACTS}/${path}/model.onnx`);
    expect(Buffer.from(await kept.arrayBuffer())).toEqual(
      Buffer.from((await makePackage({ adds: 1 })).contents.get('model.onnx') ?? ''),
    );
    const overwritten = await put(registry, `${path}/model.onnx`, 'x');
    expect(overwritten.status).toBe(403);
    expect((await registry.call<MlflowError>('DELETE', `${ARTIFACTS}/${path}`)).body.error_code).toBe(
      'PERMISSION_DENIED',
    );
  });

  it('is finished by the next process when one ends before its package is made', async () => {
    await using first = await startRegistry();
    await first.call('POST', '/v1/models', { name: 'm' });
    await logPackage(first, '0/run/artifacts/model', await makePackage({ adds: 2 }));
    await first.stop();
    {
      await using database = await openRegistryDatabase(databaseUrlOf(first.dir));
      const store = { database, onRerouted() {}, onRekeyed() {} };
      const actor = {
        principal: 'ada',
        keyId: null,
        requestId: newId('req'),
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      };
      const { version } = await reserveVersion(store, actor, {
        name: 'm',
        source: 'mlflow-artifacts:/0/run/artifacts/model',
        runId: undefined,
        runLink: '',
        loggedModelId: undefined,
        description: 'made twice',
        tags: { a: 'b' },
      });
      expect(version).toBe(1);
    }
    await using second = await startRegistry({ dir: first.dir });
    await expect
      .poll(async () => (await second.call<Version>('GET', '/v1/models/m/versions/1')).body, { timeout: 30_000 })
      .toMatchObject({
        version: 1,
        createdBy: 'ada',
        description: 'made twice',
        tags: { a: 'b' },
        files: { length: 3 },
      });
  });

  it('that cannot be served makes no endpoint and moves none, until one comes that can', async () => {
    await using registry = await startRegistry();
    await registry.call('POST', '/v1/models', { name: 'm' });
    await put(registry, '0/run/artifacts/bad/MLmodel', 'flavors:\n  onnx:\n    data: model.onnx\n');
    await put(registry, '0/run/artifacts/bad/model.onnx', 'this is no graph');
    await put(registry, '0/run/artifacts/trees/MLmodel', 'flavors:\n  sklearn: {}\n  python_function: {}\n');
    await logPackage(registry, '0/run/artifacts/good', await makePackage());
    const bad = await register(registry, 'm', 'mlflow-artifacts:/0/run/artifacts/bad');
    expect(bad.body.model_version.status_message).toMatch(/^not servable: /);
    const trees = await register(registry, 'm', 'mlflow-artifacts:/0/run/artifacts/trees');
    expect(trees.body.model_version.status_message).toContain(
      'it has no ONNX flavor (it has sklearn, python_function)',
    );
    await register(registry, 'm', 'mlflow-artifacts:/0/run/artifacts/good');

    const alias = (version: string) =>
      registry.call<MlflowError>('POST', `${API}/registered-models/alias`, { name: 'm', alias: 'champion', version });
    expect((await alias('1')).status).toBe(200);
    expect((await registry.call('GET', '/v1/endpoints/m')).status).toBe(404);
    expect((await alias('3')).status).toBe(200);
    const endpoint = (await registry.call<Endpoint>('GET', '/v1/endpoints/m')).body;
    expect(endpoint.variants).toHaveLength(1);
    const refused = await alias('2');
    expect([refused.status, refused.body.error_code]).toEqual([400, 'BAD_REQUEST']);
    expect(refused.body.message).toContain('it is not servable');
    expect((await registry.call<Alias>('GET', '/v1/models/m/aliases/champion')).body.version).toBe(3);
    const served = await registry.call<MlflowError>('DELETE', `${API}/model-versions/delete`, {
      name: 'm',
      version: '3',
    });
    expect(served.body.message).toContain('version 3 of m is needed: endpoint m serves version 3');
    expect((await registry.call<MlflowError>('DELETE', `${API}/registered-models/delete`, { name: 'm' })).status).toBe(
      400,
    );
  });

  it('has a number of its own, however many are registered at once', async () => {
    await using registry = await startRegistry();
    await registry.call('POST', '/v1/models', { name: 'm' });
    const all = await Promise.all(Array.from({ length: 12 }, () => register(registry, 'm', 's3://elsewhere/model')));
    const numbers = all.map(({ body }) => Number(body.model_version.version)).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  });
});

describe("what MLflow's API does not take", () => {
  it('is refused in its own form', async () => {
    await using registry = await startRegistry();
    const run = await registry.call<{ run: { info: { run_id: string } } }>('POST', `${API}/runs/create`, {});
    const id = run.body.run.info.run_id;
    const metric = { key: 'm', value: 1, timestamp: 1, step: 0 };
    const cases: [string, string, unknown, number, string][] = [
      [
        'POST',
        `${API}/runs/log-batch`,
        { run_id: id, metrics: Array(1001).fill(metric) },
        400,
        'INVALID_PARAMETER_VALUE',
      ],
      [
        'POST',
        `${API}/runs/log-batch`,
        { run_id: id, params: Array(101).fill({ key: 'a', value: 'b' }) },
        400,
        'INVALID_PARAMETER_VALUE',
      ],
      ['POST', `${API}/runs/log-metric`, { run_id: id, key: 'm', value: 'many' }, 400, 'INVALID_PARAMETER_VALUE'],
      [
        'POST',
        `${API}/runs/log-metric`,
        { run_id: id, key: 'm', value: 1, step: '9223372036854775807' },
        400,
        'INVALID_PARAMETER_VALUE',
      ],
      ['POST', `${API}/runs/log-metric`, { key: 'm', value: 1 }, 400, 'INVALID_PARAMETER_VALUE'],
      ['POST', `${API}/runs/search`, { experiment_ids: ['0'], max_results: 0 }, 400, 'INVALID_PARAMETER_VALUE'],
      ['POST', `${API}/runs/search`, { experiment_ids: ['0'], page_token: 'made up' }, 400, 'INVALID_PARAMETER_VALUE'],
      [
        'POST',
        `${API}/runs/search`,
        { experiment_ids: ['0'], order_by: ['metrics.m SIDEWAYS'] },
        400,
        'INVALID_PARAMETER_VALUE',
      ],
      ['POST', `${API}/runs/create`, { experiment_id: '77' }, 404, 'RESOURCE_DOES_NOT_EXIST'],
      ['POST', `${API}/experiments/delete`, { experiment_id: '0' }, 400, 'INVALID_PARAMETER_VALUE'],
      ['POST', `${API}/traces/search`, {}, 404, 'ENDPOINT_NOT_FOUND'],
      ['GET', `/api/3.0/mlflow/server-info`, undefined, 404, 'ENDPOINT_NOT_FOUND'],
      [
        'GET',
        `${API}/metrics/get-history?run_id=${'0'.repeat(32)}&metric_key=m`,
        undefined,
        404,
        'RESOURCE_DOES_NOT_EXIST',
      ],
      ['POST', `${API}/registered-models/create`, { name: 'mdl_x' }, 400, 'INVALID_PARAMETER_VALUE'],
      ['POST', `${API}/registered-models/create`, { name: 'a b' }, 400, 'INVALID_PARAMETER_VALUE'],
    ];
    for (const [method, path, body, status, code] of cases) {
      const answer = await registry.call<MlflowError>(method, path, body);
      expect([answer.status, answer.body.error_code], `${path} ${answer.body.message}`).toEqual([status, code]);
      expect(Object.keys(answer.body).sort()).toEqual(['error_code', 'message']);
    }
  });

  it('changes nothing when a part of a batch is refused, and stores a batch that is sent twice once', async () => {
    await using registry = await startRegistry();
    const run = await registry.call<{ run: { info: { run_id: string } } }>('POST', `${API}/runs/create`, {});
    const id = run.body.run.info.run_id;
    const metrics = [
      { key: 'm', value: 'NaN', timestamp: 1, step: 0 },
      { key: 'm', value: 0.5, timestamp: 2, step: '1' },
    ];
    const batch = { run_id: id, metrics, params: [{ key: 'p', value: '1' }] };
    for (let i = 0; i < 2; i++) expect((await registry.call('POST', `${API}/runs/log-batch`, batch)).status).toBe(200);
    const other = { run_id: id, metrics: [{ key: 'n', value: 1, timestamp: 1 }], params: [{ key: 'p', value: '2' }] };
    expect((await registry.call('POST', `${API}/runs/log-batch`, other)).status).toBe(400);
    const history = await registry.call('GET', `${API}/metrics/get-history?run_id=${id}&metric_key=m`);
    expect(history.body).toEqual({
      metrics: [
        { key: 'm', value: 'NaN', timestamp: 1, step: 0 },
        { key: 'm', value: 0.5, timestamp: 2, step: 1 },
      ],
    });
    const found = await registry.call<{ run: { data: unknown } }>('GET', `${API}/runs/get?run_id=${id}`);
    expect(found.body.run.data).toMatchObject({
      metrics: [{ key: 'm', value: 0.5 }],
      params: [{ key: 'p', value: '1' }],
    });
  });
});
