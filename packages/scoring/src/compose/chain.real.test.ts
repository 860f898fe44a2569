import { openPackage } from '@assay/model-package';
import { expect, test } from 'vitest';
import { loadInChild } from '../load-in-child.ts';
import { createScorer } from '../scorer.ts';
import { syntheticRecords } from '../synthetic-records.ts';
import { apartModels, composing } from '../testing/composing.ts';

test('several graphs give the same bits on the loop, in a thread and in a process, and pass the check of a registry', async () => {
  await using made = await composing();
  const { old, young, steps, outputs } = apartModels();
  const parts = [await made.part('old', old), await made.part('young', young)];
  const { dir } = await made.composed(steps, outputs, parts);
  const pkg = await openPackage(dir);
  const records = syntheticRecords(pkg.manifest.signature, 90, 11);
  const answers = await Promise.all(
    (['loop', 'thread', 'process'] as const).map(async (place) => {
      const scorer = await createScorer(pkg, { place });
      try {
        expect(scorer.place).toBe(place);
        const batch = scorer.newBatch(records.length);
        batch.appendRecords(records);
        const given = await scorer.run(batch);
        return records.map((_, row) => given.record(row));
      } finally {
        scorer.close();
      }
    }),
  );
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[2]).toEqual(answers[0]);
  expect(await loadInChild(dir)).toMatchObject({ batchInvariant: true, golden: { records: 64 } });
});
