/** The files of an input, and the columns that all of them have. */
import { AssayError } from '@assay/contracts';
import { CSV_DIALECT, readCsvHeader } from './csv.ts';
import { DataError } from './data-error.ts';
import { literal, type Sandbox } from './duckdb.ts';
import type { SourceColumn } from './expressions.ts';
import { type DataFile, type DataFormat, findDataFiles, formatOf } from './source-files.ts';

export interface InputFiles {
  readonly files: readonly DataFile[];
  readonly format: DataFormat;
}

interface InputOptions {
  readonly path: string;
  readonly format?: DataFormat;
  readonly signal: AbortSignal;
}

/** @throws AssayError INVALID_ARGUMENT with the place `input.path` or `input.format` */
export async function findInput({ path, format, signal }: InputOptions): Promise<InputFiles> {
  try {
    const files = await findDataFiles(path, signal);
    return { files, format: formatOf(files, format) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AssayError)) throw error;
    // What is a source elsewhere is the input here.
    const renamed = (text: string): string => text.replace(/^source\./, 'input.');
    const details = error.details.map((detail) => ({ ...detail, place: renamed(detail.place) }));
    throw new AssayError(error.code, renamed(error.message), { details, cause: error });
  }
}

const VIEW_SAMPLE = 20_480;

type Types = Readonly<Record<string, string>> | undefined;

/** The columns of the first file; the others must have the same. */
export async function describeInput(
  session: Sandbox,
  { files, format }: InputFiles,
  types: Types,
  signal: AbortSignal,
): Promise<SourceColumn[]> {
  const [first] = files;
  if (first === undefined) throw new AssayError('INTERNAL', 'there are no files');
  const columns = await describeFile(session, format, first.path, types, signal);
  for (const { path } of files.slice(1)) {
    if (format === 'ndjson') break; // has no columns of its own
    const others =
      format === 'csv' ? await readCsvHeader(path) : await describeFile(session, format, path, undefined, signal);
    const told = others.map((column) => (typeof column === 'string' ? column : `${column.name} ${column.type}`));
    const expected = columns.map(({ name, type }) => (format === 'csv' ? name : `${name} ${type}`));
    if (told.join('\n') !== expected.join('\n')) {
      const message = `${path} has other columns than ${first.path}: ${told.join(', ')} instead of ${expected.join(', ')}`;
      throw new AssayError('INVALID_ARGUMENT', `input.path: ${message}`, {
        details: [{ place: 'input.path', message }],
      });
    }
  }
  return columns;
}

async function describeFile(
  session: Sandbox,
  format: DataFormat,
  path: string,
  types: Types,
  signal: AbortSignal,
): Promise<SourceColumn[]> {
  const told = async (reader: string): Promise<SourceColumn[]> => {
    const rows = await session.rows(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${reader})`, signal);
    return rows.map(([name, type]) => ({ name: String(name), type: types?.[String(name)] ?? String(type) }));
  };
  const file = literal(path);
  if (format === 'parquet') return told(`read_parquet(${file})`);
  if (format === 'ndjson') {
    return told(`read_json(${file}, format='newline_delimited', ignore_errors=true, sample_size=${VIEW_SAMPLE})`);
  }
  const names = await readCsvHeader(path);
  checkHeader(path, names);
  // Broken rows are met later, one by one; the types of the others are told without them.
  const dialect = CSV_DIALECT.replace('ignore_errors=false', 'ignore_errors=true');
  const sniffed = await told(`read_csv(${file}, ${dialect}, sample_size=${VIEW_SAMPLE})`).catch(() => []);
  const typeOf = new Map(sniffed.map(({ name, type }) => [name, type]));
  return names.map((name) => ({ name, type: types?.[name] ?? typeOf.get(name) ?? 'VARCHAR' }));
}

function checkHeader(path: string, names: readonly string[]): void {
  const seen = new Set<string>();
  for (const [i, name] of names.entries()) {
    const problem =
      name.trim() === ''
        ? `column ${i + 1} has no name`
        : seen.has(name.toLowerCase())
          ? `column "${name}" is there twice`
          : undefined;
    if (problem !== undefined)
      throw new DataError(`${path}:1: ${problem}`, { details: [{ place: `${path}:1`, message: problem }] });
    seen.add(name.toLowerCase());
  }
}
