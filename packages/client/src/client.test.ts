import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssayError, type Model, type PackageFile } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { answer, errorBody, type FakePeer, fakePeer, readAll } from './fake-peer.ts';
import { createRegistryClient, createScoringClient, createTrainingClient } from './index.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function peer(handle: Parameters<typeof fakePeer>[0]): Promise<FakePeer> {
  const made = await fakePeer(handle);
  cleanups.push(() => made.close());
  return made;
}

function registry(url: string, more: Partial<Parameters<typeof createRegistryClient>[0]> = {}) {
  const client = createRegistryClient({ url, retry: { initialDelayMs: 1, maxDelayMs: 5 }, ...more });
  cleanups.push(() => client.close());
  return client;
}

function scoring(url: string) {
  const client = createScoringClient({ url, retry: { initialDelayMs: 1, maxDelayMs: 5 } });
  cleanups.push(() => client.close());
  return client;
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-client-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function errorOf(promise: Promise<unknown>): Promise<AssayError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AssayError)) throw new Error(`expected an AssayError, got ${String(thrown)}`);
  return thrown;
}

const model: Model = {
  id: 'mdl_1',
  name: 'flights',
  description: '',
  revision: 1,
  latestVersion: null,
  aliases: {},
  createdAt: 1,
  updatedAt: 1,
};
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('an answer', () => {
  test('is typed by its contract, and may say more than this client knows', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 200, { ...model, invented: true }));
    expect(await registry(url).getModel('a name/with slash')).toMatchObject({ id: 'mdl_1', revision: 1 });
    expect(requests).toEqual(['GET /v1/models/a%20name%2Fwith%20slash']);
  });

  test('that is not its contract is refused with the place, and not asked for again', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 200, { ...model, revision: 'one' }));
    const error = await errorOf(registry(url).getModel('flights'));
    expect(error.code).toBe('FAILED_PRECONDITION');
    expect(error.message).toContain('revision');
    expect(requests).toHaveLength(1);
  });

  test('may hold a large whole number where its contract says number', async () => {
    const { url } = await peer((_, response) => answer(response, 200, { ...model, updatedAt: 10_000_000_000_000_000 }));
    expect((await registry(url).getModel('flights')).updatedAt).toBe(1e16);
  });

  test('of another program than Assay says so', async () => {
    const { url } = await peer((_, response) => answer(response, 200, '<html>Welcome</html>'));
    expect((await errorOf(registry(url).getModel('flights'))).message).toMatch(/not JSON; is this its address/);
  });

  test('keeps integers beyond 2^53, both ways', async () => {
    let body = '';
    const { url } = await peer(async (request, response) => {
      body = (await readAll(request)).toString();
      const head = `"model":"m","version":1,"versionId":"v","digest":"${'0'.repeat(64)}","routingRevision":1`;
      answer(
        response,
        200,
        `{${head},"predictions":[{"id":"p","outputs":{"big":9007199254740993,"x":0.1234567890123456}}]}`,
      );
    });
    const scored = await scoring(url).score('m', [{ key: 9007199254740993n, half: 0.5 }]);
    expect(body).toBe('{"records":[{"key":9007199254740993,"half":0.5}]}');
    expect(scored.predictions[0]?.outputs).toEqual({ big: 9007199254740993n, x: 0.1234567890123456 });
  });
});

describe('an error', () => {
  test('carries the code, the details and the current revision of the body', async () => {
    const details = [{ place: 'records[0].distance', message: 'is required' }];
    const { url } = await peer((_, response) =>
      answer(response, 409, errorBody('STALE_REVISION', 'it moved', { details, currentRevision: 7 })),
    );
    const error = await errorOf(registry(url).moveAlias('m', 'champion', { version: 1, expectedRevision: 0 }));
    expect(error).toMatchObject({ code: 'STALE_REVISION', message: 'it moved', details, currentRevision: 7 });
  });

  test('with a code that this client does not know takes the code of its status', async () => {
    const { url } = await peer((_, response) => answer(response, 404, errorBody('GONE_FOREVER', 'no such thing')));
    expect(await errorOf(registry(url).getModel('m'))).toMatchObject({ code: 'NOT_FOUND', message: 'no such thing' });
  });

  test('of a proxy in between is told from one of Assay', async () => {
    const { url } = await peer((_, response) => answer(response, 403, '<html>Forbidden by ACME</html>'));
    const error = await errorOf(registry(url).getModel('m'));
    expect(error.code).toBe('PERMISSION_DENIED');
    expect(error.message).toContain('Forbidden by ACME');
  });

  test('of an address that nobody listens on says where and what to check', async () => {
    const { url, close } = await fakePeer(() => undefined);
    await close();
    const error = await errorOf(registry(url).getModel('m'));
    expect(error.code).toBe('UNAVAILABLE');
    expect(error.message).toContain(`the registry at ${url} does not accept connections`);
  });

  test.each([
    ['after a call', true],
    ['before its first call', false],
  ])('of a client that was closed %s is that it cannot be reached', async (_, hasCalled) => {
    const { url, requests } = await peer((_request, response) => answer(response, 404, errorBody('NOT_FOUND', 'none')));
    const client = registry(url, { retry: { maxAttempts: 1 } });
    if (hasCalled) expect((await errorOf(client.getModel('m'))).code).toBe('NOT_FOUND');
    await client.close();
    expect((await errorOf(client.getModel('m'))).code).toBe('UNAVAILABLE');
    expect(requests).toHaveLength(hasCalled ? 1 : 0);
  });

  test('of an address that is none is said before anything is sent', () => {
    expect(() => createRegistryClient({ url: '127.0.0.1:8101' })).toThrow(/expected http:\/\/HOST:PORT/);
  });

  test('of a peer that speaks something else than HTTP is one line', async () => {
    const server = createServer((socket: Socket) =>
      socket.on('error', () => undefined).write('SSH-2.0-OpenSSH\r\n', () => socket.destroy()),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const error = await errorOf(registry(`http://127.0.0.1:${port}`, { retry: { maxAttempts: 1 } }).getModel('m'));
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(error.message).toMatch(/not HTTP; is this the right port/);
  });
});

describe('a retry', () => {
  test('is made of an idempotent call whose answer was cut in the middle', async () => {
    const { url, requests } = await peer((_, response, number) => {
      if (number > 1) return answer(response, 200, model);
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' });
      response.write('{"id":');
      setImmediate(() => response.destroy());
    });
    expect(await registry(url).getModel('m')).toEqual(model);
    expect(requests).toHaveLength(2);
  });

  test('is not made of a write that may have been done', async () => {
    const { url, requests } = await peer((_, response) => void response.destroy());
    const error = await errorOf(registry(url).createModel({ name: 'm' }));
    expect(error.code).toBe('UNAVAILABLE');
    expect(requests).toHaveLength(1);
  });

  test('is made of any call that was shed before work began, after the wait that was asked for', async () => {
    const { url, requests } = await peer((_, response, number) => {
      if (number === 1) answer(response, 503, errorBody('OVERLOADED', 'busy'), { 'retry-after': '0.02' });
      else answer(response, 201, model);
    });
    expect(await registry(url).createModel({ name: 'm' })).toEqual(model);
    expect(requests).toHaveLength(2);
  });

  test('is not waited for when the deadline comes first: the reason is given at once', async () => {
    const { url, requests } = await peer((_, response) =>
      answer(response, 503, errorBody('OVERLOADED', 'busy'), { 'retry-after': '3600' }),
    );
    const error = await errorOf(scoring(url).score('m', [{}], { timeoutMs: 10_000 }));
    expect(error).toMatchObject({ code: 'OVERLOADED', retryAfterMs: 3_600_000 });
    expect(requests).toHaveLength(1);
  });

  test('gives up after the attempts of the policy, with the last reason', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 503, errorBody('UNAVAILABLE', 'starting')));
    expect(await errorOf(registry(url).getModel('m'))).toMatchObject({ code: 'UNAVAILABLE', message: 'starting' });
    expect(requests).toHaveLength(4);
  });

  test('stays within the budget of the client when the server is down for long', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 503, errorBody('UNAVAILABLE', 'down')));
    const client = registry(url);
    for (let call = 0; call < 30; call++) await errorOf(client.getModel('m'));
    expect(requests.length).toBeGreaterThanOrEqual(30);
    expect(requests.length).toBeLessThan(45);
  });

  test('of registering a version says the same key, so that it is made once', async () => {
    const keys: unknown[] = [];
    const { url } = await peer(async (request, response) => {
      keys.push(JSON.parse((await readAll(request)).toString()).idempotencyKey);
      response.destroy();
    });
    await errorOf(registry(url).createVersion('m', { files: [] }));
    expect(keys.length).toBe(4);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toBeTypeOf('string');
  });
});

describe('a deadline', () => {
  test('ends a call to a peer that never answers', async () => {
    const { url } = await peer(() => undefined);
    const error = await errorOf(registry(url).getModel('m', { timeoutMs: 50 }));
    expect(error.code).toBe('DEADLINE_EXCEEDED');
    expect(error.message).toContain('within 50 ms');
  });

  test('ends a call to a peer that stops in the middle of its answer', async () => {
    const { url } = await peer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"id":');
    });
    expect((await errorOf(registry(url).getModel('m', { timeoutMs: 50 }))).code).toBe('DEADLINE_EXCEEDED');
  });

  test('is told to the server', async () => {
    let told: unknown;
    const { url } = await peer((request, response) => {
      told = request.headers['assay-timeout-ms'];
      answer(response, 400, errorBody('INVALID_ARGUMENT', 'no'));
    });
    await errorOf(scoring(url).score('m', [{}], { timeoutMs: 5000 }));
    expect(Number(told)).toBeGreaterThan(0);
    expect(Number(told)).toBeLessThanOrEqual(5000);
  });

  test('of a long poll is longer than its wait', async () => {
    const { url, requests } = await peer((_, response) =>
      answer(response, 200, { revision: 4, endpoints: [], versions: [] }),
    );
    expect((await registry(url).routing({ after: 3, waitMs: 20_000 })).revision).toBe(4);
    expect(requests).toEqual(['GET /v1/routing?after=3&waitMs=20000']);
  });
});

describe('a cancelled call', () => {
  test('ends with CANCELLED and frees the connection of the peer', async () => {
    const gone = Promise.withResolvers<void>();
    const controller = new AbortController();
    const { url } = await peer((request) => {
      request.socket.on('close', () => gone.resolve());
      controller.abort();
    });
    expect((await errorOf(registry(url).getModel('m', { signal: controller.signal }))).code).toBe('CANCELLED');
    await gone.promise;
  });

  test('that was cancelled before it began sends nothing', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 200, model));
    expect((await errorOf(registry(url).getModel('m', { signal: AbortSignal.abort() }))).code).toBe('CANCELLED');
    expect(requests).toEqual([]);
  });
});

describe('a package folder', () => {
  test('is uploaded file by file under its digests, without what the registry has, then registered', async () => {
    const dir = await folder();
    await mkdir(join(dir, 'extra'));
    const big = Buffer.alloc(3_000_000, 7);
    await writeFile(join(dir, 'model.onnx'), big);
    await writeFile(join(dir, 'extra', 'notes.txt'), 'known');
    await writeFile(join(dir, '.hidden'), 'left out');
    const stored = new Map<string, string>();
    let registered: unknown;
    const { url, requests } = await peer(async (request, response) => {
      if (request.method === 'HEAD')
        return void response.writeHead(request.url?.includes(sha256('known')) ? 200 : 404).end();
      const body = await readAll(request);
      if (request.method === 'PUT') {
        stored.set(request.url ?? '', sha256(body));
        return answer(response, 201, {});
      }
      registered = JSON.parse(body.toString());
      answer(response, 400, errorBody('INVALID_ARGUMENT', 'seen'));
    });
    expect((await errorOf(registry(url).uploadPackage('m', dir))).message).toBe('seen');
    expect([...stored]).toEqual([[`/v1/blobs/${sha256(big)}`, sha256(big)]]);
    expect(registered).toMatchObject({
      files: [
        { path: 'extra/notes.txt', sha256: sha256('known'), sizeBytes: 5 },
        { path: 'model.onnx', sha256: sha256(big), sizeBytes: 3_000_000 },
      ],
    });
    expect(requests.at(-1)).toBe('POST /v1/models/m/versions');
  });

  test('whose content was collected between the look and the registration is put again, once', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'model.onnx'), 'unused for long');
    let isThere = true;
    const { url, requests } = await peer(async (request, response) => {
      await readAll(request);
      if (request.method === 'HEAD') return void response.writeHead(isThere ? 200 : 404).end();
      if (request.method === 'PUT') return answer(response, 201, {});
      isThere = false;
      answer(response, 412, errorBody('FAILED_PRECONDITION', 'put it first', { retryable: false }));
    });
    expect((await errorOf(registry(url).uploadPackage('m', dir))).code).toBe('FAILED_PRECONDITION');
    expect(requests.map((line) => line.split(' ')[0])).toEqual(['HEAD', 'POST', 'HEAD', 'PUT', 'POST']);
  });

  test('whose upload is refused early gives the reason of the registry', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'model.onnx'), Buffer.alloc(20_000_000));
    const { url } = await peer((request, response) => {
      if (request.method === 'HEAD') return void response.writeHead(404).end();
      answer(response, 413, errorBody('PAYLOAD_TOO_LARGE', 'at most 10 MB'), { connection: 'close' });
    });
    expect(await errorOf(registry(url).uploadPackage('m', dir))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('that is not there, or is empty, is said in one line', async () => {
    const client = registry('http://127.0.0.1:9');
    expect((await errorOf(client.uploadPackage('m', '/no/such/folder'))).message).toMatch(/cannot be read: ENOENT/);
    expect((await errorOf(client.uploadPackage('m', await folder()))).message).toMatch(/holds no files/);
  });

  test('is downloaded whole, even when a transfer is cut', async () => {
    const dir = join(await folder(), 'v1');
    const bytes = Buffer.alloc(500_000, 3);
    const files: PackageFile[] = [
      { path: 'model.onnx', sha256: sha256(bytes), sizeBytes: bytes.length },
      { path: 'extra/notes.txt', sha256: sha256('notes'), sizeBytes: 5 },
    ];
    const { url } = await peer((request, response, number) => {
      if (request.url?.endsWith('notes.txt')) return void response.end('notes');
      if (number > 1) return void response.end(bytes);
      response.writeHead(200, { 'content-length': String(bytes.length) });
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
    });
    await registry(url).downloadPackage({ id: 'ver_1', files }, dir);
    expect(await readFile(join(dir, 'model.onnx'))).toEqual(bytes);
    expect(await readFile(join(dir, 'extra/notes.txt'), 'utf8')).toBe('notes');
  });

  test('whose bytes are not what was registered is refused and leaves nothing', async () => {
    const parent = await folder();
    const files: PackageFile[] = [{ path: 'model.onnx', sha256: sha256('right'), sizeBytes: 5 }];
    for (const bytes of ['wrong', 'righ', 'right and more']) {
      const { url } = await peer((_, response) => void response.end(bytes));
      const error = await errorOf(registry(url).downloadPackage({ id: 'ver_1', files }, join(parent, 'v1')));
      expect(error.message).toContain('is not the file that was registered');
    }
    expect(await readdir(parent)).toEqual([]);
  });
});

describe('a job', () => {
  const job = {
    id: 'job_1',
    kind: 'training',
    spec: {
      model: 'm',
      source: { path: 'a.csv' },
      target: { name: 't', expression: 'x' },
      features: [{ name: 'x', dtype: 'float64' }],
      split: { by: 'random', validation: 0.1, test: 0.1 },
      trainer: { name: 'lightgbm' },
    },
    baseDir: '/',
    dataset: null,
    attempts: 1,
    progress: null,
    result: null,
    failure: null,
    createdAt: 1,
    startedAt: null,
    endedAt: null,
  };

  test('is followed to its end by long polls', async () => {
    const states = ['queued', 'running', 'running', 'succeeded'];
    const { url, requests } = await peer((_, response, number) =>
      // The third answer is a long poll that waited in vain: the same revision again.
      answer(response, 200, { ...job, state: states[number - 1], revision: number === 3 ? 2 : number }),
    );
    const client = createTrainingClient({ url });
    cleanups.push(() => client.close());
    const seen: string[] = [];
    for await (const { state } of client.followJob('job_1')) seen.push(state);
    expect(seen).toEqual(['queued', 'running', 'succeeded']);
    expect(requests[2]).toBe('GET /v1/jobs/job_1?after=2&waitMs=20000');
  });

  test('passes a trace on: that of the call, else what its client has at hand', async () => {
    const told: unknown[] = [];
    const { url } = await peer(({ headers: { traceparent, tracestate } }, response) => {
      told.push([traceparent, tracestate]);
      response.writeHead(204).end();
    });
    const traces = [{ traceparent: '00-a-b-01', tracestate: 'x=1' }, { traceparent: '00-c-d-01' }, undefined];
    const client = createTrainingClient({ url, trace: () => traces.shift() });
    cleanups.push(() => client.close());
    const progress = { stage: 'train', percent: 40 };
    await client.putProgress('job_1', progress);
    await client.putProgress('job_1', progress, { traceparent: '00-e-f-01', tracestate: 'y=1' });
    await client.putProgress('job_1', progress);
    await client.putProgress('job_1', progress);
    expect(told).toEqual([
      ['00-a-b-01', 'x=1'],
      ['00-e-f-01', 'y=1'],
      ['00-c-d-01', undefined],
      [undefined, undefined],
    ]);
  });

  test('sends its progress with its own token', async () => {
    let authorization: unknown;
    const { url } = await peer((request, response) => {
      authorization = request.headers.authorization;
      response.writeHead(204).end();
    });
    const client = createTrainingClient({ url, bearerToken: 'secret' });
    cleanups.push(() => client.close());
    await client.putProgress('job_1', { stage: 'train', percent: 40 });
    expect(authorization).toBe('Bearer secret');
  });

  test('has a log that comes in pieces, characters never cut', async () => {
    const { url } = await peer((_, response) => {
      const bytes = Buffer.from('größe: 1\n');
      response.write(bytes.subarray(0, 3), () => setImmediate(() => response.end(bytes.subarray(3))));
    });
    const client = createTrainingClient({ url });
    cleanups.push(() => client.close());
    let text = '';
    await client.logs('job_1', (piece) => {
      text += piece;
    });
    expect(text).toBe('größe: 1\n');
  });
});
