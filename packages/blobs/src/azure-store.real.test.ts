import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AssayError } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { chunks, describeBlobStore, readAll } from './conformance.ts';
import { openBlobStore } from './index.ts';
import { type AzureServer, startAzure } from './testing/azure.ts';

const program = fileURLToPath(new URL('./fixtures/putting-service.ts', import.meta.url));
const VARIABLE = 'AZURE_STORAGE_CONNECTION_STRING';
let server: AzureServer;

beforeAll(async () => {
  server = await startAzure('models');
  vi.stubEnv(VARIABLE, server.connectionString);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server?.[Symbol.asyncDispose]();
});

describeBlobStore('Azure', async () => ({
  store: await openBlobStore('az://models/assay'),
  cleanup: async () => undefined,
}));

async function refusal(action: Promise<unknown>): Promise<AssayError> {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AssayError);
  return AssayError.from(error);
}

describe('blobs on Azure', () => {
  it('are apart by the prefix of the url, and need none', async () => {
    const [one, two, all] = [
      await openBlobStore('az://models/apart/one'),
      await openBlobStore('az://models/apart/two/'),
      await openBlobStore('az://models'),
    ];
    await one.put('a', chunks('one'));
    expect(await two.head('a')).toBeUndefined();
    expect(await all.head('apart/one/a')).toEqual({ key: 'apart/one/a', sizeBytes: 3 });
  });

  it('are one of several large ones that are put at once under a key, whole', async () => {
    const store = await openBlobStore('az://models/race');
    const puts = await Promise.allSettled(
      Array.from({ length: 3 }, () => {
        const piece = randomBytes(3_000_000);
        return store.put('a', chunks(piece, piece, piece, piece));
      }),
    );
    const digests = puts.flatMap((put) => (put.status === 'fulfilled' ? [put.value.sha256] : []));
    expect(digests.length).toBeGreaterThan(0);
    for (const put of puts) if (put.status === 'rejected') expect(put.reason).toHaveProperty('code', 'UNAVAILABLE');
    const { createHash } = await import('node:crypto');
    const found = createHash('sha256')
      .update(await readAll((await store.get('a')).body))
      .digest('hex');
    expect(digests).toContain(found);
  });

  it('say so when they were replaced or deleted between the look and the read', async () => {
    const store = await openBlobStore('az://models/changing');
    await store.put('a', chunks('first'));
    const { body } = await store.get('a');
    await store.put('a', chunks('other'));
    const replaced = await refusal(readAll(body));
    expect(replaced.code).toBe('UNAVAILABLE');
    expect(replaced.message).toContain('was replaced');
    const { body: gone } = await store.get('a');
    await store.delete('a');
    expect((await refusal(readAll(gone))).code).toBe('NOT_FOUND');
  });

  it('take no more memory for a larger blob', async () => {
    const kilobytesOf = async (count: number): Promise<number> => {
      const args = [program, 'az://models/memory', String(count), '1'];
      const env = { ...process.env, [VARIABLE]: server.connectionString };
      const { stdout } = await promisify(execFile)(process.execPath, args, { env });
      return Number(/^done (\d+)$/m.exec(stdout)?.[1]);
    };
    const small = await kilobytesOf(16 * 16); // 16 MiB
    const large = await kilobytesOf(16 * 192); // 192 MiB
    expect(small).toBeGreaterThan(0);
    expect(large - small).toBeLessThan(96 * 1024);
  });
});

describe('an Azure store that cannot be used is named in one clear line', () => {
  const expectLine = async (connectionString: string, url: string, code: string, words: RegExp) => {
    vi.stubEnv(VARIABLE, connectionString);
    try {
      const error = await refusal(openBlobStore(url));
      expect(error.message).toMatch(words);
      expect(error.code).toBe(code);
      expect(error.message).not.toMatch(/\n|Eby8|hunter2/);
    } finally {
      vi.stubEnv(VARIABLE, server.connectionString);
    }
  };

  it('no such container', () =>
    expectLine(
      server.connectionString,
      'az://absent/x',
      'FAILED_PRECONDITION',
      /^blobs in az:\/\/absent\/x\/: there is no such container/,
    ));

  it('wrong key', () =>
    expectLine(
      server.connectionString.replace('Eby8', 'AAAA'),
      'az://models',
      'FAILED_PRECONDITION',
      /the credentials were refused \(\w+\)/,
    ));

  it('no credentials, or what are none', async () => {
    await expectLine(
      '',
      'az://models',
      'FAILED_PRECONDITION',
      /no credentials found; set AZURE_STORAGE_CONNECTION_STRING/,
    );
    await expectLine('hunter2', 'az://models', 'FAILED_PRECONDITION', /is no connection string/);
  });

  it('nothing listens there', () =>
    expectLine(
      server.connectionString.replace(/BlobEndpoint=[^;]*/, 'BlobEndpoint=http://127.0.0.1:1/devstoreaccount1'),
      'az://models',
      'UNAVAILABLE',
      /cannot be reached \(ECONNREFUSED\)/,
    ));

  it('a parameter that it does not have', () =>
    expectLine(server.connectionString, 'az://models?endpoint=http://x', 'INVALID_ARGUMENT', /there is no parameter/));
});
