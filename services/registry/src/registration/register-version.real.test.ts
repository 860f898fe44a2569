import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditEntry, Model, Page } from '@assay/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type MadePackage,
  makePackage,
  type RegistryUnderTest,
  sha256Of,
  startRegistry,
} from '../registry-under-test.ts';

let registry: RegistryUnderTest;
beforeAll(async () => {
  registry = await startRegistry();
  await registry.call('POST', '/v1/models', { name: 'm' });
});
afterAll(() => registry[Symbol.asyncDispose]());

const MODEL = 'm';

/** The package with one file replaced, its list true to the new content. */
function withFile(made: MadePackage, path: string, content: Uint8Array): MadePackage {
  const files = made.files.filter((file) => file.path !== path);
  return {
    files: [...files, { path, sha256: sha256Of(content), sizeBytes: content.length }],
    contents: new Map([...made.contents, [path, content]]),
  };
}

const without = (made: MadePackage, path: string): MadePackage => ({
  ...made,
  files: made.files.filter((file) => file.path !== path),
});

async function refusal(made: MadePackage) {
  const answer = await registry.register(MODEL, made);
  const failed = answer as unknown as Awaited<ReturnType<RegistryUnderTest['fails']>>; // each of these is refused
  return { status: failed.status, error: failed.body.error };
}

describe('a package is refused with the reason', () => {
  it('when it has no assay.json, and the command that makes one is named', async () => {
    const made = await makePackage();
    const onnx = made.files.filter((file) => file.path === 'model.onnx');
    const { status, error } = await refusal({ ...made, files: onnx });
    expect([status, error.code]).toEqual([422, 'UNPROCESSABLE_MODEL']);
    expect(error.message).toMatch(/no assay\.json.*assay register NAME model\.onnx/);
  });

  it('when another part is missing', async () => {
    const made = await makePackage();
    expect((await refusal(without(made, 'MLmodel'))).error.message).toMatch(/no MLmodel/);
    expect((await refusal(without(made, 'model.onnx'))).error.message).toMatch(/no model\.onnx/);
  });

  it.each([
    ['its golden records do not reproduce', () => makePackage({ adds: 1, promises: 5 }), /golden/],
    ['its graph is no ONNX', () => makePackage({ onnx: Buffer.from('not a graph') }), /model\.onnx|ONNX/i],
    [
      'a file is not the one that assay.json lists',
      async () => withFile(await makePackage(), 'MLmodel', Buffer.from('flavors: {}')),
      /^MLmodel has \d+ bytes, assay\.json says|^MLmodel has sha256/,
    ],
    [
      'a file is not listed in assay.json',
      async () => withFile(await makePackage(), 'extra.txt', Buffer.from('x')),
      /extra\.txt is not listed/,
    ],
    [
      'assay.json is no JSON',
      async () => withFile(await makePackage(), 'assay.json', Buffer.from('{')),
      /assay\.json is not JSON/,
    ],
    [
      'assay.json says nothing of what it must',
      async () => withFile(await makePackage(), 'assay.json', Buffer.from('{"formatVersion": 1}')),
      /assay\.json is not valid/,
    ],
    [
      'its signature is not that of its graph',
      async () => {
        const graph = (await makePackage({ feature: 'x' })).contents.get('model.onnx');
        return makePackage({ feature: 'other', ...(graph === undefined ? {} : { onnx: graph }) });
      },
      /other/,
    ],
  ])('when %s', async (_when, make, message) => {
    const { status, error } = await refusal(await make());
    expect([status, error.code]).toEqual([422, 'UNPROCESSABLE_MODEL']);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain(registry.dir);
  });

  it('when a content was not put, or has another size', async () => {
    const made = await makePackage({ adds: 77 });
    const absent = await registry.fails('POST', `/v1/models/${MODEL}/versions`, { files: made.files });
    expect(absent).toMatchObject({ status: 412, body: { error: { code: 'FAILED_PRECONDITION' } } });
    expect(absent.body.error.details[0]?.expected).toMatch(/PUT \/v1\/blobs\//);
    const files = made.files.map((file) => ({ ...file, sizeBytes: file.sizeBytes + 1 }));
    const wrong = await refusal({ ...made, files });
    expect(wrong).toMatchObject({ status: 400, error: { details: [{ place: 'files[0].sizeBytes' }, {}, {}] } });
  });

  it('when there is no such model', async () => {
    const made = await makePackage();
    expect(await registry.fails('POST', '/v1/models/none/versions', { files: made.files })).toMatchObject({
      status: 404,
    });
  });

  it('and nothing of it stays: no version, no entry, no folder', async () => {
    await refusal(await makePackage({ adds: 1, promises: 5 }));
    expect((await registry.call<Model>('GET', `/v1/models/${MODEL}`)).body).toMatchObject({
      latestVersion: null,
      revision: 1,
    });
    const entries = await registry.call<Page<AuditEntry>>('GET', '/v1/audit?action=version.register');
    expect(entries.body.items).toEqual([]);
    expect(await readdir(join(registry.dir, 'registry/staging'))).toEqual([]);
  });
});

describe('a package is accepted', () => {
  it('when its graph loads in a child process and its golden records reproduce', async () => {
    const model = (await registry.call<Model>('POST', '/v1/models', { name: 'good' })).body;
    const made = await makePackage({ adds: 3, extraFiles: { 'notes/origin.txt': Buffer.from('made for a test') } });
    const answer = await registry.register('good', made, { description: 'd', tags: { team: 'a' } });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe(`/v1/versions/${answer.body.id}`);
    const manifest = made.files.find((file) => file.path === 'assay.json');
    expect(answer.body).toMatchObject({
      modelId: model.id,
      version: 1,
      digest: manifest?.sha256,
      files: made.files,
      description: 'd',
      tags: { team: 'a' },
    });
  });
});
