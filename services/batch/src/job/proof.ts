/** The end of a job: what its files hold is counted from the files, and must be what was read. */
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { countFileRows } from '@assay/tables';
import type { CheckpointHeader, FinishedShard } from '../domain/checkpoint.ts';
import { isAsWritten, type Manifest } from './output-folder.ts';

/**
 * Counts the rows of every file of the output again, and of a Parquet input too; compares digests.
 * @throws AssayError INTERNAL when in is not out + errors
 */
export async function proveComplete(
  header: CheckpointHeader,
  shards: readonly FinishedShard[],
  dir: string,
  signal: AbortSignal,
): Promise<Manifest> {
  const sum = (key: 'rowsIn' | 'rowsOut' | 'rowsFailed'): number => shards.reduce((all, shard) => all + shard[key], 0);
  const pathOf = ({ name }: { readonly name: string }): string => join(dir, name);
  const results = shards.map((shard) => shard.results);
  const errors = shards.flatMap((shard) => (shard.errors === null ? [] : [shard.errors]));
  for (const file of [...results, ...errors]) {
    signal.throwIfAborted();
    if (!(await isAsWritten(dir, file))) throw wrong(`${pathOf(file)} is not as it was written`);
  }
  const outCounts = await countFileRows(results.map(pathOf), header.output.format, signal);
  const errorCounts = await countFileRows(errors.map(pathOf), 'ndjson', signal);
  const [rowsIn, rowsOut, rowsFailed] = [sum('rowsIn'), sum('rowsOut'), sum('rowsFailed')];
  const total = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);
  if (total(outCounts) !== rowsOut) throw wrong(`the results hold ${total(outCounts)} rows, ${rowsOut} were scored`);
  if (total(errorCounts) !== rowsFailed)
    throw wrong(`the errors files hold ${total(errorCounts)} rows, ${rowsFailed} failed`);
  if (rowsIn !== rowsOut + rowsFailed) throw wrong(`${rowsIn} rows in, ${rowsOut} out and ${rowsFailed} failed`);
  if (header.input.format === 'parquet') {
    const inCounts = await countFileRows(
      header.input.files.map(({ path }) => path),
      'parquet',
      signal,
    );
    if (total(inCounts) !== rowsIn) throw wrong(`the input holds ${total(inCounts)} rows, ${rowsIn} were read`);
  }
  return { ...header, rowsIn, rowsOut, rowsFailed, shards: [...shards] };
}

function wrong(message: string): AssayError {
  return new AssayError('INTERNAL', `the output is not complete: ${message}`);
}
