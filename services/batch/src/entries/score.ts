/** The thread that scores chunks for a batch job: it loads the version once and answers one chunk after another. */
import { parentPort, workerData } from 'node:worker_threads';
import { AssayError } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { createScorer } from '@assay/scoring';
import type { FeatureChunk } from '@assay/tables';
import { createJudge } from '../job/judge.ts';
import { buffersOf, type FromThread, type ScoringSetup, type ToThread } from '../job/scoring-thread.ts';

const port = parentPort;
if (port === null) throw new Error('this is the program of a thread');
const { packageDir, digest, maxBatchRows, columns, selected } = workerData as ScoringSetup; // given by scoring-pool.ts

const tell = (message: FromThread, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
const failed = (thrown: unknown): FromThread => {
  if (thrown instanceof AssayError) return { type: 'failed', code: thrown.code, message: thrown.message };
  const { code, message } = AssayError.from(thrown);
  return { type: 'failed', code, message: thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : message };
};

try {
  const scorer = await createScorer(await openPackage(packageDir, { expectedDigest: digest }), { maxBatchRows });
  const judge = createJudge(scorer, { columns, selected: new Set(selected) });
  const score = async (chunk: FeatureChunk, logged: readonly number[]): Promise<void> => {
    try {
      const scored = await judge(chunk, logged);
      tell({ type: 'scored', scored }, buffersOf([scored.isGood, ...scored.values]));
    } catch (error) {
      tell(failed(error));
    }
  };
  port.on('message', (message: ToThread) => {
    if (message.type === 'score') return void score(message.chunk, message.logged);
    scorer.close();
    port.close(); // nothing else keeps the thread
  });
  const { batchInvariant, executionClass, notes } = scorer;
  tell({ type: 'ready', facts: { batchInvariant, executionClass: executionClass.id, notes } });
} catch (error) {
  tell(failed(error));
  port.close();
}
