import { afterEach, describe, expect, test } from 'vitest';
import { sameBits } from './batch-invariance.ts';
import type { Scorer } from './interfaces.ts';
import { syntheticRecords } from './synthetic-records.ts';
import { load } from './testing/load.ts';
import {
  identityModel,
  linearDoubleModel,
  linearFloatModel,
  logModel,
  matrixMlpModel,
  oneRowModel,
  randomModel,
  rowMixingModel,
  rowSumModel,
  type TestModel,
  treeModel,
} from './testing/models.ts';

const open: Scorer[] = [];
afterEach(() => {
  for (const scorer of open.splice(0)) scorer.close();
});

async function loaded(model: TestModel, options = {}): Promise<Scorer> {
  const scorer = await load(model, options);
  open.push(scorer);
  return scorer;
}

describe('a version is batched in the cheapest way that keeps its bits', () => {
  test.each([
    [identityModel(), { mode: 'any' }],
    [treeModel(), { mode: 'any' }],
    [linearDoubleModel(), { mode: 'any' }],
    [matrixMlpModel(), { mode: 'any' }],
    [linearFloatModel(), { mode: 'pad', to: 2 }],
    [logModel(), { mode: 'pad', to: 4 }],
    [rowSumModel(), { mode: 'row' }],
    [rowMixingModel(), { mode: 'row' }],
    [oneRowModel(), { mode: 'row' }],
  ] as const)('$0.name', async (model, batching) => {
    const scorer = await loaded(model);
    expect(scorer.batching).toEqual(batching);
    expect(scorer.batchInvariant).toBe(true);
  });

  test('and is told not to be batch-invariant where nothing helps', async () => {
    const scorer = await loaded(randomModel());
    expect(scorer).toMatchObject({ batchInvariant: false, repeatable: false, batching: { mode: 'any' } });
    expect(scorer.notes).toContain('the graph gives other bits each time it is run');
  });
});

describe('a record has the same bits at every batch size', () => {
  const models = [
    identityModel(),
    treeModel(),
    linearFloatModel(),
    linearDoubleModel(),
    matrixMlpModel(),
    logModel(),
    rowMixingModel(),
    rowSumModel(),
    oneRowModel(),
  ];
  const ways = models.flatMap((model) =>
    (['auto', 'public'] as const).map((call) => ({ name: model.name, model, call })),
  );

  test.each(ways)('$name, $call call', async ({ model, call }) => {
    const scorer = await loaded(model, { call, maxBatchRows: 32 });
    const records = syntheticRecords(model.signature, 100, 7);
    const all = scorer.newBatch();
    all.appendRecords(records);
    const expected = await scorer.run(all);
    for (const size of [1, 2, 3, 5, 8, 13, 31, 32, 33, 64]) {
      for (let from = 0; from < records.length; from += size) {
        const some = records.slice(from, from + size);
        const batch = scorer.newBatch();
        batch.appendRecords(some);
        const outputs = await scorer.run(batch);
        expect(outputs.rows).toBe(some.length);
        for (let row = 0; row < some.length; row++) expect(sameBits(outputs, row, expected, from + row)).toBe(true);
      }
    }
  });
});

describe('long runs', () => {
  test.each([
    // Which of the longer ones is the cheapest hangs on the machine.
    [identityModel(), [128, 256, 512]],
    [treeModel(), [128, 256, 512]],
    [linearFloatModel(), [128, 256, 512]],
    [logModel(), [128, 256, 512]],
    [matrixMlpModel(), [128, 256, 512]],
    [rowSumModel(), [64]],
    [rowMixingModel(), [64]],
    [oneRowModel(), [64]],
    [randomModel(), [64]],
  ])('$0.name: of $1 rows', async (model, rows) => {
    const scorer = await loaded(model, { longRunRows: 512 });
    expect(rows).toContain(scorer.maxBatchRows);
    const usual = await loaded(model);
    expect(usual.maxBatchRows).toBe(64);
    if (!scorer.repeatable) return;
    const records = syntheticRecords(model.signature, 1100, 9);
    const [long, short] = [scorer.newBatch(), usual.newBatch()];
    long.appendRecords(records);
    short.appendRecords(records);
    const [outputs, expected] = [await scorer.run(long), await usual.run(short)];
    for (let row = 0; row < records.length; row++) expect(sameBits(outputs, row, expected, row)).toBe(true);
  });

  test('are as a reload remembers them', async () => {
    const { digest, call, place, batching, batchInvariant, repeatable, packed, notes, measured, maxBatchRows } =
      await loaded(treeModel(), { longRunRows: 512 });
    expect(maxBatchRows).toBeGreaterThan(64);
    const found = { digest, call, place, batching, batchInvariant, repeatable, packed, notes, measured, maxBatchRows };
    expect((await loaded(treeModel(), { longRunRows: 512, found })).maxBatchRows).toBe(maxBatchRows);
  });
});

test('both ways of calling the runtime give the same bits', async () => {
  for (const model of [identityModel(), treeModel(), linearFloatModel(), linearDoubleModel(), matrixMlpModel()]) {
    const native = await loaded(model);
    const publicly = await loaded(model, { call: 'public' });
    expect([native.call, publicly.call]).toEqual(['native', 'public']);
    const records = syntheticRecords(model.signature, 50, 3);
    const [a, b] = [native.newBatch(), publicly.newBatch()];
    a.appendRecords(records);
    b.appendRecords(records);
    const [left, right] = [await native.run(a), await publicly.run(b)];
    for (let row = 0; row < records.length; row++) expect(sameBits(left, row, right, row)).toBe(true);
  }
});
