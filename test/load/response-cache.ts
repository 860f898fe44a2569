/**
 * Answers used again, beside none: requests a second over those without a cache, in turns in one process, so that noise meets
 * all alike. Requests of one row come 64 at a time; at a hit rate of 95 %, 95 of 100 are among 200 rows that were scored
 * before. `looked up`: an endpoint whose cache keeps nothing and coalesces nothing, which is what a look costs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPackage } from '@assay/model-package';
import {
  type Batcher,
  createBatcher,
  createScorer,
  type InputBatch,
  packageFromOnnx,
  type Scorer,
} from '@assay/scoring';
import { CacheBudget, ResponseCache, type VersionCache } from '@assay/scoring/response-cache';
import { median } from './generator.ts';
import { perceptron } from './perceptron.ts';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const AT_ONCE = 64;
const KNOWN_ROWS = 200;
const MODELS = [
  { name: 'small MLP, 30 floats', widths: [30, 32, 2], turns: 300 },
  { name: 'big MLP, 1,024 floats', widths: [1024, 256, 2], turns: 50 },
  { name: 'slow MLP, 1,024 floats', widths: [1024, 1024, 1024, 2], turns: 15 },
] as const;
const HIT_RATES = [0, 0.5, 0.95];

interface Way {
  readonly hitRate: number;
  readonly cache: VersionCache | undefined;
}

function openCache(maxBytes: number, coalesce: boolean): VersionCache {
  const cache = new ResponseCache(new CacheBudget(2 ** 30), { maxBytes, maxAgeMs: 3_600_000, coalesce });
  return cache.of({}, { looked() {}, evicted() {} });
}

/** Puts row number `id` where its numbers go, as the lane does. */
function appendRow(batch: InputBatch, row: Float32Array, id: number): number {
  const column = batch.floats('x', 1);
  if (column === undefined) throw new Error('the model takes one matrix of floats');
  column.array.set(row, column.at);
  column.array[column.at] = id;
  batch.takeFloats(1, 1);
  return 1;
}

/** @returns microseconds a request */
async function measure(
  batcher: Batcher,
  row: Float32Array,
  ids: readonly number[],
  cache: Way['cache'],
): Promise<number> {
  const submission = { deadlineMs: Number.POSITIVE_INFINITY, cache };
  const from = performance.now();
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const now = ids.slice(at, at + AT_ONCE);
    await Promise.all(now.map((id) => batcher.submit((batch) => appendRow(batch, row, id), submission)));
  }
  return ((performance.now() - from) * 1000) / ids.length;
}

async function open(dir: string, widths: readonly number[]): Promise<Scorer> {
  const path = join(dir, widths.join('-'));
  await packageFromOnnx(perceptron(widths, 'one'), { dir: path });
  return createScorer(await openPackage(path));
}

export async function benchResponseCache(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'assay-response-cache-'));
  console.log('\nAnswers used again: µs a request, and requests a second over those of an endpoint without a cache');
  console.log(
    'model                      no cache µs   looked up   ratio        0 % hits   ratio       50 %   ratio       95 %   ratio',
  );
  try {
    for (const { name, widths, turns } of MODELS) {
      const scorer = await open(dir, widths);
      const batcher = createBatcher(scorer);
      const row = Float32Array.from({ length: widths[0] }, (_, i) => (i % 100) / 100);
      const ways: Way[] = [
        { hitRate: 0, cache: undefined },
        { hitRate: 0, cache: openCache(0, false) },
        ...HIT_RATES.map((hitRate) => ({ hitRate, cache: openCache(2 ** 24, true) })),
      ];
      const known = Array.from({ length: KNOWN_ROWS }, (_, id) => id);
      for (const { cache } of ways) await measure(batcher, row, known, cache);
      let unknown = KNOWN_ROWS;
      const samples = ways.map((): number[] => []);
      for (let round = -1; round < ROUNDS; round++) {
        for (const [i, { hitRate, cache }] of ways.entries()) {
          // The known ones are spread evenly.
          const ids = Array.from({ length: turns * AT_ONCE }, (_, n) =>
            Math.floor((n + 1) * hitRate) > Math.floor(n * hitRate) ? n % KNOWN_ROWS : unknown++,
          );
          const sample = await measure(batcher, row, ids, cache);
          if (round >= 0) samples[i]?.push(sample); // the first compiles
        }
      }
      const [base = []] = samples;
      const columns = samples.slice(1).map((sample) => {
        const ratio = median(base.map((us, i) => us / (sample[i] ?? Number.NaN)));
        return `${median(sample).toFixed(1).padStart(11)} ${ratio.toFixed(2).padStart(7)}`;
      });
      console.log([name.padEnd(26), median(base).toFixed(1).padStart(12), ...columns].join(' '));
      await batcher.close();
      scorer.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

if (import.meta.main) await benchResponseCache();
