import { createRandom, sampleIndices } from '@assay/statistics';
import type { FeatureColumn, Part, Parts } from './prepared-rows.ts';

/** Enough for the check that a row gets the same bits in any company, which needs 64. */
const GOLDEN_ROWS = 128;

/** The rows that a version carries to prove itself with: of the test rows, of all where those are too few. */
export function chooseGoldenRows(parts: Parts, seed: number): Part {
  const chosen: { part: Part; row: number }[] = [];
  for (const part of [parts.test, parts.validation, parts.train]) {
    const indices = sampleIndices(createRandom(seed), part.rows, GOLDEN_ROWS - chosen.length);
    chosen.push(...indices.map((row) => ({ part, row })));
    if (chosen.length === GOLDEN_ROWS) break;
  }
  return {
    rows: chosen.length,
    labels: Uint8Array.from(chosen, ({ part, row }) => part.labels[row] ?? 0),
    columns: parts.test.columns.map((_, i) =>
      gather(chosen.map(({ part, row }) => ({ column: part.columns[i], row }))),
    ),
  };
}

function gather(cells: readonly { column: FeatureColumn | undefined; row: number }[]): FeatureColumn {
  if (cells[0]?.column?.kind === 'category') {
    return {
      kind: 'category',
      codes: Int32Array.from(cells, ({ column, row }) =>
        column?.kind === 'category' ? (column.codes[row] ?? -1) : -1,
      ),
    };
  }
  const values = Float64Array.from(cells, ({ column, row }) =>
    column?.kind === 'number' ? (column.values[row] ?? Number.NaN) : Number.NaN,
  );
  const exact = cells.map(({ column, row }) => (column?.kind === 'number' ? column.exact?.[row] : undefined));
  return exact[0] === undefined
    ? { kind: 'number', values }
    : { kind: 'number', values, exact: BigInt64Array.from(exact, (value) => value ?? 0n) };
}
