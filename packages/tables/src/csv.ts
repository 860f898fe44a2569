/** CSV as RFC 4180 has it: commas, double quotes, one header line; a row that differs is an error, never guessed at. */
import { open } from 'node:fs/promises';
import { DataError } from './data-error.ts';
import { literal, type Sandbox } from './duckdb.ts';

/** The dialect, fixed: a dialect that is guessed reads a broken file as another good one. */
export const CSV_DIALECT = `delim=',', quote='"', escape='"', comment='', header=true, skip=0, strict_mode=true, ignore_errors=false, null_padding=false`;

const MAX_HEADER_BYTES = 1 << 20;

/**
 * Why a CSV file cannot be read, with file and row. Where DuckDB's detection of types gave up it names no row, so the
 * files are read once more as plain text, which fails at the broken row itself.
 */
export async function diagnoseCsv(
  sandbox: Sandbox,
  files: readonly string[],
  error: unknown,
  signal: AbortSignal,
): Promise<DataError | undefined> {
  const direct = csvErrorOf(error);
  if (direct !== undefined) return direct;
  if (!/sniffing file/.test(String(error))) return undefined;
  for (const file of files) {
    const names = await readCsvHeader(file);
    const columns = names.map((_, i) => `'c${i}': 'VARCHAR'`).join(', ');
    try {
      await sandbox.rows(
        `SELECT count(*) FROM read_csv(${literal(file)}, ${CSV_DIALECT}, auto_detect=false, columns={${columns}})`,
        signal,
      );
    } catch (plainError) {
      const found = csvErrorOf(plainError);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function csvErrorOf(error: unknown): DataError | undefined {
  const text = error instanceof Error ? error.message : String(error);
  const row = /CSV Error on Line: (\d+)/.exec(text)?.[1];
  if (row === undefined) return undefined;
  const file = /^\s*file = (.*)$/m.exec(text)?.[1] ?? 'the CSV file';
  const lines = text.split('\n');
  const original = lines.find((line) => line.startsWith('Original Line:'));
  const first = lines.findIndex((line) => line.startsWith('Original Line:')) + 1;
  const reason = (lines[first] ?? '').trim().replace(/\.$/, '') || 'the row cannot be read';
  const typed = /auto-detected from the CSV file/.test(text)
    ? '; the type was told from the first rows, source.types can set another'
    : '';
  const shown = original === undefined ? '' : `: ${original.slice('Original Line:'.length).trim().slice(0, 200)}`;
  const message = `row ${row}: ${reason}${typed}`;
  return new DataError(`${file}: ${message}${shown}`, { details: [{ place: `${file}:${row}`, message: reason }] });
}

/**
 * The column names in the first line of a CSV file.
 * @throws DataError when it has none, or a quote is left open
 */
export async function readCsvHeader(path: string): Promise<string[]> {
  const handle = await open(path);
  let text: string;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_HEADER_BYTES), 0, MAX_HEADER_BYTES, 0);
    text = buffer.toString('utf8', 0, bytesRead).replace(/^\uFEFF/, '');
  } finally {
    await handle.close();
  }
  const names: string[] = [];
  let name = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (quoted) {
      if (character !== '"') name += character;
      else if (text.charAt(i + 1) === '"') name += text.charAt(++i);
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ',') {
      names.push(name);
      name = '';
    } else if (character === '\n' || character === '\r') break;
    else name += character;
  }
  if (quoted)
    throw new DataError(`${path}: row 1: a quote is left open`, {
      details: [{ place: `${path}:1`, message: 'a quote is left open' }],
    });
  return [...names, name];
}
