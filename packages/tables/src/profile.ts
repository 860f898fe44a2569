/** Statistics of columns: what a version carries as its drift reference, and what a person looks at first. */
import { equalWidthEdges, type Histogram } from '@assay/statistics';
import type { Sandbox } from './duckdb.ts';
import type { TableColumn } from './prepared-table.ts';

export interface ColumnProfile {
  readonly name: string;
  readonly dtype: TableColumn['dtype'];
  /** Rows, with or without a value. */
  readonly count: number;
  readonly missing: number;
  readonly distinct: number;
  /** Of numbers, and of instants in microseconds since 1970; absent when no row has a value. */
  readonly numeric?: {
    readonly min: number;
    readonly max: number;
    readonly mean: number;
    /** Of the sample (n - 1); 0 for one value. */
    readonly std: number;
    readonly quantiles: readonly { readonly level: number; readonly value: number }[];
    /** Equal width from min to max; bin i holds edges[i] ≤ x < edges[i + 1], the last one max too. */
    readonly histogram: Histogram;
    /** Values that are infinite; min, max, mean, quantiles and histogram are of the finite ones. */
    readonly infinite: number;
  };
  /** Of text, truth values and whole numbers: the most frequent values, equal counts in the order of the values. */
  readonly top?: readonly { readonly value: string; readonly count: number }[];
}

const QUANTILE_LEVELS = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;
const HISTOGRAM_BINS = 20;
const TOP_VALUES = 100;
/** Columns a statement: bounds its length, and the memory of its exact quantiles. */
const COLUMNS_A_PASS = 32;

/**
 * @param where an SQL condition with its keyword, or ''
 */
export async function profileColumns(
  sandbox: Sandbox,
  columns: readonly { readonly sql: string; readonly column: TableColumn }[],
  where: string,
  signal: AbortSignal,
): Promise<ColumnProfile[]> {
  const profiles: ColumnProfile[] = [];
  for (let from = 0; from < columns.length; from += COLUMNS_A_PASS) {
    const part = columns.slice(from, from + COLUMNS_A_PASS);
    const summaries = await summarise(sandbox, part, where, signal);
    const histograms = await countBins(sandbox, part, summaries, where, signal);
    for (const [i, { sql, column }] of part.entries()) {
      const summary = summaries[i];
      if (summary === undefined) continue;
      const { count, missing, range } = summary;
      const histogram = histograms[i];
      const { distinct, top } = await frequencies(sandbox, sql, where, signal);
      const isFractional = column.dtype === 'float32' || column.dtype === 'float64' || column.dtype === 'timestamp';
      profiles.push({
        name: column.name,
        dtype: column.dtype,
        count,
        missing,
        distinct,
        ...(range === undefined || histogram === undefined ? {} : { numeric: { ...range, histogram } }),
        ...(isFractional ? {} : { top }),
      });
    }
  }
  return profiles;
}

interface Summary {
  readonly count: number;
  readonly missing: number;
  readonly range?: Omit<NonNullable<ColumnProfile['numeric']>, 'histogram'>;
}

function isNumeric(column: TableColumn): boolean {
  return column.dtype !== 'string' && column.dtype !== 'bool';
}

async function summarise(
  sandbox: Sandbox,
  columns: readonly { readonly sql: string; readonly column: TableColumn }[],
  where: string,
  signal: AbortSignal,
): Promise<Summary[]> {
  const levels = `[${QUANTILE_LEVELS.join(', ')}]`;
  const selections = columns.map(({ sql, column }) => {
    const shared = `count(*), count(${sql})`;
    if (!isNumeric(column)) return `[${shared}]::DOUBLE[]`;
    const x = `${sql}::DOUBLE`;
    const finite = `FILTER (WHERE isfinite(${x}))`;
    return `list_concat([${shared}, count(*) FILTER (WHERE isinf(${x})), min(${x}) ${finite}, max(${x}) ${finite}, avg(${x}) ${finite}, stddev_samp(${x}) ${finite}]::DOUBLE[], quantile_cont(${x}, ${levels}) ${finite})`;
  });
  const [row] = await sandbox.rows(`SELECT ${selections.join(', ')} FROM prepared${where}`, signal);
  return (row ?? []).map((list): Summary => {
    const [count = 0, present = 0, infinite = 0, min, max, mean, std, ...values] = numbersOf(list);
    const shared = { count, missing: count - present };
    if (min === undefined || max === undefined || mean === undefined || Number.isNaN(min)) return shared;
    const quantiles = QUANTILE_LEVELS.map((level, i) => ({ level, value: values[i] ?? Number.NaN }));
    return { ...shared, range: { min, max, mean, std: Number.isNaN(std) ? 0 : (std ?? 0), quantiles, infinite } };
  });
}

/** The numbers of a DuckDB list; NaN for NULL. */
function numbersOf(list: unknown): number[] {
  if (typeof list !== 'object' || list === null || !('items' in list) || !Array.isArray(list.items)) return [];
  return list.items.map((item: unknown) => (typeof item === 'number' ? item : Number.NaN));
}

async function countBins(
  sandbox: Sandbox,
  columns: readonly { readonly sql: string; readonly column: TableColumn }[],
  summaries: readonly Summary[],
  where: string,
  signal: AbortSignal,
): Promise<(Histogram | undefined)[]> {
  const edgesOf = summaries.map(({ range }) =>
    range === undefined ? undefined : equalWidthEdges(range.min, range.max, HISTOGRAM_BINS),
  );
  const selections = columns.map(({ sql }, i) => {
    const edges = edgesOf[i];
    if (edges === undefined) return 'count(*)'; // of text: keeps the statement an aggregate, and is not read
    // DuckDB's bins hold what is at most their edge, ours what is at least: so both are turned round.
    const turned = edges.map((edge) => number(-edge)).toReversed();
    return `map_values(histogram(-(${sql}::DOUBLE), [${turned.join(', ')}]) FILTER (WHERE isfinite(${sql}::DOUBLE)))::DOUBLE[]`;
  });
  const [row] = await sandbox.rows(`SELECT ${selections.join(', ')} FROM prepared${where}`, signal);
  return edgesOf.map((edges, i) => {
    if (edges === undefined) return undefined;
    const [atMax = 0, ...counts] = numbersOf(row?.[i]).slice(0, edges.length);
    counts[0] = (counts[0] ?? 0) + atMax; // the last bin holds its upper edge too
    return { edges, counts: counts.toReversed() };
  });
}

/** A number as an SQL double: with an exponent, for a plain 0.1 would be a decimal. */
function number(value: number | undefined): string {
  return `${(value ?? Number.NaN).toExponential()}::DOUBLE`;
}

/** One grouping gives both: counting distinct texts by themselves takes several times as long. */
async function frequencies(
  sandbox: Sandbox,
  sql: string,
  where: string,
  signal: AbortSignal,
): Promise<{ distinct: number; top: { value: string; count: number }[] }> {
  const groups = `SELECT ${sql} AS v, count(*) AS n FROM prepared${where} GROUP BY 1`;
  const rows = await sandbox.rows(
    `SELECT v::VARCHAR, n, count(*) OVER () FROM (${groups}) WHERE v IS NOT NULL ORDER BY n DESC, v LIMIT ${TOP_VALUES}`,
    signal,
  );
  return {
    distinct: Number(rows[0]?.[2] ?? 0),
    top: rows.map(([value, count]) => ({ value: String(value), count: Number(count) })),
  };
}
