/** Where a version runs: chosen when it is loaded, the same bits everywhere. */
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { afterEach, expect, test } from 'vitest';
import { sameBits } from './batch-invariance.ts';
import { createBatcher } from './batcher.ts';
import type { OutputBatch, Scorer, ScorerOptions } from './interfaces.ts';
import { syntheticRecords } from './synthetic-records.ts';
import { load } from './testing/load.ts';
import { feature, matrixMlpModel, output, type TestModel, wave } from './testing/models.ts';

const open: Scorer[] = [];
afterEach(() => {
  for (const scorer of open.splice(0)) scorer.close();
});

async function loaded(model: TestModel, options: ScorerOptions): Promise<Scorer> {
  const scorer = await load(model, options);
  open.push(scorer);
  return scorer;
}

/** A full batch of it takes tens of milliseconds. */
function slowModel(): TestModel {
  const width = 768;
  const graph = new GraphBuilder();
  let last = graph.input('x', 'float32', ['N', width]);
  const weights = graph.constant(float32Tensor(wave(width * width), [width, width]));
  for (let layer = 0; layer < 12; layer++) {
    last = graph.node('Tanh', [graph.node('MatMul', [last, weights])], layer === 11 ? { outputs: ['y'] } : {});
  }
  graph.output('y', 'float32', ['N', width]);
  return {
    name: 'slow',
    onnx: graph.build(),
    signature: { features: [feature('x', 'float32', { shape: [width] })], outputs: [output('y', 'float32', [width])] },
  };
}

async function score(scorer: Scorer, records: readonly unknown[]): Promise<OutputBatch> {
  const batch = scorer.newBatch();
  batch.appendRecords(records);
  return scorer.run(batch);
}

test('a model whose batches would hold up the loop runs in a thread, with the bits that it gives on the loop', async () => {
  const model = slowModel();
  const [apart, here] = [await loaded(model, { place: 'auto' }), await loaded(model, {})];
  expect([apart.place, here.place]).toEqual(['thread', 'loop']);
  const records = syntheticRecords(model.signature, 70, 3);
  const [one, other] = [await score(apart, records), await score(here, records)];
  for (let row = 0; row < 70; row++) expect(sameBits(one, row, other, row)).toBe(true);
});

test('the loop goes on while a model runs in a thread', async () => {
  const scorer = await loaded(slowModel(), { place: 'thread' });
  const running = score(scorer, syntheticRecords(scorer.signature, 64, 3));
  let isDone = false;
  void running.then(() => {
    isDone = true;
  });
  let turns = 0;
  while (!isDone) {
    await new Promise(setImmediate);
    turns++;
  }
  expect(turns).toBeGreaterThan(5);
});

test('a small model stays on the loop', async () => {
  expect((await loaded(matrixMlpModel(), { place: 'auto' })).place).toBe('loop');
});

test.each(['thread', 'process'] as const)('a batcher gives each caller its rows from a %s', async (place) => {
  const scorer = await loaded(matrixMlpModel(), { place, maxBatchRows: 4 });
  const here = await loaded(matrixMlpModel(), {});
  const batcher = createBatcher(scorer);
  const records = syntheticRecords(scorer.signature, 30, 5);
  const expected = await score(here, records);
  const answers = await Promise.all(
    records.map((record) =>
      batcher.submit((batch) => batch.appendRecords([record]), { deadlineMs: Number.POSITIVE_INFINITY }),
    ),
  );
  answers.forEach(({ outputs, firstRow }, i) => {
    expect(sameBits(outputs, firstRow, expected, i)).toBe(true);
  });
  await batcher.close();
});
