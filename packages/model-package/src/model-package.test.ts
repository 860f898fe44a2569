import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { openPackage } from './open-package.ts';
import { type PackageContent, writePackage } from './write-package.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assay-package-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const content: PackageContent = {
  onnx: Buffer.from('the bytes of a model'),
  signature: {
    features: [
      { name: 'distance', dtype: 'float64', shape: [], nullable: false },
      { name: 'carrier', dtype: 'string', shape: [], nullable: true },
      { name: 'stops', dtype: 'int64', shape: [], nullable: true },
      { name: 'id', dtype: 'int64', shape: [], nullable: false },
      { name: 'at', dtype: 'timestamp', shape: [], nullable: false },
      { name: 'embedding', dtype: 'float32', shape: [8], nullable: false },
    ],
    outputs: [{ name: 'probabilities', dtype: 'float32', shape: [2], classes: [0, 1] }],
  },
  golden: { source: 'example', records: [{}], outputs: [{}], tolerance: { absolute: 0, relative: 0 } },
  lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
  createdAt: '2026-11-25T12:00:00Z',
};

async function written(more: Partial<PackageContent> = {}): Promise<string> {
  const dir = join(folder, 'package');
  await writePackage(dir, { ...content, ...more });
  return dir;
}

/** Writes a file, and its digest into assay.json: a forged package that is consistent in itself. */
async function forge(dir: string, path: string, bytes: Uint8Array, listedAs = path): Promise<void> {
  await writeFile(join(dir, path), bytes);
  const manifest = JSON.parse(await readFile(join(dir, 'assay.json'), 'utf8'));
  manifest.files[listedAs] = { sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.byteLength };
  await writeFile(join(dir, 'assay.json'), JSON.stringify(manifest));
}

describe('a package', () => {
  test('that was written is opened with the same digest and content', async () => {
    const dir = join(folder, 'deep', 'package');
    const { digest, files, manifest } = await writePackage(dir, {
      ...content,
      extraFiles: { 'docs/card.md': Buffer.from('# card') },
    });
    const pkg = await openPackage(dir, { expectedDigest: digest });
    expect(pkg.digest).toBe(
      createHash('sha256')
        .update(await readFile(join(dir, 'assay.json')))
        .digest('hex'),
    );
    expect(pkg.manifest).toEqual(manifest);
    expect(new Map(pkg.files.map((file) => [file.path, file]))).toEqual(
      new Map(files.map((file) => [file.path, file])),
    );
    expect(Buffer.from(await pkg.readOnnx()).toString()).toBe('the bytes of a model');
    expect(files.map(({ path }) => path).sort()).toEqual(['MLmodel', 'assay.json', 'docs/card.md', 'model.onnx']);
  });

  test('has the same bytes for the same content', async () => {
    const one = await writePackage(join(folder, 'one'), content);
    const two = await writePackage(join(folder, 'two'), content);
    expect(one.digest).toBe(two.digest);
  });

  test('is written into a new folder only, and leaves nothing behind when that fails', async () => {
    const dir = await written();
    await expect(writePackage(dir, content)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const wrong = { ...content, golden: { ...content.golden, outputs: [] } };
    await expect(writePackage(join(folder, 'other'), wrong)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await readdir(folder)).toEqual(['package']);
  });

  test('takes no further file that would replace one of its own or leave the folder', async () => {
    for (const path of ['model.onnx', 'assay.json', '../up', '/etc/passwd', '.hidden', 'a//b', 'a/../b', '']) {
      await expect(written({ extraFiles: { [path]: Buffer.from('x') } })).rejects.toThrow();
    }
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a package is refused', () => {
  test('that is another one than expected', async () => {
    const dir = await written();
    await expect(openPackage(dir, { expectedDigest: '0'.repeat(64) })).rejects.toThrow(/expected 0000/);
  });

  test.each(['model.onnx', 'MLmodel'])('whose %s was changed, cut or taken away', async (path) => {
    const dir = await written();
    const whole = await readFile(join(dir, path));
    const flipped = Buffer.from(whole);
    flipped[3] = (flipped[3] ?? 0) ^ 1;
    await writeFile(join(dir, path), flipped);
    await expect(openPackage(dir)).rejects.toThrow(/was changed or damaged/);
    await writeFile(join(dir, path), whole.subarray(1));
    await expect(openPackage(dir)).rejects.toThrow(
      new RegExp(`${path} has ${whole.length - 1} bytes, assay.json says ${whole.length}`),
    );
    await rm(join(dir, path));
    await expect(openPackage(dir)).rejects.toThrow(new RegExp(`${path} is missing`));
  });

  test('whose model changes after it was opened', async () => {
    const dir = await written();
    const pkg = await openPackage(dir);
    await writeFile(join(dir, 'model.onnx'), 'another model, later');
    await expect(pkg.readOnnx()).rejects.toThrow(/changed after the package was opened/);
  });

  test('with a file that is not listed', async () => {
    const dir = await written();
    await mkdir(join(dir, 'code'));
    await writeFile(join(dir, 'code', 'run.py'), 'import os');
    await expect(openPackage(dir)).rejects.toThrow(/code\/run.py is not listed/);
  });

  test('with a link instead of a file, or on the way to one', async () => {
    const secret = join(folder, 'secret');
    await mkdir(secret);
    await writeFile(join(secret, 'key'), 'secret');
    const dir = await written();
    await symlink(join(secret, 'key'), join(dir, 'key'));
    await expect(openPackage(dir)).rejects.toThrow(/key is a symbolic link/);
    await rm(join(dir, 'key'));
    await symlink(secret, join(dir, 'sub'));
    await expect(openPackage(dir)).rejects.toThrow(/sub is a symbolic link/);
    await rm(join(dir, 'sub'));
    await rm(join(dir, 'assay.json'));
    await symlink(join(secret, 'key'), join(dir, 'assay.json'));
    await expect(openPackage(dir)).rejects.toThrow(/assay.json is a symbolic link/);
  });

  test.each(['../secret', '/etc/passwd', 'a/../../secret', '.hidden', '__proto__/../x', 'a\\b'])(
    'that lists %j',
    async (path) => {
      const dir = await written();
      await writeFile(join(folder, 'secret'), 'secret');
      await forge(dir, 'other', Buffer.from('secret'), path);
      await rm(join(dir, 'other'));
      await expect(openPackage(dir)).rejects.toThrow(/is no path for a file of a package/);
    },
  );

  test('that lists itself, or no model', async () => {
    const dir = await written();
    await forge(dir, 'assay.json', await readFile(join(dir, 'assay.json')));
    await expect(openPackage(dir)).rejects.toThrow(/may not list itself/);
    const other = join(folder, 'other');
    await mkdir(other);
    const manifest = JSON.parse(await readFile(join(dir, 'assay.json'), 'utf8'));
    await writeFile(join(other, 'assay.json'), JSON.stringify({ ...manifest, files: {} }));
    await expect(openPackage(other)).rejects.toThrow(/does not list model.onnx/);
  });

  test('that is larger than allowed, before it is read', async () => {
    const dir = await written();
    await expect(openPackage(dir, { maxTotalBytes: 100 })).rejects.toThrow(/more than the 100 allowed/);
  });

  test('that is no folder, or an empty one', async () => {
    await expect(openPackage(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
    await expect(openPackage(folder)).rejects.toThrow(/assay.json is missing/);
  });
});

test('MLmodel gives MLflow a tensor spec for each input', async () => {
  const dir = await written({ inputTypes: { id: 'int32' } });
  const mlModel = parseYaml(await readFile(join(dir, 'MLmodel'), 'utf8'));
  expect(mlModel.flavors).toEqual({
    onnx: { data: 'model.onnx', providers: ['CPUExecutionProvider'], code: null },
    python_function: { data: 'model.onnx', loader_module: 'mlflow.onnx' },
  });
  const spec = (name: string, dtype: string, size: number) => ({
    name,
    type: 'tensor',
    'tensor-spec': { dtype, shape: [-1, size] },
  });
  expect(JSON.parse(mlModel.signature.inputs)).toEqual([
    spec('distance', 'float64', 1),
    spec('carrier', 'str', 1),
    spec('stops', 'float64', 1),
    spec('id', 'int32', 1),
    spec('at', 'int64', 1),
    spec('embedding', 'float32', 8),
  ]);
  expect(JSON.parse(mlModel.signature.outputs)).toEqual([spec('probabilities', 'float32', 2)]);
  expect(mlModel.utc_time_created).toBe('2026-11-25 12:00:00');
});
