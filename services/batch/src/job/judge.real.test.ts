import { openPackage } from '@assay/model-package';
import { createScorer, formatTimestamp, type Scorer } from '@assay/scoring';
import type { ColumnData, FeatureChunk } from '@assay/tables';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../batch-under-test.ts';
import { resultLayout } from '../domain/output-columns.ts';
import { identityModel, SCALARS } from '../models-under-test.ts';
import { createJudge, type Judge } from './judge.ts';

const opened = new AsyncDisposableStack();
let scorer: Scorer;
let judge: Judge;

beforeAll(async () => {
  const folder = await temporaryFolder(opened);
  const { dir } = await identityModel(folder, SCALARS);
  scorer = await createScorer(await openPackage(dir));
  opened.defer(() => scorer.close());
  judge = createJudge(scorer, { columns: resultLayout(SCALARS, []).outputs, selected: new Set() });
});
afterAll(() => opened.disposeAsync());

interface Row {
  readonly i64: bigint | null;
  readonly f64: number;
  readonly f32: number;
  readonly text: string | null;
  readonly flag: boolean | null;
  readonly at: bigint | null;
}

const YEAR_9999_US = 253_402_300_799_999_999n;
const row: fc.Arbitrary<Row> = fc.record({
  i64: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { freq: 8 }),
  f64: fc.oneof({ weight: 8, arbitrary: fc.double() }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
  f32: fc.float(),
  text: fc.option(fc.oneof(fc.string(), fc.constantFrom('a\0b', '\ud800', 'é')), { freq: 8 }),
  flag: fc.option(fc.boolean(), { freq: 8 }),
  at: fc.option(fc.bigInt({ min: -YEAR_9999_US / 8n, max: YEAR_9999_US }), { freq: 8 }),
});

function chunkOf(rows: readonly Row[]): FeatureChunk {
  const integers = (values: readonly (bigint | null)[]): ColumnData => {
    const valid = Uint8Array.from(values, (value) => (value === null ? 0 : 1));
    const kept = BigInt64Array.from(values, (value) => value ?? 0n);
    return { kind: 'int64', values: kept, ...(valid.includes(0) ? { valid } : {}) };
  };
  const flags = rows.map(({ flag }) => flag);
  return {
    rows: rows.length,
    columns: [
      integers(rows.map(({ i64 }) => i64)),
      { kind: 'float64', values: Float64Array.from(rows, ({ f64 }) => f64) },
      { kind: 'float32', values: Float32Array.from(rows, ({ f32 }) => f32) },
      { kind: 'string', values: rows.map(({ text }) => text) },
      {
        kind: 'bool',
        values: Uint8Array.from(flags, (flag) => (flag ? 1 : 0)),
        ...(flags.includes(null) ? { valid: Uint8Array.from(flags, (flag) => (flag === null ? 0 : 1)) } : {}),
      },
      integers(rows.map(({ at }) => at)),
    ],
  };
}

/** The row as a caller of REST would send it. */
function recordOf({ i64, f64, f32, text, flag, at }: Row): Record<string, unknown> {
  const number = (value: number) => (Number.isNaN(value) ? null : value);
  return { i64, f64: number(f64), f32: number(f32), text, flag, at: at === null ? null : formatTimestamp(at) };
}

test('each row has the verdict that its record has by itself, and its own values, whatever its neighbours are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), async (rows) => {
      const scored = await judge(chunkOf(rows));
      const batch = scorer.newBatch();
      const expected = rows.flatMap((each, index) => {
        const details = batch.tryAppendRecord(recordOf(each));
        return details === undefined ? [] : [{ index, details }];
      });
      expect(scored.failures).toEqual(expected);
      const failed = new Set(expected.map(({ index }) => index));
      for (const [index, each] of rows.entries()) {
        expect(scored.isGood[index]).toBe(failed.has(index) ? 0 : 1);
        if (failed.has(index)) continue;
        const { i64, f64, f32, text, flag, at } = each;
        expect(scored.values.map((column) => column[index])).toEqual([i64, f64, f32, text, flag ? 1 : 0, at]);
      }
    }),
    { numRuns: 400 },
  );
});
