/** How many rows files hold, counted from the files themselves. */

import { readCsvHeader } from './csv.ts';
import { literal, openSandbox } from './duckdb.ts';
import type { DataFormat } from './source-files.ts';
import { afterHeader, frameRows } from './text-rows.ts';

/** One count a file. Parquet says it in its footer; text is read. @throws DataError where a row is broken */
export async function countFileRows(
  paths: readonly string[],
  format: DataFormat,
  signal: AbortSignal,
): Promise<number[]> {
  if (format !== 'parquet') {
    const counts: number[] = [];
    for (const path of paths) counts.push(await countTextRows(path, format, signal));
    return counts;
  }
  if (paths.length === 0) return [];
  const sandbox = await openSandbox({ files: paths, threads: 1 });
  try {
    const list = paths.map(literal).join(', ');
    const rows = await sandbox.rows(`SELECT file_name, num_rows FROM parquet_file_metadata([${list}])`, signal);
    const counts = new Map(rows.map(([path, count]) => [String(path), Number(count)]));
    return paths.map((path) => counts.get(path) ?? 0);
  } finally {
    sandbox.close();
  }
}

async function countTextRows(path: string, format: 'csv' | 'ndjson', signal: AbortSignal): Promise<number> {
  const columns = format === 'csv' ? (await readCsvHeader(path)).length : 1;
  const { rows, broken } = await frameRows({
    path,
    from: format === 'csv' ? await afterHeader(path, columns, signal) : { offsetBytes: 0, line: 1, rows: 0 },
    maxRows: Number.POSITIVE_INFINITY,
    rules: format === 'csv' ? { format, columns } : { format, check: () => undefined },
    write: async () => undefined,
    signal,
  });
  return rows + broken.length;
}
