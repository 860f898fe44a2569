import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AssayError, type DatasetVersion } from '@assay/contracts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { answer, errorBody, type FakePeer, fakePeer, readAll } from './fake-peer.ts';
import { createRegistryClient } from './index.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function peer(handle: Parameters<typeof fakePeer>[0]): Promise<FakePeer> {
  const made = await fakePeer(handle);
  cleanups.push(() => made.close());
  return made;
}

function registry(url: string, maxAttempts = 4) {
  const client = createRegistryClient({ url, retry: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts } });
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

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** By name. */
const CONTENTS = new Map<string, string>(
  Array.from({ length: 10 }, (_, i) => [`part-${i}.csv`, `a\n${String(i).repeat(10_000)}\n`] as const),
);
const VERSION: DatasetVersion = {
  id: 'ds_1',
  datasetId: 'dat_1',
  datasetName: 'people',
  version: 3,
  digest: 'd'.repeat(64),
  format: 'csv',
  rows: 10,
  fileCount: 10,
  columnCount: 1,
  sizeBytes: 100_040,
  layer: 'raw',
  source: '',
  owner: '',
  licence: '',
  knownBias: '',
  personalData: [],
  description: '',
  changes: '',
  parents: [],
  createdAt: 1,
  createdBy: 'local',
  files: [...CONTENTS].map(([name, text]) => ({ name, sha256: sha256(text), sizeBytes: text.length })),
  schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
};

const nameOf = (request: IncomingMessage): string => request.url?.split('/').at(-1) ?? '';
const give = (request: IncomingMessage, response: ServerResponse): void =>
  void response.end(CONTENTS.get(nameOf(request)));

async function expectWhole(dir: string): Promise<void> {
  expect((await readdir(dir)).sort()).toEqual([...CONTENTS.keys()]);
  for (const [name, text] of CONTENTS) expect(await readFile(join(dir, name), 'utf8')).toBe(text);
}

describe('a dataset that is downloaded', () => {
  test('is whole, and nothing else is left', async () => {
    const parent = await folder();
    const { url, requests } = await peer(give);
    await registry(url).downloadDataset(VERSION, join(parent, 'people'));
    await expectWhole(join(parent, 'people'));
    expect(await readdir(parent)).toEqual(['people']);
    expect(requests).toContain('GET /v1/datasets/people/versions/3/files/part-7.csv');
  });

  test('comes a few files at a time', async () => {
    let [open, most] = [0, 0];
    const { url } = await peer((request, response) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        give(request, response);
      }, 5);
    });
    await registry(url).downloadDataset(VERSION, join(await folder(), 'people'));
    expect(most).toBe(4);
  });

  test('is whole also when transfers are cut', async () => {
    const dir = join(await folder(), 'people');
    const cut = new Set<string>();
    const { url } = await peer((request, response) => {
      const name = nameOf(request);
      if (cut.has(name)) return give(request, response);
      cut.add(name);
      const text = CONTENTS.get(name) ?? '';
      response.writeHead(200, { 'content-length': String(text.length) });
      response.write(text.slice(0, 5000), () => response.destroy());
    });
    await registry(url).downloadDataset(VERSION, dir);
    await expectWhole(dir);
    expect(cut.size).toBe(CONTENTS.size);
  });

  test('goes on in the middle of a file where its transfer was cut', async () => {
    const parent = await folder();
    const bytes = Buffer.from('0123456789'.repeat(100_000));
    const files = [{ name: 'large.csv', sha256: sha256(bytes), sizeBytes: bytes.length }];
    const arriving = join(parent, `people.${'d'.repeat(16)}.partial`, 'arriving');
    const ranges: (string | undefined)[] = [];
    const { url } = await peer(async (request, response, number) => {
      ranges.push(request.headers.range);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const to = number === 1 ? 300_000 : number === 2 ? 700_000 : bytes.length;
      const range = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      response.writeHead(from === 0 ? 200 : 206, {
        'content-length': String(bytes.length - from),
        ...(from === 0 ? {} : range),
      });
      response.write(bytes.subarray(from, to));
      if (to === bytes.length) return void response.end();
      await vi.waitFor(async () => {
        const [name = 'none'] = await readdir(arriving);
        expect((await stat(join(arriving, name))).size).toBe(to);
      });
      response.destroy();
    });
    await registry(url).downloadDataset({ ...VERSION, files }, join(parent, 'people'));
    expect((await readFile(join(parent, 'people/large.csv'))).equals(bytes)).toBe(true);
    expect(ranges).toEqual([undefined, 'bytes=300000-', 'bytes=700000-']);
  });

  test('is absent when it breaks off, and goes on with the files that it had', async () => {
    const parent = await folder();
    const dir = join(parent, 'people');
    let isDown = false;
    const { url, requests } = await peer((request, response, number) => {
      isDown ||= number > 5;
      if (isDown) answer(response, 503, errorBody('UNAVAILABLE', 'away'));
      else give(request, response);
    });
    expect(await errorOf(registry(url, 1).downloadDataset(VERSION, dir))).toMatchObject({ code: 'UNAVAILABLE' });
    const [partial, ...others] = await readdir(parent);
    expect([partial, others]).toEqual([`people.${'d'.repeat(16)}.partial`, []]);

    const again = await peer(give);
    await registry(again.url).downloadDataset(VERSION, dir);
    await expectWhole(dir);
    expect(await readdir(parent)).toEqual(['people']);
    expect(requests.length).toBeGreaterThanOrEqual(6);
    expect(again.requests).toHaveLength(5);
  });

  test('is fetched anew where what was left of it is damaged', async () => {
    const parent = await folder();
    const whole = join(parent, `people.${'d'.repeat(16)}.partial`, 'whole');
    await mkdir(whole, { recursive: true });
    await writeFile(join(whole, 'part-0.csv'), CONTENTS.get('part-0.csv') ?? '');
    await writeFile(join(whole, 'part-1.csv'), (CONTENTS.get('part-1.csv') ?? '').replace('1', '2'));
    const { url, requests } = await peer(give);
    await registry(url).downloadDataset(VERSION, join(parent, 'people'));
    await expectWhole(join(parent, 'people'));
    expect(requests).toHaveLength(9);
  });

  test.each(['', 'a\n1', 'a\n0', 'longer'.repeat(10_000)])('is refused with other bytes: %.9j', async (bytes) => {
    const parent = await folder();
    const { url } = await peer((request, response) =>
      nameOf(request) === 'part-0.csv' ? void response.end(bytes) : give(request, response),
    );
    const error = await errorOf(registry(url).downloadDataset(VERSION, join(parent, 'people')));
    expect(error.message).toContain('files/part-0.csv is not the file that was registered');
    expect(await readdir(parent)).not.toContain('people');
  });

  test('by two at once is there for both', async () => {
    const parent = await folder();
    const { url } = await peer(give);
    const dir = join(parent, 'people');
    await Promise.all([1, 2, 3].map(() => registry(url).downloadDataset(VERSION, dir)));
    await expectWhole(dir);
    expect(await readdir(parent)).toEqual(['people']);
  });

  test('is not asked for again where it is, and something else is never overwritten', async () => {
    const parent = await folder();
    const dir = join(parent, 'people');
    await mkdir(dir); // an empty folder is as good as none
    const { url, requests } = await peer(give);
    await registry(url).downloadDataset(VERSION, dir);
    await registry(url).downloadDataset(VERSION, dir);
    expect(requests).toHaveLength(10);
    await writeFile(join(dir, 'part-3.csv'), 'mine');
    expect(await errorOf(registry(url).downloadDataset(VERSION, dir))).toMatchObject({
      code: 'ALREADY_EXISTS',
      message: expect.stringContaining('its part-3.csv is not that of people 3'),
    });
    expect(await readFile(join(dir, 'part-3.csv'), 'utf8')).toBe('mine');
    expect(await errorOf(registry(url).downloadDataset(VERSION, join(dir, 'part-3.csv', 'x')))).toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('cannot be used'),
    });
  });

  test('ends with CANCELLED when the caller gives up', async () => {
    const parent = await folder();
    const caller = new AbortController();
    const { url } = await peer((_, response, number) => {
      response.writeHead(200);
      if (number === 4) caller.abort();
    });
    const error = await errorOf(
      registry(url).downloadDataset(VERSION, join(parent, 'people'), { signal: caller.signal }),
    );
    expect(error.code).toBe('CANCELLED');
    expect(await readdir(parent)).not.toContain('people');
  });
});

describe('a dataset that is registered', () => {
  test('is uploaded without what the registry has, then registered with the digests of its files', async () => {
    const dir = await folder();
    for (const [name, text] of CONTENTS) await writeFile(join(dir, name), text);
    const files = [...CONTENTS.keys()].map((name) => ({ name, file: join(dir, name) }));
    const known = VERSION.files[3]?.sha256 ?? '';
    const put = new Map<string, string>();
    let registered: unknown;
    const { url } = await peer(async (request, response) => {
      const digest = nameOf(request);
      if (request.method === 'HEAD') return void response.writeHead(digest === known ? 200 : 404).end();
      const body = await readAll(request);
      if (request.method === 'PUT') {
        put.set(digest, sha256(body));
        return answer(response, 201, { sha256: digest, sizeBytes: body.length });
      }
      registered = JSON.parse(body.toString());
      answer(response, 201, VERSION);
    });
    const { format, rows, schema } = VERSION;
    const about = { format, rows, schema, owner: 'data team', changes: 'all' };
    const version = await registry(url).registerDataset('people', { ...about, files: files.reverse() });
    expect(version).toEqual(VERSION);
    expect(registered).toMatchObject({ ...about, files: VERSION.files, idempotencyKey: expect.any(String) });
    expect([...put.keys()].sort()).toEqual(
      VERSION.files
        .map((file) => file.sha256)
        .filter((digest) => digest !== known)
        .sort(),
    );
    for (const [digest, found] of put) expect(found).toBe(digest);
  });

  test('of a file that cannot be read says which, and registers nothing', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 500, errorBody('INTERNAL', 'never asked')));
    const { format, rows, schema } = VERSION;
    const files = [{ name: 'a.csv', file: '/no/such/file.csv' }];
    const error = await errorOf(registry(url).registerDataset('people', { format, rows, schema, files }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('/no/such/file.csv') });
    expect(requests).toEqual([]);
  });

  test('is told as the newest where no number is given', async () => {
    const { url, requests } = await peer((_, response) => answer(response, 200, VERSION));
    await registry(url).getDatasetVersion('people');
    await registry(url).getDatasetVersion('people', 3);
    expect(requests).toEqual(['latest', '3'].map((which) => `GET /v1/datasets/people/versions/${which}`));
  });
});
