/** For the tests of trainers: rows with gaps and categories, a folder, and the libraries' cache. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TreeNode } from '@assay/onnx';
import { createRandom } from '@assay/statistics';
import type { Part } from '../domain/prepared-rows.ts';
import { categoryFeature, numberFeature, part } from '../domain/rows-under-test.ts';
import { signatureOf } from '../domain/signature.ts';
import { openDraft } from '../job/draft.ts';
import { buildGraph } from '../job/graph.ts';
import { requireParity, scorePart } from '../job/score-part.ts';
import { recordOf } from '../job/served-form.ts';
import type { TrainedModel } from './trainer.ts';

/** Fetched once for all tests of this machine. */
export const LIBRARY_CACHE = join(tmpdir(), 'assay-test-libraries');

export async function temporaryFolder(opened: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-training-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

const CITIES = Array.from({ length: 60 }, (_, i) => `city-${i}`);
const KINDS = ['a', 'b', 'c', 'd', 'e', 'f'];
export const features = [
  numberFeature('plain'),
  numberFeature('gaps', { nullable: true }),
  numberFeature('large'),
  numberFeature('zeros'),
  categoryFeature('city', CITIES, 50, { nullable: true }),
  categoryFeature('kind', KINDS, 6, { nullable: true }),
];

/** `numbers`: further values of the numeric columns, which then replace every fourth; and cities that no other rows hold. */
export function makeRows(rows: number, seed: number, numbers?: readonly (readonly number[])[]): Part {
  const random = createRandom(seed);
  const columns: number[][] = [[], [], [], []];
  const cities = new Int32Array(rows);
  const kinds = new Int32Array(rows);
  const labels: number[] = [];
  for (let row = 0; row < rows; row++) {
    const plain = random.nextFloat() * 10 - 5;
    const gaps = random.nextFloat() < 0.2 ? Number.NaN : Math.exp(3 * random.nextFloat()) / 7;
    const large = Math.floor(random.nextFloat() * 1e9) / 3;
    const zeros = random.nextInt(3) === 0 ? 0 : random.nextFloat() - 0.5;
    const city = random.nextInt(numbers === undefined ? 50 : 60);
    const kind = random.nextInt(6);
    for (const [i, value] of [plain, gaps, large, zeros].entries()) {
      const others = numbers?.[i] ?? [];
      columns[i]?.push(others.length > 0 && row % 4 === 0 ? (others[random.nextInt(others.length)] ?? 0) : value);
    }
    cities[row] = row % 11 === 0 ? -1 : city;
    kinds[row] = row % 13 === 0 ? -1 : kind;
    const score =
      Math.sin(plain) +
      (Number.isNaN(gaps) ? 0.3 : gaps * 0.2) +
      ((city * 37) % 11) / 10 +
      (kind === 3 ? 0.5 : 0) +
      zeros;
    labels.push(score + random.nextFloat() > 1.6 ? 1 : 0);
  }
  const [plain = [], gaps = [], large = [], zeros = []] = columns;
  return part(labels, plain, gaps, large, zeros, cities, kinds);
}

/** Every threshold of each numeric feature, and how many splits are by a set. */
export function splitsOf(trees: readonly TreeNode[]): {
  readonly thresholds: readonly number[][];
  readonly sets: number;
} {
  const thresholds: number[][] = [[], [], [], []];
  let sets = 0;
  const pending = [...trees];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if ('leaf' in node) continue;
    if ('members' in node) sets++;
    else thresholds[node.feature]?.push(node.threshold);
    pending.push(node.left, node.right);
  }
  return { thresholds, sets };
}

/** The largest difference between the model and its graph, scored as it is served. */
export async function parityOf(model: TrainedModel, training: Part, rows: Part, dir: string): Promise<number> {
  const { signal } = new AbortController();
  const golden = makeRows(100, 3);
  const { signature, problems } = signatureOf(features, { train: training, validation: golden, test: golden }, 'event');
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const records = Array.from({ length: golden.rows }, (_, row) => recordOf(features, golden, row));
  const content = { onnx: buildGraph(features, model), signature };
  await using draft = await openDraft(dir, content, records, model.predict(golden), signal);
  return requireParity(await scorePart(draft.scorer, features, rows, signal), model.predict(rows));
}
