import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PackedInputBatch, packed } from '../input-batch.ts';
import type { OutputBatch, Scorer } from '../interfaces.ts';
import { copyOutputRow } from '../output-batch.ts';
import { load } from '../testing/load.ts';
import { passThroughModel } from '../testing/models.ts';
import { CacheBudget, ResponseCache, type VersionCache } from './index.ts';
import { appendCopy, copyRow, equalsRow, hashRow, type RowViews, viewRows } from './row-copy.ts';

const ROWS = 24;
let scorer: Scorer;
let batch: PackedInputBatch;
let rows: RowViews;
let outputs: OutputBatch[];

beforeAll(async () => {
  scorer = await load(passThroughModel(['id', 'twin'], 'string'));
  const made = scorer.newBatch(ROWS);
  batch = packed(made);
  batch.appendRecords(Array.from({ length: ROWS }, (_, i) => ({ id: String(i), twin: 'x'.repeat(i) })));
  rows = viewRows(batch);
  const run = await scorer.run(batch);
  outputs = Array.from({ length: ROWS }, (_, row) => copyOutputRow(run, row));
});
afterAll(() => scorer.close());

const watcher = { looked() {}, evicted() {} };
const [OLD, YOUNG] = [{}, {}];

/** @param hash another than the row's own, so that rows meet */
function keep(cache: VersionCache, row: number, nowMs: number, hash = row): void {
  const scored = outputs[row];
  if (scored !== undefined) cache.keep(hash, copyRow(rows, row), scored, nowMs);
}

test('a row that only has the hash of another is not answered, and may take its place', () => {
  const cache = new ResponseCache(new CacheBudget(1e6), { maxBytes: 1e6, maxAgeMs: 1e9, coalesce: true }).of(
    {},
    watcher,
  );
  keep(cache, 1, 0, 7);
  expect(cache.find(7, rows, 1, 0)?.record(0)).toEqual({ 'out 0': '1', 'out 1': 'x' });
  expect(cache.find(7, rows, 2, 0)).toBeUndefined();
  keep(cache, 2, 0, 7);
  expect([cache.find(7, rows, 1, 0), cache.find(7, rows, 2, 0)?.record(0)['out 0'], cache.size]).toEqual([
    undefined,
    '2',
    1,
  ]);
});

test('whatever is kept and asked for, answers are right and young enough, and the bytes of all budgets are kept to', () => {
  const operation = fc.record({
    cache: fc.nat(2),
    row: fc.nat(ROWS - 1),
    keeps: fc.boolean(),
    laterMs: fc.nat(30),
    hashes: fc.constantFrom(4, 1000), // few: rows meet
  });
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 150 }),
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 0, max: 30_000 }),
      (operations, ofEndpoint, ofAll) => {
        const memory = new CacheBudget(ofAll);
        const options = { maxBytes: ofEndpoint, maxAgeMs: 100, coalesce: true };
        const [one, other] = [new ResponseCache(memory, options), new ResponseCache(memory, options)];
        const caches = [one.of(OLD, watcher), one.of(YOUNG, watcher), other.of(OLD, watcher)];
        const lastKept = new Map<string, number>();
        let nowMs = 0;
        for (const { cache: which, row, keeps, laterMs, hashes } of operations) {
          nowMs += laterMs;
          const cache = caches[which];
          if (cache === undefined) continue;
          const hash = row % hashes;
          if (keeps) {
            keep(cache, row, nowMs, hash);
            lastKept.set(`${which} ${row}`, nowMs);
          }
          const found = cache.find(hash, rows, row, nowMs);
          if (found !== undefined) {
            expect(found.record(0)['out 0']).toBe(String(row));
            expect(nowMs - (lastKept.get(`${which} ${row}`) ?? Number.NEGATIVE_INFINITY)).toBeLessThanOrEqual(100);
          }
          const [a = 0, b = 0, c = 0] = caches.map(({ bytes }) => bytes);
          expect(a + b).toBeLessThanOrEqual(ofEndpoint);
          expect(c).toBeLessThanOrEqual(ofEndpoint);
          expect(a + b + c).toBeLessThanOrEqual(ofAll);
          expect(memory.usedBytes).toBe(a + b + c);
        }
        one.close();
        other.close();
        expect([memory.usedBytes, ...caches.map(({ size }) => size)]).toEqual([0, 0, 0, 0]);
      },
    ),
    { numRuns: 200 },
  );
});

test('what was hit stays while what was not goes, in the order in which it came', () => {
  const responses = new ResponseCache(new CacheBudget(1e9), { maxBytes: 1e9, maxAgeMs: 1e9, coalesce: true });
  const cache = responses.of({}, watcher);
  for (let row = 0; row < 6; row++) keep(cache, row, 0);
  for (const row of [0, 3]) cache.find(row, rows, row, 0);
  const held = () => Array.from({ length: ROWS }, (_, row) => row).filter((row) => cache.find(row, rows, row, 0));
  cache.evictOne();
  cache.evictOne();
  cache.evictOne();
  expect(held()).toEqual([0, 3, 5]);
});

test('the version that holds most gives way, and a smaller budget is kept to at once', () => {
  const responses = new ResponseCache(new CacheBudget(1e9), { maxBytes: 1e9, maxAgeMs: 1e9, coalesce: true });
  const [old, young] = [responses.of(OLD, watcher), responses.of(YOUNG, watcher)];
  for (let row = 0; row < 20; row++) keep(old, row, 0);
  keep(young, 0, 0);
  const { bytes } = young;
  responses.change({ maxBytes: old.bytes, maxAgeMs: 1e9, coalesce: true });
  expect([old.size, young.size]).toEqual([19, 1]);
  responses.change({ maxBytes: 6 * bytes, maxAgeMs: 1e9, coalesce: true });
  expect(young.size).toBe(1);
  expect(old.bytes + young.bytes).toBeLessThanOrEqual(6 * bytes);
  responses.retain(new Set([YOUNG]));
  expect([old.size, old.bytes, young.size]).toEqual([0, 0, 1]);
  keep(old, 1, 0);
  expect(old.size).toBe(0); // a run that was under way keeps nothing in what is closed
});

test('a row by itself is the row: its copy equals it, hashes like it, and can be put into a batch again', async () => {
  const again = packed(scorer.newBatch(1));
  for (let row = 0; row < ROWS; row++) {
    const copy = copyRow(rows, row);
    appendCopy(again, copy);
    expect(equalsRow(viewRows(again), row, copy)).toBe(true);
    expect(equalsRow(rows, (row + 1) % ROWS, copy)).toBe(false);
    expect(hashRow(viewRows(again), row, 5)).toBe(hashRow(rows, row, 5));
  }
  const run = await scorer.run(again);
  expect(run.record(ROWS - 1)).toEqual({ 'out 0': String(ROWS - 1), 'out 1': 'x'.repeat(ROWS - 1) });
});
