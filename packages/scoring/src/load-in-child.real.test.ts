import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPackage, writePackage } from '@assay/model-package';
import { attribute, GraphBuilder, int64Tensor } from '@assay/onnx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadInChild, packageOnnxInChild } from './load-in-child.ts';
import { packageFromOnnx } from './package-from-onnx.ts';
import { linearFloatModel, treeModel } from './testing/models.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assay-child-'));
  await packageFromOnnx(treeModel().onnx, { dir: join(folder, 'trees') });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a package is checked in a process of its own', () => {
  test('and what was found out comes back', async () => {
    const { digest } = await openPackage(join(folder, 'trees'));
    const report = await loadInChild(join(folder, 'trees'));
    expect(report).toMatchObject({
      digest,
      packed: true,
      call: 'native',
      batching: { mode: 'any' },
      batchInvariant: true,
      golden: { records: 64, largestDifference: 0 },
    });
    expect(report.signature.features.map(({ name }) => name)).toContain('carrier');
  });

  test('and refused when a file was changed', async () => {
    const dir = join(folder, 'changed');
    await cp(join(folder, 'trees'), dir, { recursive: true });
    await writeFile(join(dir, 'model.onnx'), linearFloatModel().onnx);
    await expect(loadInChild(dir)).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      message: expect.stringContaining('model.onnx'),
    });
  });

  test('and refused when its golden records do not reproduce', async () => {
    const { manifest, readOnnx } = await openPackage(join(folder, 'trees'));
    const { signature, lineage, golden } = manifest;
    const outputs = golden.outputs.map((record, i) => (i === 3 ? { probability: 0.123 } : record));
    const dir = join(folder, 'not-reproduced');
    await writePackage(dir, { onnx: await readOnnx(), signature, lineage, golden: { ...golden, outputs } });
    await expect(loadInChild(dir)).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      details: [{ place: 'golden.outputs[3].probability', expected: '0.123' }],
    });
  });

  test('and refused when it is not there', async () => {
    await expect(loadInChild(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
  });

  test('unless that was cancelled', async () => {
    const leaving = new AbortController();
    const checked = loadInChild(join(folder, 'trees'), { signal: leaving.signal });
    leaving.abort();
    await expect(checked).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

test('a plain ONNX file gets its package in a process of its own', async () => {
  const onnxPath = join(folder, 'linear.onnx');
  await writeFile(onnxPath, linearFloatModel().onnx);
  const dir = join(folder, 'linear');
  const { digest, files } = await packageOnnxInChild(onnxPath, { dir, description: 'a line' });
  const pkg = await openPackage(dir, { expectedDigest: digest });
  expect(pkg.manifest.description).toBe('a line');
  expect(files.map(({ path }) => path).sort()).toEqual(['MLmodel', 'assay.json', 'model.onnx']);
  expect(await readFile(join(dir, 'model.onnx'))).toEqual(Buffer.from(linearFloatModel().onnx));
});

describe('a graph that misbehaves ends with its child', () => {
  /** Repeats each row as often as it says: 2^31 times, say. */
  function hungryGraph(): Uint8Array {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', ['N', 1]);
    const wide = graph.node('Expand', ['x', graph.constant(int64Tensor([1, 400_000_000]))]);
    graph.node('ReduceMax', [wide, graph.constant(int64Tensor([1]))], {
      attributes: { keepdims: attribute.int(1) },
      outputs: ['y'],
    });
    graph.output('y', 'float32', ['N', 1]);
    return graph.build();
  }

  test('when it takes too much memory', async () => {
    const onnxPath = join(folder, 'hungry.onnx');
    await writeFile(onnxPath, hungryGraph());
    const packaged = packageOnnxInChild(onnxPath, { dir: join(folder, 'hungry'), maxMemoryBytes: 300 * 1024 ** 2 });
    await expect(packaged).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      message: expect.stringMatching(/more than the 300 MiB allowed/),
    });
    await expect(openPackage(join(folder, 'hungry'))).rejects.toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
  });
});
