import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPackage } from '@assay/model-package';
import { attribute, GraphBuilder, inspect, readModel } from '@assay/onnx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyGolden } from './golden-records.ts';
import { type PackageFromOnnxOptions, packageFromOnnx } from './package-from-onnx.ts';
import { createScorer } from './scorer.ts';
import {
  identityModel,
  linearFloatModel,
  lookupModel,
  matrixMlpModel,
  nullableIntegerModel,
  oneRowModel,
  randomModel,
} from './testing/models.ts';

let folder = '';
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'assay-from-onnx-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function packaged(onnx: Uint8Array, options: Omit<PackageFromOnnxOptions, 'dir'> = {}) {
  const dir = join(folder, String(count++));
  const written = await packageFromOnnx(onnx, { ...options, dir });
  return openPackage(dir, { expectedDigest: written.digest });
}

describe('a plain ONNX file becomes a package', () => {
  test('whose signature is read from the graph', async () => {
    const { signature } = (await packaged(identityModel().onnx)).manifest;
    expect(signature.features.map(({ name, dtype, shape, nullable }) => [name, dtype, shape, nullable])).toEqual([
      ['real', 'float64', [], false],
      ['single', 'float32', [], false],
      ['count', 'int64', [], false],
      ['word', 'string', [], false],
      ['flag', 'bool', [], false],
      ['at', 'int64', [], false],
    ]);
  });

  test('with a matrix as one vector feature', async () => {
    const { signature } = (await packaged(matrixMlpModel().onnx)).manifest;
    expect(signature).toEqual({
      features: [{ name: 'x', dtype: 'float32', shape: [10], nullable: false }],
      outputs: [{ name: 'probabilities', dtype: 'float32', shape: [3] }],
    });
  });

  test('with small integers as integers of a range', async () => {
    const { signature } = (await packaged(nullableIntegerModel().onnx)).manifest;
    expect(signature.features[1]).toMatchObject({
      name: 'small',
      dtype: 'int64',
      range: { min: -(2 ** 31), max: 2 ** 31 - 1 },
    });
  });

  test('that loads and reproduces its golden records, by both ways of calling', async () => {
    for (const model of [identityModel(), linearFloatModel(), matrixMlpModel(), oneRowModel()]) {
      const pkg = await packaged(model.onnx);
      expect(pkg.manifest.golden).toMatchObject({ source: 'synthetic' });
      for (const call of ['auto', 'public'] as const) {
        const scorer = await createScorer(pkg, { call });
        expect(await verifyGolden(scorer, pkg)).toEqual({ records: 64, largestDifference: 0 });
        scorer.close();
      }
    }
  });

  test('the same each time, but for its date', async () => {
    const [a, b] = [await packaged(linearFloatModel().onnx), await packaged(linearFloatModel().onnx)];
    expect({ ...a.manifest, createdAt: '', files: {} }).toEqual({ ...b.manifest, createdAt: '', files: {} });
  });

  test('with the examples and the signature that it is given', async () => {
    const { onnx, signature } = lookupModel();
    await expect(packaged(onnx)).rejects.toThrow(/give it a signature and example records/);
    const examples = [{ index: 0 }, { index: 1 }];
    const pkg = await packaged(onnx, { examples, signature });
    expect(pkg.manifest.golden).toMatchObject({
      source: 'example',
      records: examples,
      outputs: [{ word: 'zero' }, { word: 'one' }],
    });
  });

  test('after a ZipMap was made a tensor, its classes kept', async () => {
    const graph = new GraphBuilder({ opsets: { '': 15, 'ai.onnx.ml': 2 } });
    graph.input('x', 'float32', ['N', 2]);
    graph.node('LinearClassifier', ['x'], {
      domain: 'ai.onnx.ml',
      attributes: {
        coefficients: attribute.floats([1, 2, -1, -2]),
        intercepts: attribute.floats([0, 0]),
        classlabels_strings: attribute.strings(['no', 'yes']),
        post_transform: attribute.string('SOFTMAX'),
      },
      outputs: ['label', 'scores'],
    });
    graph.node('ZipMap', ['scores'], {
      domain: 'ai.onnx.ml',
      attributes: { classlabels_strings: attribute.strings(['no', 'yes']) },
      outputs: ['probabilities'],
    });
    graph.output('label', 'string', ['N']);
    graph.output('probabilities', 'float32', ['N', 2]);
    // A ZipMap's output is a sequence of maps: the declared type is put right in the bytes of the file.
    const onnx = withSequenceOutput(graph.build(), 'probabilities');
    expect(inspect(readModel(onnx)).problems).not.toEqual([]);
    const pkg = await packaged(onnx);
    expect(pkg.manifest.signature.outputs).toEqual([
      { name: 'label', dtype: 'string', shape: [] },
      { name: 'probabilities', dtype: 'float32', shape: [2], classes: ['no', 'yes'] },
    ]);
  });

  test('that describes itself to MLflow by a tensor spec an input', async () => {
    const pkg = await packaged(nullableIntegerModel().onnx);
    const mlModel = await readFile(join(pkg.dir, 'MLmodel'), 'utf8');
    expect(mlModel).toContain('"tensor-spec":{"dtype":"int32","shape":[-1,1]}');
  });
});

describe('a file is refused', () => {
  const refused = (onnx: Uint8Array) => expect(packaged(onnx)).rejects;

  test('that is no model', async () => {
    await refused(Buffer.from('hello')).toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
  });

  test('whose dimensions are open besides the rows', async () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', ['N', 'T']);
    graph.node('Relu', ['x'], { outputs: ['y'] });
    graph.output('y', 'float32', ['N', 'T']);
    await refused(graph.build()).toThrow(/has an open dimension besides the rows/);
  });

  test('that gives one value for a whole batch', async () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float32', ['N', 2]);
    graph.node('ReduceSum', ['x'], { attributes: { keepdims: attribute.int(0) }, outputs: ['y'] });
    graph.output('y', 'float32', []);
    await refused(graph.build()).toThrow(/it must give one value a row/);
  });

  test('that gives other outputs each time', async () => {
    await refused(randomModel().onnx).toThrow(/golden records do not reproduce/);
  });

  test('with an element type that is not served', async () => {
    const graph = new GraphBuilder();
    graph.input('x', 'float16', ['N', 2]);
    graph.node('Identity', ['x'], { outputs: ['y'] });
    graph.output('y', 'float16', ['N', 2]);
    await refused(graph.build()).toThrow(/float16/);
  });
});

/** Declares an output as sequence(map(string, float32)), as converters declare a ZipMap's. */
function withSequenceOutput(onnx: Uint8Array, name: string): Uint8Array {
  // TypeProto of ValueInfoProto: sequence { elem_type { map { key_type: string, value_type { tensor { elem_type: float } } } } }
  const message = (field: number, ...bytes: number[]): number[] => [field * 8 + 2, bytes.length, ...bytes];
  const type = message(2, ...message(4, ...message(1, ...message(5, 8, 8, ...message(2, ...message(1, 8, 1))))));
  const info = [...message(1, ...Buffer.from(name)), ...type];
  const { graph } = readModel(onnx);
  const old = graph.outputs.find((output) => output.name === name);
  if (old === undefined) throw new Error(`no output ${name}`);
  const from = Buffer.from(onnx).lastIndexOf(Buffer.concat([Buffer.from([10, name.length]), Buffer.from(name)]));
  const oldLength = onnx[from - 1] ?? 0;
  const changed = [...onnx.slice(0, from - 1), info.length, ...info, ...onnx.slice(from + oldLength)];
  return growGraph(Uint8Array.from(changed), info.length - oldLength);
}

/** Adds to the length of the model's graph field, the first of its number. */
function growGraph(onnx: Uint8Array, by: number): Uint8Array {
  const at = onnx.indexOf(7 * 8 + 2);
  const [low = 0, high = 0] = onnx.slice(at + 1, at + 3);
  const length = (low & 127) + high * 128 + by;
  return Uint8Array.from([...onnx.slice(0, at + 1), (length % 128) | 128, length >> 7, ...onnx.slice(at + 3)]);
}
