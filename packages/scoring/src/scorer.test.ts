import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseExactJson, stringifyExactJson } from '@assay/model-package';
import { afterEach, describe, expect, test } from 'vitest';
import { sameBits } from './batch-invariance.ts';
import type { OutputBatch, Scorer, ScorerOptions } from './interfaces.ts';
import { syntheticRecords } from './synthetic-records.ts';
import { load } from './testing/load.ts';
import {
  feature,
  identityModel,
  linearFloatModel,
  lookupModel,
  matrixMlpModel,
  nullableIntegerModel,
  output,
  passThroughModel,
  type TestModel,
  treeModel,
} from './testing/models.ts';

const open: Scorer[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const scorer of open.splice(0)) scorer.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function loaded(model: TestModel, options: ScorerOptions = {}, records: unknown[] = []): Promise<Scorer> {
  const scorer = await load(model, options, records);
  open.push(scorer);
  return scorer;
}

async function score(scorer: Scorer, records: readonly unknown[]): Promise<OutputBatch> {
  const batch = scorer.newBatch();
  batch.appendRecords(records);
  return scorer.run(batch);
}

describe('values pass unchanged', () => {
  const record = {
    real: 0.1,
    single: Math.fround(0.1),
    count: 9_007_199_254_740_993n,
    word: 'Zürich €😀',
    flag: true,
    at: '2026-11-25T12:00:00.000001+01:00',
  };

  test.each(['auto', 'public'] as const)('of every dtype, from record to JSON, %s call', async (call) => {
    const scorer = await loaded(identityModel(), { call });
    const outputs = await score(scorer, [record]);
    const text = stringifyExactJson(outputs.record(0));
    expect(text).toContain('"count_out":9007199254740993');
    expect(parseExactJson(text)).toEqual({
      real_out: 0.1,
      single_out: Math.fround(0.1),
      count_out: 9_007_199_254_740_993n,
      word_out: 'Zürich €😀',
      flag_out: true,
      at_out: '2026-11-25T11:00:00.000001Z',
    });
  });

  test('at the ends of int64', async () => {
    const scorer = await loaded(passThroughModel(['low', 'high'], 'int64'));
    const request = parseExactJson('{"low": -9223372036854775808, "high": 9223372036854775807}');
    const outputs = await score(scorer, [request]);
    expect(stringifyExactJson(outputs.record(0))).toBe('{"out 0":-9223372036854775808,"out 1":9223372036854775807}');
  });

  test('from tensors to tensors, some rows of them', async () => {
    const scorer = await loaded(passThroughModel(['id'], 'int64'));
    const batch = scorer.newBatch();
    batch.appendTensors([{ name: 'id', dtype: 'int64', shape: [3, 1], data: [1, 2n ** 60n + 1n, 3] }]);
    const outputs = await scorer.run(batch);
    expect(outputs.tensor('out 0')).toEqual({
      name: 'out 0',
      dtype: 'int64',
      shape: [3, 1],
      data: BigInt64Array.of(1n, 2n ** 60n + 1n, 3n),
    });
    expect(outputs.tensor('out 0', 1, 1)).toMatchObject({ shape: [1, 1], data: BigInt64Array.of(2n ** 60n + 1n) });
  });

  test('of smaller integers of the graph as int64', async () => {
    const scorer = await loaded(nullableIntegerModel());
    const outputs = await score(scorer, [
      { stops: null, small: -5 },
      { stops: 2, small: 2_147_483_647 },
    ]);
    expect([outputs.record(0), outputs.record(1)]).toEqual([
      { stops_out: null, small_out: -5 },
      { stops_out: 2, small_out: 2_147_483_647 },
    ]);
  });
});

test('names that look like code are names', async () => {
  const names = [
    'a"]=1;//',
    "b'+process.exit()+'",
    'c\\',
    '`d`',
    'e\n}',
    'constructor',
    'toString',
    'ünï 😀',
    ' ',
    '0',
  ];
  const scorer = await loaded(passThroughModel(names));
  const record = Object.fromEntries(names.map((name, i) => [name, i + 0.5]));
  const outputs = await score(scorer, [record]);
  expect(outputs.outputs.map(({ data }) => data[0])).toEqual(names.map((_, i) => i + 0.5));
});

test('each row comes back as itself from batches of any size', async () => {
  const scorer = await loaded(passThroughModel(['a', 'b', 'c'], 'string'), { maxBatchRows: 16 });
  const records = Array.from({ length: 200 }, (_, i) => ({ a: `a${i}`, b: `b${i}`, c: `c${i}` }));
  const outputs = await score(scorer, records);
  records.forEach((record, row) => {
    expect(Object.values(outputs.record(row))).toEqual(Object.values(record));
  });
});

describe('packing', () => {
  test('keeps the bits of the original graph, and the cache is used only while it is whole', async () => {
    const cacheDir = await mkdtemp(join(tmpdir(), 'assay-packed-'));
    folders.push(cacheDir);
    const model = treeModel();
    const records = syntheticRecords(model.signature, 70, 5);
    const first = await loaded(model, { cacheDir });
    expect(first.packed).toBe(true);
    const expected = await score(first, records);
    const files = (await readdir(cacheDir)).sort();
    expect(files).toEqual([`${first.digest}-packing1.2.json`, `${first.digest}-packing1.2.onnx`]);

    const cached = join(cacheDir, files[1] ?? '');
    const whole = await readFile(cached);
    for (const damaged of [whole, whole.subarray(0, 100), Buffer.from('no model')]) {
      await writeFile(cached, damaged);
      const again = await loaded(model, { cacheDir });
      expect(again.packed).toBe(true);
      const outputs = await score(again, records);
      for (let row = 0; row < records.length; row++) expect(sameBits(outputs, row, expected, row)).toBe(true);
      expect(await readFile(cached)).toEqual(whole);
    }
  });

  test('needs no cache folder that can be written', async () => {
    const scorer = await loaded(treeModel(), { cacheDir: '/dev/null/cache' });
    expect(scorer.packed).toBe(true);
  });

  test('does not happen to a model that comes with one matrix', async () => {
    const scorer = await loaded(matrixMlpModel());
    expect(scorer.packed).toBe(false);
    const outputs = await score(scorer, [{ x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }]);
    expect(outputs.record(0).probabilities).toHaveLength(3);
  });
});

describe('a version is refused', () => {
  const refused = (model: TestModel, records: unknown[] = []) => expect(loaded(model, {}, records)).rejects;

  test('whose bytes are no ONNX model', async () => {
    const { signature } = treeModel();
    await refused({ name: '', onnx: Buffer.from('not a model'), signature }).toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
    });
    await refused({ name: '', onnx: new Uint8Array(0), signature }).toMatchObject({ code: 'UNPROCESSABLE_MODEL' });
  });

  test('whose graph has an input that is no feature, or lacks one', async () => {
    const { onnx, signature } = linearFloatModel();
    const { features, outputs } = signature;
    await refused({ name: '', onnx, signature: { features: features.slice(1), outputs } }).toThrow(
      /"f0" is no feature/,
    );
    await refused({ name: '', onnx, signature: { features: [...features, feature('x', 'float32')], outputs } }).toThrow(
      /no input for feature "x"/,
    );
  });

  test('whose outputs are not those of its signature', async () => {
    const { onnx, signature } = linearFloatModel();
    const { features } = signature;
    await refused({ name: '', onnx, signature: { features, outputs: [output('score', 'float32')] } }).toThrow(
      /no output "score"/,
    );
    await refused({ name: '', onnx, signature: { features, outputs: [output('label', 'float32')] } }).toThrow(
      /is float32, the graph gives int64/,
    );
    await refused({
      name: '',
      onnx,
      signature: { features, outputs: [output('probabilities', 'float32', [3])] },
    }).toThrow(/shape \[3\]/);
  });

  test('that fails on its own records', async () => {
    await refused(lookupModel(), [{ index: 5 }]).toThrow(/does not score its own records/);
    await refused(lookupModel(), [{ index: 'one' }]).toThrow(/does not score its own records: records\[0\].index/);
  });

  test('before it is loaded, when loading is cancelled', async () => {
    await expect(loaded(treeModel(), { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });
});

test('records that make the graph fail are refused, and the next ones are scored', async () => {
  const scorer = await loaded(lookupModel(), {}, [{ index: 0 }, { index: 2 }]);
  const batch = scorer.newBatch();
  batch.appendRecords([{ index: 99 }]);
  expect(() => scorer.run(batch)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  expect((await score(scorer, [{ index: 1 }])).record(0)).toEqual({ word: 'one' });
});

test('a closed scorer says so', async () => {
  const scorer = await loaded(treeModel());
  const batch = scorer.newBatch();
  batch.appendRecords(syntheticRecords(scorer.signature, 1, 1));
  scorer.close();
  expect(() => scorer.run(batch)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
});

test('the execution class names what decides the bits', async () => {
  const { executionClass } = await loaded(treeModel());
  expect(executionClass).toMatchObject({ provider: 'cpu', graphOptimization: 'all', threads: 1 });
  expect(executionClass.runtime).toMatch(/^onnxruntime-node 1\.\d+\.\d+$/);
  expect(executionClass.cpuFeatures.length).toBeGreaterThan(0);
  const other = await loaded(treeModel(), { graphOptimization: 'basic' });
  expect(other.executionClass.id).not.toBe(executionClass.id);
});
