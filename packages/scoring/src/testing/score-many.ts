/** Scores the same records again and again and gives the sum of what came out: equal bits give equal sums. */
import { createBatcher } from '../batcher.ts';
import { syntheticRecords } from '../synthetic-records.ts';
import { load } from './load.ts';
import { treeModel } from './models.ts';

export async function scoreMany(times: number): Promise<{ call: string; sum: number }> {
  const model = treeModel();
  const scorer = await load(model);
  const batcher = createBatcher(scorer);
  const records = syntheticRecords(model.signature, 64, 3);
  let sum = 0;
  for (let i = 0; i < times; i++) {
    const scored = await Promise.all(
      records.map((record) =>
        batcher.submit((batch) => batch.appendRecords([record]), { deadlineMs: Number.POSITIVE_INFINITY }),
      ),
    );
    for (const { outputs, firstRow } of scored) sum += Number(outputs.record(firstRow).probability);
  }
  await batcher.close();
  scorer.close();
  return { call: scorer.call, sum };
}
