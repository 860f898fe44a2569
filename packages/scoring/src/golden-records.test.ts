import type { AssayManifest } from '@assay/model-package';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { plainRecord, verifyGolden } from './golden-records.ts';
import type { Scorer } from './interfaces.ts';
import { syntheticRecords } from './synthetic-records.ts';
import { load } from './testing/load.ts';
import { linearDoubleModel } from './testing/models.ts';

let scorer: Scorer;
let manifest: AssayManifest;
beforeAll(async () => {
  scorer = await load(linearDoubleModel());
  const records = syntheticRecords(scorer.signature, 5, 11);
  const batch = scorer.newBatch();
  batch.appendRecords(records);
  const outputs = await scorer.run(batch);
  manifest = {
    formatVersion: 1,
    producer: { name: 'test', version: '1' },
    createdAt: '2026-01-01T00:00:00Z',
    signature: scorer.signature,
    golden: {
      source: 'training',
      records,
      outputs: records.map((_, row) => plainRecord(outputs.record(row))),
      tolerance: { absolute: 0.01, relative: 0 },
    },
    lineage: { datasetSha256s: [], libraries: {}, metrics: {} },
    files: {},
  };
});
afterAll(() => scorer.close());

/** The manifest, with the first expected probability changed. */
function expecting(probability: unknown): { manifest: AssayManifest } {
  const [, ...others] = manifest.golden.outputs;
  return { manifest: { ...manifest, golden: { ...manifest.golden, outputs: [{ probability }, ...others] } } };
}

test('golden records that reproduce are counted', async () => {
  expect(await verifyGolden(scorer, { manifest })).toEqual({ records: 5, largestDifference: 0 });
});

test('a difference within the tolerance is told', async () => {
  const probability = Number(manifest.golden.outputs[0]?.probability) + 0.005;
  const { largestDifference } = await verifyGolden(scorer, expecting(probability));
  expect(largestDifference).toBeCloseTo(0.005, 10);
});

test.each([[2], [null], ['0.5'], [undefined], [[0.5]], [true]])(
  'the expected output %j is not reproduced',
  async (probability) => {
    await expect(verifyGolden(scorer, expecting(probability))).rejects.toMatchObject({
      code: 'UNPROCESSABLE_MODEL',
      details: [{ place: 'golden.outputs[0].probability' }],
    });
  },
);

test('golden records that the signature does not take are refused at their place', async () => {
  const records = [{ f0: 'x' }, ...manifest.golden.records.slice(1)];
  const changed = { manifest: { ...manifest, golden: { ...manifest.golden, records } } };
  await expect(verifyGolden(scorer, changed)).rejects.toMatchObject({
    code: 'UNPROCESSABLE_MODEL',
    message: expect.stringContaining('golden.records[0].f0'),
  });
});
