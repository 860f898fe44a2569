/** The end of a job: what its files hold is counted from the files, and must be what was read. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AssayError } from '@assay/contracts';
import { countFileRows } from '@assay/tables';
import type { FinishedShard, ShardFile } from '../domain/checkpoint.ts';

export interface RowSums {
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly rowsFailed: number;
}

/**
 * The sums of the shards, which must add up; and those of a Parquet input, counted again.
 * @throws AssayError INTERNAL when in is not out + errors
 */
export async function proveSums(
  shards: readonly FinishedShard[],
  input: { readonly format: string; readonly paths: readonly string[] },
  signal: AbortSignal,
): Promise<RowSums> {
  const sums = sumsOf(shards);
  const { rowsIn, rowsOut, rowsFailed } = sums;
  if (rowsIn !== rowsOut + rowsFailed) throw wrong(`${rowsIn} rows in, ${rowsOut} out and ${rowsFailed} failed`);
  if (input.format !== 'parquet') return sums;
  const counted = total(await countFileRows(input.paths, 'parquet', signal));
  if (counted !== rowsIn) throw wrong(`the input holds ${counted} rows, ${rowsIn} were read`);
  return sums;
}

/**
 * Counts the rows of every file of an output folder again, and compares digests.
 * @throws AssayError INTERNAL
 */
export async function proveFiles(
  shards: readonly FinishedShard[],
  dir: string,
  format: 'csv' | 'parquet',
  signal: AbortSignal,
): Promise<void> {
  const pathOf = ({ name }: { readonly name: string }): string => join(dir, name);
  const results = shards.map((shard) => shard.results);
  const errors = shards.flatMap((shard) => (shard.errors === null ? [] : [shard.errors]));
  for (const file of [...results, ...errors]) {
    signal.throwIfAborted();
    if (!(await isAsWritten(dir, file))) throw wrong(`${pathOf(file)} is not as it was written`);
  }
  const { rowsOut, rowsFailed } = sumsOf(shards);
  const scored = total(await countFileRows(results.map(pathOf), format, signal));
  if (scored !== rowsOut) throw wrong(`the results hold ${scored} rows, ${rowsOut} were scored`);
  const failed = total(await countFileRows(errors.map(pathOf), 'ndjson', signal));
  if (failed !== rowsFailed) throw wrong(`the errors files hold ${failed} rows, ${rowsFailed} failed`);
}

export async function isAsWritten(dir: string, { name, sha256, sizeBytes }: ShardFile): Promise<boolean> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => undefined);
  return found?.size === sizeBytes && (await sha256Of(path)) === sha256;
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

function sumsOf(shards: readonly FinishedShard[]): RowSums {
  const sum = (key: keyof RowSums): number => total(shards.map((shard) => shard[key]));
  return { rowsIn: sum('rowsIn'), rowsOut: sum('rowsOut'), rowsFailed: sum('rowsFailed') };
}

function total(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

function wrong(message: string): AssayError {
  return new AssayError('INTERNAL', `the output is not complete: ${message}`);
}
