import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { flightRecords, floatLinearModel, linearModel, type MadeModel, treeModel } from './models-under-test.ts';

const resources = new AsyncDisposableStack();
let inference: InferenceUnderTest;
const models = new Map<string, MadeModel>();

beforeAll(async () => {
  const { path: dir } = resources.use(await temporaryFolder());
  models.set('trees', await treeModel(dir));
  models.set('linear', await linearModel(dir));
  models.set('float-linear', await floatLinearModel(dir));
  inference = resources.use(
    await serveStatic(
      dir,
      Array.from(models, ([name, made]) => ({ name, path: made.dir })),
    ),
  );
});
afterAll(() => resources.disposeAsync());

const ROWS = 97;
const SIZES = [1, 2, 3, 7, 30, 64, 97];

const scoredAlone = new Map<string, Promise<unknown[]>>();

/** Each record by itself, in this process: the bits that every door must give. */
function alone(name: string, records: readonly unknown[]): Promise<unknown[]> {
  const rows = scoredAlone.get(name) ?? scoreAlone(name, records);
  scoredAlone.set(name, rows);
  return rows;
}

async function scoreAlone(name: string, records: readonly unknown[]): Promise<unknown[]> {
  const made = models.get(name);
  if (made === undefined) throw new Error(`no model ${name}`);
  const scorer = await createScorer(await openPackage(made.dir));
  const rows: unknown[] = [];
  for (const record of records) {
    const batch = scorer.newBatch(1);
    batch.appendRecords([record]);
    rows.push((await scorer.run(batch)).record(0));
  }
  scorer.close();
  return rows;
}

function slices<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

async function byNames(name: string, records: readonly unknown[], size: number): Promise<unknown[]> {
  const answers = await Promise.all(
    slices(records, size).map((slice) => inference.post(`/v1/endpoints/${name}/score`, { records: slice })),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  return answers.flatMap(({ body }) => body.predictions.map((prediction: { outputs: unknown }) => prediction.outputs));
}

const DATATYPES = {
  int64: 'INT64',
  float64: 'FP64',
  float32: 'FP32',
  string: 'BYTES',
  bool: 'BOOL',
  timestamp: 'INT64',
};

async function byTensors(name: string, records: readonly Record<string, unknown>[], size: number): Promise<unknown[]> {
  const features = models.get(name)?.manifest.signature.features ?? [];
  const answers = await Promise.all(
    slices(records, size).map((slice) => {
      const inputs = features.map((feature) => ({
        name: feature.name,
        datatype: DATATYPES[feature.dtype],
        shape: [slice.length, feature.shape[0] ?? 1],
        data: slice.flatMap((record) => record[feature.name]),
      }));
      return inference.post(`/v2/models/${name}/infer`, { inputs });
    }),
  );
  return answers.flatMap(({ status, text, body }) => {
    if (status !== 200) throw new Error(`${status} ${text}`);
    const [label, scores] = body.outputs;
    const width = scores.shape[1];
    return label.data.map((value: number, row: number) => ({
      label: value,
      [scores.name]: scores.data.slice(row * width, (row + 1) * width),
    }));
  });
}

describe.each(['trees', 'linear'])('%s', (name) => {
  const records = flightRecords(ROWS);

  test.each(SIZES)('named records %i at a time get the bits of the record alone', async (size) => {
    expect(await byNames(name, records, size)).toEqual(await alone(name, records));
  });

  test.each(SIZES)('tensors %i rows at a time get the bits of the record alone', async (size) => {
    // A missing category travels as the empty string: tensors have no null of strings.
    const tensors = records.map((record) => ({ ...record, origin: record.origin ?? '' }));
    expect(await byTensors(name, tensors, size)).toEqual(await alone(name, records));
  });
});

test.each(SIZES)('a float32 classifier, which needs padding, %i rows at a time by both doors', async (size) => {
  const records = Array.from({ length: ROWS }, (_, i) => ({
    x: Array.from({ length: 30 }, (_, j) => Math.fround(Math.sin(i * 31 + j))),
  }));
  const expected = await alone('float-linear', records);
  expect(await byNames('float-linear', records, size)).toEqual(expected);
  expect(await byTensors('float-linear', records, size)).toEqual(expected);
});
