import { createHash } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ErrorBody, Version } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, sha256Of, startRegistry } from '../registry-under-test.ts';

const MAX_BLOB_BYTES = 256 * 1024 * 1024;
const NO_CONTENT_SHA256 = createHash('sha256').digest('hex');

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry({ flags: { maxBlobBytes: MAX_BLOB_BYTES }, deps: { checkPackage: async () => {} } });
});
afterAll(() => registry[Symbol.asyncDispose]());

const head = (sha256: string) => fetch(`${registry.url}/v1/blobs/${sha256}`, { method: 'HEAD' });

async function filesUnder(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('putting a content', () => {
  it('keeps it under its digest, once and again', async () => {
    const bytes = Buffer.from('some content');
    const sha256 = sha256Of(bytes);
    expect((await head(sha256)).status).toBe(404);
    expect(await registry.put(bytes)).toMatchObject({ status: 201, body: { sha256, sizeBytes: bytes.length } });
    expect(await registry.put(bytes)).toMatchObject({ status: 200, body: { sha256, sizeBytes: bytes.length } });
    const found = await head(sha256);
    expect([found.status, found.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
  });

  it('takes any content type, JSON and none included, as bytes', async () => {
    const json = Buffer.from('{"a": 1}');
    const put = (headers: Record<string, string>, body: Uint8Array) =>
      fetch(`${registry.url}/v1/blobs/${sha256Of(body)}`, { method: 'PUT', body: Buffer.from(body), headers });
    expect((await put({ 'content-type': 'application/json' }, json)).status).toBe(201);
    expect((await put({}, Buffer.from('no type'))).status).toBe(201);
    expect((await put({ 'content-type': 'application/octet-stream' }, new Uint8Array())).status).toBe(201);
    expect((await head(NO_CONTENT_SHA256)).headers.get('content-length')).toBe('0');
  });

  it('refuses bytes with another digest, and keeps nothing of them', async () => {
    const sha256 = sha256Of(Buffer.from('what was promised'));
    const refused = await registry.put(Buffer.from('what was sent'), sha256);
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'INVALID_ARGUMENT' } } });
    expect((await head(sha256)).status).toBe(404);
  });

  it('refuses them also where the promised content is here already', async () => {
    const bytes = Buffer.from('here already');
    await registry.put(bytes);
    const refused = await registry.put(Buffer.from('something else'), sha256Of(bytes));
    expect(refused).toMatchObject({ status: 400, body: { error: { code: 'INVALID_ARGUMENT' } } });
    expect((await head(sha256Of(bytes))).status).toBe(200);
  });

  it('refuses a digest that is none', async () => {
    const refused = await registry.put(Buffer.from('x'), 'ABC');
    expect(refused).toMatchObject({ status: 400, body: { error: { details: [{ place: 'path.sha256' }] } } });
  });

  it('keeps nothing of an upload that breaks off', async () => {
    const sha256 = sha256Of(Buffer.alloc(1_000_000));
    const upload = request(`${registry.url}/v1/blobs/${sha256}`, {
      method: 'PUT',
      headers: { 'content-length': 1_000_000 },
    });
    const ended = new Promise((resolve) => upload.once('close', resolve));
    upload.on('error', () => {});
    await new Promise((resolve) => upload.write(Buffer.alloc(500_000), resolve));
    upload.destroy();
    await ended;
    await expect
      .poll(async () => (await filesUnder(join(registry.dir, 'registry/blobs/.tmp'))).length, { timeout: 5000 })
      .toBe(0);
    expect((await head(sha256)).status).toBe(404);
  });

  it('streams: memory does not grow with the size, and what is too large is refused', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 7);
    const stream = (chunks: number) => Readable.from(Array.from({ length: chunks }, () => chunk));
    const chunks = MAX_BLOB_BYTES / chunk.length;
    const hash = createHash('sha256');
    for (let i = 0; i < chunks; i++) hash.update(chunk);
    const sha256 = hash.digest('hex');
    // Chunks that wait for the garbage collector count too: they are some tens of megabytes, whatever the size.
    const before = process.memoryUsage().arrayBuffers;
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers);
    }, 5);
    const put = (count: number) =>
      fetch(`${registry.url}/v1/blobs/${sha256}`, {
        method: 'PUT',
        body: Readable.toWeb(stream(count)),
        duplex: 'half',
      });
    const answer = await put(chunks);
    expect(await answer.json()).toMatchObject({ sizeBytes: MAX_BLOB_BYTES });
    clearInterval(timer);
    expect(peak - before).toBeLessThan(MAX_BLOB_BYTES / 2);

    const announced = request(`${registry.url}/v1/blobs/${'0'.repeat(64)}`, {
      method: 'PUT',
      headers: { 'content-length': MAX_BLOB_BYTES + 1 },
    });
    announced.on('error', () => {});
    const status = await new Promise((resolve) =>
      announced.once('response', (r) => resolve(r.statusCode)).flushHeaders(),
    );
    announced.destroy();
    expect(status).toBe(413);
  });
});

describe('downloading a file of a version', () => {
  it('gives the bytes that were registered, with their digest', async () => {
    await registry.call('POST', '/v1/models', { name: 'download' });
    const made = await makePackage({ extraFiles: { 'notes/read.me': Buffer.from('hello') } });
    const version = (await registry.register('download', made)).body;
    for (const file of version.files) {
      const answer = await fetch(`${registry.url}/v1/versions/${version.id}/files/${file.path}`);
      expect(answer.headers.get('etag')).toBe(`"${file.sha256}"`);
      expect(answer.headers.get('content-length')).toBe(String(file.sizeBytes));
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.from(made.contents.get(file.path) ?? []));
    }
    const missing = await registry.fails('GET', `/v1/versions/${version.id}/files/notes/none`);
    expect(missing).toMatchObject({
      status: 404,
      body: { error: { message: expect.stringContaining('notes/read.me') } },
    });
  });

  it('breaks off when the stored content is not the one that was registered', async () => {
    await registry.call('POST', '/v1/models', { name: 'damaged' });
    const made = await makePackage({ extraFiles: { 'big.bin': Buffer.alloc(3_000_000, 1) } });
    const version: Version = (await registry.register('damaged', made)).body;
    const big = version.files.find((file) => file.path === 'big.bin');
    const stored = (await filesUnder(join(registry.dir, 'registry/blobs'))).find((path) =>
      path.includes(big?.sha256 ?? '?'),
    );
    await using file = await open(stored ?? '', 'r+');
    await file.write(Buffer.from([2]), 0, 1, 1_500_000);
    const answer = await fetch(`${registry.url}/v1/versions/${version.id}/files/big.bin`);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });

  it('names an unknown version', async () => {
    const missing = await registry.call<ErrorBody>('GET', '/v1/versions/ver_none/files/model.onnx');
    expect(missing).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
  });
});
