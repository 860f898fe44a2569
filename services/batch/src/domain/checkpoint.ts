/** What is remembered of a job in its output folder: what it works on, and the shards that are done. Without I/O. */
import { AssayError, BatchVersion, DatasetColumn, Id, matches, Sha256 } from '@assay/contracts';
import Type from 'typebox';

export const FORMAT_VERSION = 1;

const Count = Type.Integer({ minimum: 0 });

export const CheckpointHeader = Type.Object({
  formatVersion: Type.Integer(),
  jobId: Id,
  version: BatchVersion,
  input: Type.Object({
    format: Type.Enum(['csv', 'ndjson', 'parquet']),
    files: Type.Array(Type.Object({ path: Type.String(), sha256: Sha256, sizeBytes: Count })),
  }),
  output: Type.Object({ format: Type.Enum(['csv', 'parquet']), columns: Type.Array(Type.String()) }),
  shardRows: Type.Integer({ minimum: 1 }),
  specSha256: Sha256,
});
export type CheckpointHeader = Type.Static<typeof CheckpointHeader>;

/** Where a shard begins or ends: its file, and in it the byte (of text), the line, and how many rows are before. */
const Position = Type.Object({ file: Count, offsetBytes: Count, line: Type.Integer({ minimum: 1 }), rows: Count });

const ShardFile = Type.Object({ name: Type.String(), sizeBytes: Count, sha256: Sha256 });
export type ShardFile = Type.Static<typeof ShardFile>;

export const FinishedShard = Type.Object({
  shard: Count,
  from: Position,
  next: Type.Union([Position, Type.Null()], { description: 'Null at the end of the input.' }),
  rowsIn: Count,
  rowsOut: Count,
  rowsFailed: Count,
  results: ShardFile,
  errors: Type.Union([ShardFile, Type.Null()], { description: 'Null where no row failed.' }),
  predictions: Type.Optional(
    Type.Object(
      { logged: Count, dropped: Count },
      { description: 'Of those that were to go into the prediction log.' },
    ),
  ),
  columns: Type.Optional(Type.Array(DatasetColumn, { description: 'Of the results, where they become a dataset.' })),
});
export type FinishedShard = Type.Static<typeof FinishedShard>;

/** The files of a shard: `results-00007.parquet`, `errors-00007.ndjson`. */
export function shardFileNames(shard: number, format: 'csv' | 'parquet'): { results: string; errors: string } {
  const number = String(shard).padStart(5, '0');
  return { results: `results-${number}.${format}`, errors: `errors-${number}.ndjson` };
}

export interface Checkpoint {
  readonly header: CheckpointHeader;
  readonly shards: readonly FinishedShard[];
  /** Length of what could be read: a torn last line is beyond it. */
  readonly lengthBytes: number;
}

/** Reads the lines of a checkpoint. The last may be torn by a kill; a broken one before it is a broken file. */
export function readCheckpoint(text: string, path: string): Checkpoint | undefined {
  const lines = text.split('\n');
  lines.pop(); // what follows the last line break: nothing, or a torn line
  const [first, ...rest] = lines;
  if (first === undefined) return undefined;
  const header = parseLine(first);
  if (!matches(CheckpointHeader, header) || header.formatVersion !== FORMAT_VERSION) throw broken(path, 1);
  const shards = rest.map((line, i) => {
    const shard = parseLine(line);
    if (!matches(FinishedShard, shard) || shard.shard !== i) throw broken(path, i + 2);
    return shard;
  });
  const lengthBytes = Buffer.byteLength(lines.map((line) => `${line}\n`).join(''));
  return { header, shards, lengthBytes };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function broken(path: string, line: number): AssayError {
  return new AssayError(
    'FAILED_PRECONDITION',
    `${path}:${line} is no checkpoint of this version of Assay; choose another output folder`,
  );
}

/** Refuses to go on with anything else than what was begun. */
export function requireSame(before: CheckpointHeader, now: CheckpointHeader, dir: string): void {
  const refuse = (message: string): never => {
    throw new AssayError('FAILED_PRECONDITION', message);
  };
  if (before.jobId !== now.jobId) {
    refuse(`output.path: ${dir} holds the results of job ${before.jobId}; choose another folder, or remove it`);
  }
  const files = new Map(now.input.files.map((file) => [file.path, file]));
  for (const { path, sha256 } of before.input.files) {
    const file = files.get(path);
    if (file === undefined) refuse(`input.path: ${path} was there when the job began and is gone; create a new job`);
    if (file?.sha256 !== sha256) {
      refuse(
        `input.path: ${path} changed since the job began (sha256 ${sha256}, now ${file?.sha256}); create a new job`,
      );
    }
    files.delete(path);
  }
  const [added] = files.keys();
  if (added !== undefined) refuse(`input.path: ${added} was not there when the job began; create a new job`);
  if (JSON.stringify(before) !== JSON.stringify(now)) {
    refuse(`${dir} was begun with another version or spec of job ${before.jobId}; create a new job`);
  }
}
