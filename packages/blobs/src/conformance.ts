/** What every blob store must do, run by vitest against the real thing. */
import { createHash, randomBytes } from 'node:crypto';
import { AssayError, type ErrorCode } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BlobStore } from './blob-store.ts';

export interface BlobStoreUnderTest {
  readonly store: BlobStore;
  cleanup(): Promise<void>;
}

export async function* chunks(...parts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

export function describeBlobStore(name: string, open: () => Promise<BlobStoreUnderTest>): void {
  describe(`blob store on ${name}`, () => {
    let under: BlobStoreUnderTest;
    let store: BlobStore;
    let tests = 0;
    /** Begins the keys of one test, so that the tests do not see each other. */
    let own = '';
    beforeAll(async () => {
      under = await open();
      store = under.store;
    });
    afterAll(() => under.cleanup());

    const prefix = (): string => {
      own = `test-${++tests}`;
      return own;
    };
    const text = async (key: string, options?: Parameters<BlobStore['get']>[1]) =>
      (await readAll((await store.get(key, options)).body)).toString();
    const keys = async (of: string) => {
      const found: string[] = [];
      for await (const { key } of store.list(of)) found.push(key);
      return found;
    };
    async function expectRefusal(action: Promise<unknown>, code: ErrorCode): Promise<void> {
      const error = await action.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(AssayError);
      expect(error).toHaveProperty('code', code);
    }

    it('gives back what was put, with its size and digest', async () => {
      const key = `${prefix()}/a/b.onnx`;
      const bytes = randomBytes(3_000_000);
      const put = await store.put(
        key,
        chunks(bytes.subarray(0, 10), bytes.subarray(10, 1_500_000), bytes.subarray(1_500_000)),
      );
      expect(put).toEqual({ sizeBytes: 3_000_000, sha256: sha256(bytes) });
      const { sizeBytes, body } = await store.get(key);
      expect(sizeBytes).toBe(3_000_000);
      expect(sha256(await readAll(body))).toBe(put.sha256);
      expect(await store.head(key)).toEqual({ key, sizeBytes: 3_000_000 });
    });

    it('keeps an empty blob', async () => {
      const key = `${prefix()}/empty`;
      expect(await store.put(key, chunks())).toEqual({ sizeBytes: 0, sha256: sha256(Buffer.alloc(0)) });
      expect(await store.head(key)).toEqual({ key, sizeBytes: 0 });
      expect(await text(key)).toBe('');
    });

    it('keeps a blob of many parts, and its ranges, whatever the sizes of the chunks', async () => {
      const key = `${prefix()}/large`;
      const piece = randomBytes(1_234_567);
      const count = 21; // 26 MB: over the parts that an object store takes
      const digest = createHash('sha256');
      for (let i = 0; i < count; i++) digest.update(piece);
      const body = async function* () {
        for (let i = 0; i < count; i++) {
          yield piece.subarray(0, 7);
          yield piece.subarray(7);
        }
      };
      const sizeBytes = piece.byteLength * count;
      const put = await store.put(key, body());
      expect(put).toEqual({ sizeBytes, sha256: digest.digest('hex') });
      expect(sha256(await readAll((await store.get(key)).body))).toBe(put.sha256);
      const range = { offsetBytes: piece.byteLength * 7 - 3, lengthBytes: 6 };
      const across = await readAll((await store.get(key, { range })).body);
      expect(across).toEqual(Buffer.concat([piece.subarray(-3), piece.subarray(0, 3)]));
    });

    it('keeps nothing of a large body that fails, has another digest, or loses to another with ifAbsent', async () => {
      const key = `${prefix()}/large`;
      const piece = randomBytes(3_000_000);
      const body = async function* (end?: () => void) {
        for (let i = 0; i < 5; i++) yield piece;
        end?.();
      };
      const failing = body(() => {
        throw new Error('the sender went away');
      });
      await expect(store.put(key, failing)).rejects.toThrow('the sender went away');
      await expectRefusal(store.put(key, body(), { sha256: sha256(piece) }), 'INVALID_ARGUMENT');
      await expectRefusal(store.put(key, body(), { maxSizeBytes: 12_000_000 }), 'PAYLOAD_TOO_LARGE');
      expect(await keys(own)).toEqual([]);
      let taken: Promise<unknown> | undefined;
      const overtaken = (async function* () {
        yield* body();
        taken = store.put(key, chunks('first'), { ifAbsent: true });
        await taken;
      })();
      await expectRefusal(store.put(key, overtaken, { ifAbsent: true }), 'ALREADY_EXISTS');
      expect(await text(key)).toBe('first');
      expect((await store.put(key, body())).sizeBytes).toBe(15_000_000);
    });

    it('says what is not there', async () => {
      const key = `${prefix()}/absent`;
      expect(await store.head(key)).toBeUndefined();
      await expectRefusal(store.get(key), 'NOT_FOUND');
      await store.delete(key);
    });

    it('refuses bytes of another digest, and keeps what was there', async () => {
      const key = `${prefix()}/a`;
      await expectRefusal(store.put(key, chunks('new'), { sha256: sha256(Buffer.from('other')) }), 'INVALID_ARGUMENT');
      expect(await store.head(key)).toBeUndefined();
      await store.put(key, chunks('old'), { sha256: sha256(Buffer.from('old')) });
      await expectRefusal(store.put(key, chunks('new'), { sha256: sha256(Buffer.from('other')) }), 'INVALID_ARGUMENT');
      expect(await text(key)).toBe('old');
    });

    it('keeps nothing of a body that fails, is too long, or is given up', async () => {
      const key = `${prefix()}/a`;
      const failing = async function* () {
        yield Buffer.from('begun');
        throw new Error('the sender went away');
      };
      await expect(store.put(key, failing())).rejects.toThrow('the sender went away');
      await expectRefusal(store.put(key, chunks('1234', '5678'), { maxSizeBytes: 7 }), 'PAYLOAD_TOO_LARGE');
      const controller = new AbortController();
      const stuck = async function* () {
        yield Buffer.from('begun');
        controller.abort(new Error('given up'));
        await new Promise(() => undefined);
      };
      await expect(store.put(key, stuck(), { signal: controller.signal })).rejects.toThrow('given up');
      expect(await keys(`${own}/`)).toEqual([]);
      await store.put(key, chunks('1234567'), { maxSizeBytes: 7 });
      expect(await text(key)).toBe('1234567');
    });

    it('replaces a blob as a whole', async () => {
      const key = `${prefix()}/a`;
      await store.put(key, chunks('a longer first one'));
      await store.put(key, chunks('second'));
      expect(await text(key)).toBe('second');
      expect(await store.head(key)).toEqual({ key, sizeBytes: 6 });
    });

    it('with ifAbsent lets one of many win, and replaces nothing', async () => {
      const key = `${prefix()}/a`;
      const puts = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => store.put(key, chunks(`from ${i}`), { ifAbsent: true })),
      );
      const winners = puts.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
      expect(winners).toHaveLength(1);
      expect(await text(key)).toBe(`from ${winners[0]}`);
      for (const put of puts) {
        if (put.status === 'rejected') expect(put.reason).toHaveProperty('code', 'ALREADY_EXISTS');
      }
      await expectRefusal(store.put(key, chunks('late'), { ifAbsent: true }), 'ALREADY_EXISTS');
      await store.delete(key);
      await store.put(key, chunks('again'), { ifAbsent: true });
      expect(await text(key)).toBe('again');
    });

    it('gives ranges', async () => {
      const key = `${prefix()}/a`;
      await store.put(key, chunks('0123456789'));
      expect(await text(key, { range: { offsetBytes: 3, lengthBytes: 4 } })).toBe('3456');
      expect(await text(key, { range: { offsetBytes: 7 } })).toBe('789');
      expect(await text(key, { range: { offsetBytes: 7, lengthBytes: 100 } })).toBe('789');
      expect(await text(key, { range: { offsetBytes: 0, lengthBytes: 0 } })).toBe('');
      expect(await text(key, { range: { offsetBytes: 10 } })).toBe('');
      expect((await store.get(key, { range: { offsetBytes: 3, lengthBytes: 4 } })).sizeBytes).toBe(10);
      for (const range of [
        { offsetBytes: 11 },
        { offsetBytes: -1 },
        { offsetBytes: 0.5 },
        { offsetBytes: 0, lengthBytes: -1 },
      ]) {
        await expectRefusal(store.get(key, { range }), 'INVALID_ARGUMENT');
      }
    });

    it('lists by prefix, in the order of the keys, with sizes', async () => {
      const p = prefix();
      const names = ['a', 'a/b', 'a/c/d', 'a-b', 'a.b', 'a0', 'b', 'B', 'ab/c', '_x'];
      for (const each of names) await store.put(`${p}/${each}`, chunks(each));
      const sorted = names.map((each) => `${p}/${each}`).toSorted((a, b) => (a < b ? -1 : 1));
      expect(await keys(`${p}/`)).toEqual(sorted);
      expect(await keys(`${p}/a`)).toEqual(sorted.filter((key) => key.startsWith(`${p}/a`)));
      expect(await keys(`${p}/a/`)).toEqual([`${p}/a/b`, `${p}/a/c/d`]);
      expect(await keys(`${p}/a/c`)).toEqual([`${p}/a/c/d`]);
      expect(await keys(`${p}/nothing`)).toEqual([]);
      for await (const { key, sizeBytes } of store.list(`${p}/ab`))
        expect({ key, sizeBytes }).toEqual({ key: `${p}/ab/c`, sizeBytes: 4 });
    });

    it('lists when each was put last', async () => {
      const key = `${prefix()}/a`;
      const modifiedAt = async (): Promise<number> => {
        for await (const { modifiedAtMs } of store.list(key)) return modifiedAtMs;
        throw new Error(`${key} is not listed`);
      };
      const aroundMs = 60_000; // the clock of a store is another one, and may count seconds
      await store.put(key, chunks('first'));
      expect(Math.abs((await modifiedAt()) - Date.now())).toBeLessThan(aroundMs);
    });

    it('deletes one, and none that begins like it', async () => {
      const p = prefix();
      for (const each of ['a', 'a/b', 'ab']) await store.put(`${p}/${each}`, chunks(each));
      await store.delete(`${p}/a`);
      await store.delete(`${p}/a`);
      expect(await keys(`${p}/`)).toEqual([`${p}/a/b`, `${p}/ab`]);
    });

    it('gives a body as fast as it is read, and may be left in the middle', async () => {
      const key = `${prefix()}/a`;
      await store.put(key, chunks(randomBytes(2_000_000)));
      const { body } = await store.get(key);
      let read = 0;
      for await (const part of body) {
        read += part.byteLength;
        break;
      }
      expect(read).toBeGreaterThan(0);
      expect(read).toBeLessThan(2_000_000);
      await store.get(key); // a body that is never read holds nothing
      const controller = new AbortController();
      const { body: aborted } = await store.get(key, { signal: controller.signal });
      controller.abort(new Error('given up'));
      await expect(readAll(aborted)).rejects.toThrow('given up');
    });

    it.each([
      '',
      '.',
      '..',
      '/',
      '/a',
      'a/',
      'a//b',
      '../a',
      'a/../b',
      'a/./b',
      '.hidden',
      'a/.hidden',
      'a\0b',
      'a\nb',
      'a b',
      'a\\b',
      'ü',
      'a.blob',
      'a.blob/b',
      'a.',
      'a./b',
      '%2e%2e/a',
      'C:/a',
      'a'.repeat(201),
      `${'a/'.repeat(500)}a`,
    ])('refuses the key %j', async (key) => {
      await expectRefusal(store.put(key, chunks('x')), 'INVALID_ARGUMENT');
      await expectRefusal(store.get(key), 'INVALID_ARGUMENT');
      await expectRefusal(store.head(key), 'INVALID_ARGUMENT');
      await expectRefusal(store.delete(key), 'INVALID_ARGUMENT');
    });

    it.each(['a\0', '../ü', 'a'.repeat(2000)])('refuses to list the prefix %j', async (wrong) => {
      await expectRefusal(
        Promise.resolve().then(() => keys(wrong)),
        'INVALID_ARGUMENT',
      );
    });

    it('takes the longest keys', async () => {
      const p = prefix();
      const long = [`${p}/${'a'.repeat(200)}`, `${p}/${'b/'.repeat(400)}c`];
      for (const key of long) await store.put(key, chunks(key));
      expect(await keys(`${p}/`)).toEqual(long);
    });
  });
}
