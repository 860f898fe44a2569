import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AssayError } from '@assay/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { chunks, describeBlobStore, readAll } from './conformance.ts';
import { openBlobStore } from './index.ts';
import { type S3Server, startS3 } from './testing/s3.ts';

const program = fileURLToPath(new URL('./fixtures/putting-service.ts', import.meta.url));
let server: S3Server;
const urlOf = (prefix = 'assay') => `s3://models/${prefix}?endpoint=${server.endpoint}`;

beforeAll(async () => {
  server = await startS3(await mkdtemp(join(tmpdir(), 'assay-s3-')), 'models');
  for (const [name, value] of Object.entries(server.credentials)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server?.[Symbol.asyncDispose]();
});
afterEach(() => {
  server.interfere = () => undefined;
});

describeBlobStore('S3', async () => ({ store: await openBlobStore(urlOf()), cleanup: async () => undefined }));

async function refusal(action: Promise<unknown>): Promise<AssayError> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AssayError);
  return AssayError.from(error);
}

describe('blobs on S3', () => {
  it('are apart by the prefix of the url, and need none', async () => {
    const [one, two, all] = [
      await openBlobStore(urlOf('apart/one')),
      await openBlobStore(urlOf('apart/two/')),
      await openBlobStore(urlOf('')),
    ];
    await one.put('a', chunks('one'));
    expect(await two.head('a')).toBeUndefined();
    expect(await all.head('apart/one/a')).toEqual({ key: 'apart/one/a', sizeBytes: 3 });
  });

  it('are listed over several pages, in order', async () => {
    const store = await openBlobStore(urlOf('pages'));
    const keys = Array.from({ length: 250 }, (_, i) => `k${String(i).padStart(4, '0')}`);
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => store.put(key, chunks(key))));
    }
    const found: string[] = [];
    for await (const { key, sizeBytes } of store.list('k')) {
      found.push(key);
      expect(sizeBytes).toBe(5);
    }
    expect(found).toEqual(keys);
  });

  it('survive a store that fails now and then', async () => {
    const store = await openBlobStore(urlOf());
    let requests = 0;
    server.interfere = () => (requests++ % 3 === 0 ? 503 : undefined);
    await store.put('flaky', chunks('kept'));
    expect((await readAll((await store.get('flaky')).body)).toString()).toBe('kept');
    expect(requests).toBeGreaterThan(2);
  });

  it('are read on from where the connection was lost', async () => {
    const store = await openBlobStore(urlOf());
    const bytes = Buffer.alloc(20_000_000, 'abcdefg');
    await store.put('cut', chunks(bytes));
    let reads = 0;
    server.interfere = ({ method }) => (method === 'GET' && ++reads < 3 ? 'cut' : undefined);
    const { body } = await store.get('cut');
    const hash = createHash('sha256');
    for await (const chunk of body) {
      hash.update(chunk);
      if (reads < 3) await new Promise((resolve) => setTimeout(resolve, 2)); // so that the cut comes in the middle
    }
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(reads).toBeGreaterThanOrEqual(3);
  });

  it('say so when they were replaced or deleted between the look and the read', async () => {
    const store = await openBlobStore(urlOf());
    await store.put('changing', chunks('first'));
    const { body } = await store.get('changing');
    await store.put('changing', chunks('other'));
    const replaced = await refusal(readAll(body));
    expect(replaced.code).toBe('UNAVAILABLE');
    expect(replaced.message).toContain('was replaced');
    const { body: gone } = await store.get('changing');
    await store.delete('changing');
    expect((await refusal(readAll(gone))).code).toBe('NOT_FOUND');
  });

  it('are there when the answer to a conditional put was lost and it was sent again', async () => {
    const store = await openBlobStore(urlOf());
    let isLost = true;
    server.interfere = ({ method }) => {
      if (method !== 'PUT' || !isLost) return undefined;
      isLost = false;
      return 'lose';
    };
    expect(await store.put('once', chunks('mine'), { ifAbsent: true })).toMatchObject({ sizeBytes: 4 });
    expect(isLost).toBe(false);
    expect((await refusal(store.put('once', chunks('late'), { ifAbsent: true }))).code).toBe('ALREADY_EXISTS');
  });

  it('take no more memory for a larger blob', async () => {
    const kilobytesOf = async (count: number): Promise<number> => {
      const args = [program, urlOf('memory'), String(count), '1'];
      const { stdout } = await promisify(execFile)(process.execPath, args, {
        env: { ...process.env, ...server.credentials },
      });
      return Number(/^done (\d+)$/m.exec(stdout)?.[1]);
    };
    const small = await kilobytesOf(16 * 16); // 16 MiB
    const large = await kilobytesOf(16 * 192); // 192 MiB
    expect(small).toBeGreaterThan(0);
    expect(large - small).toBeLessThan(96 * 1024);
  });
});

describe('an S3 store that cannot be used is named in one clear line', () => {
  const expectLine = async (url: string, code: string, words: RegExp) => {
    const error = await refusal(openBlobStore(url));
    expect(error.message).toMatch(words);
    expect(error.code).toBe(code);
    expect(error.message).not.toContain('\n');
  };

  it('no such bucket', () =>
    expectLine(
      urlOf().replace('s3://models', 's3://absent'),
      'FAILED_PRECONDITION',
      /^blobs in s3:\/\/absent\/assay\/: there is no such bucket/,
    ));

  it('wrong key', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'someone');
    try {
      await expectLine(urlOf(), 'FAILED_PRECONDITION', /the credentials were refused/);
    } finally {
      vi.stubEnv('AWS_ACCESS_KEY_ID', server.credentials.AWS_ACCESS_KEY_ID);
    }
  });

  it('nothing listens there', () =>
    expectLine('s3://models?endpoint=http://127.0.0.1:1', 'UNAVAILABLE', /cannot be reached \(ECONNREFUSED\)/));

  it.each([
    ['s3://', /cannot be read|is no bucket name/],
    ['s3://UPPER_case', /is no bucket name/],
    ['s3://key:hunter2@models', /credentials do not belong into/],
    ['s3://models?endpont=http://x', /did you mean "endpoint"/],
    ['s3://models?endpoint=ftp://x', /is no http\(s\) url/],
    ['s3://models/a%20b', /begins no blob key/],
  ])('the url %s', async (url, words) => {
    await expectLine(url, 'INVALID_ARGUMENT', words);
    expect((await refusal(openBlobStore(url))).message).not.toContain('hunter2');
  });
});
