/**
 * The output folder of a job:
 *
 *     results-NNNNN.parquet or .csv    one a shard
 *     errors-NNNNN.ndjson              one a shard with rows that failed
 *     checkpoint.ndjson                while it is not done: a line for what it works on, then one for each finished shard
 *     manifest.json                    when it is done: the same, with the sums
 *     .assay-batch-JOB/                temporary
 *
 * A file gets its name when all of it is on the disk, and a shard its line in the checkpoint after its files have theirs.
 */
import { access, constants, link, mkdir, open, readdir, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError, type BatchResult, matches } from '@assay/contracts';
import Type from 'typebox';
import {
  CheckpointHeader,
  type FinishedShard,
  FinishedShard as FinishedShardSchema,
  readCheckpoint,
  requireSame,
  type ShardFile,
} from '../domain/checkpoint.ts';
import { isAsWritten, proveFiles, sha256Of } from './proof.ts';

export const Manifest = Type.Object({
  ...CheckpointHeader.properties,
  rowsIn: Type.Integer(),
  rowsOut: Type.Integer(),
  rowsFailed: Type.Integer(),
  shards: Type.Array(FinishedShardSchema),
});
export type Manifest = Type.Static<typeof Manifest>;

/** Where the results of a job go. */
export interface OutputPlace {
  /** What an error calls it: the folder's path, or the dataset's name. */
  readonly where: string;
  /** Where an attempt writes. */
  readonly dir: string;
  readonly workDir: string;
  /** Shards whose files are there as they were written. */
  readonly finished: readonly FinishedShard[];
  readonly isDone: boolean;
  /** Whether it needs to know the columns of the results. */
  readonly describes: boolean;
  /** Gives a file of `workDir` its name, when it cannot be lost any more. */
  publish(temporary: string, name: string, rows: number): Promise<ShardFile>;
  /** Writes down that a shard is done. */
  record(shard: FinishedShard): Promise<void>;
  /** All files of finished shards are there and hold what they should. @throws AssayError INTERNAL */
  verify(shards: readonly FinishedShard[], signal: AbortSignal): Promise<void>;
  /** Makes an end, also of one that was made before. */
  complete(manifest: Manifest): Promise<Pick<BatchResult, 'outputDir' | 'dataset' | 'errorsDataset'>>;
}

const CHECKPOINT = 'checkpoint.ndjson';
const MANIFEST = 'manifest.json';

/** Of this job alone: another one that is refused the folder leaves it alone. */
function workDirOf(dir: string, jobId: string): string {
  return join(dir, `.assay-batch-${jobId}`);
}

/** Makes the folder, so that a wrong one is told before anything is read. @throws AssayError FAILED_PRECONDITION */
export async function prepareOutputFolder(dir: string, jobId: string): Promise<string> {
  const workDir = workDirOf(dir, jobId);
  return explained(dir, async () => {
    await rm(workDir, { recursive: true, force: true }); // of an attempt that was killed
    await mkdir(workDir, { recursive: true });
    await access(dir, constants.W_OK);
    return workDir;
  });
}

/**
 * Begins, or goes on behind the last shard that is whole.
 * @throws AssayError FAILED_PRECONDITION when the folder holds something else
 */
export async function openOutputFolder(dir: string, header: CheckpointHeader): Promise<OutputPlace> {
  const workDir = workDirOf(dir, header.jobId);
  const checkpoint = join(dir, CHECKPOINT);
  const done = await readManifest(join(dir, MANIFEST));
  const finished: FinishedShard[] = [];
  if (done !== undefined) {
    const { rowsIn: _in, rowsOut: _out, rowsFailed: _failed, shards, ...before } = done;
    requireSame(before, header, dir);
    finished.push(...shards);
    await rm(checkpoint, { force: true }); // where a kill came between the manifest and this
  } else {
    const text = await readText(checkpoint);
    const before = text === undefined ? undefined : readCheckpoint(text, checkpoint);
    if (before === undefined) await begin(dir, workDir, header);
    else {
      requireSame(before.header, header, dir);
      finished.push(...(await wholeShards(dir, before.shards)));
      const kept = finished.length === before.shards.length ? before.lengthBytes : lengthOf(header, finished);
      await explained(dir, () => truncate(checkpoint, kept));
    }
  }
  return {
    where: dir,
    dir,
    workDir,
    finished,
    isDone: done !== undefined,
    describes: false,
    verify: (shards, signal) => proveFiles(shards, dir, header.output.format, signal),
    publish: (temporary, name) =>
      explained(dir, async () => {
        await sync(temporary);
        const described = { name, sizeBytes: (await stat(temporary)).size, sha256: await sha256Of(temporary) };
        await rename(temporary, join(dir, name));
        await sync(dir);
        return described;
      }),
    record: (shard) =>
      explained(dir, async () => {
        const handle = await open(checkpoint, 'a');
        try {
          await handle.writeFile(lineOf(shard));
          await handle.sync();
        } finally {
          await handle.close();
        }
      }),
    complete: (manifest) =>
      explained(dir, async () => {
        if (done !== undefined) return { outputDir: dir };
        const temporary = join(workDir, MANIFEST);
        await writeSynced(temporary, `${JSON.stringify(manifest, null, 2)}\n`);
        await rename(temporary, join(dir, MANIFEST));
        await sync(dir);
        await rm(checkpoint, { force: true });
        return { outputDir: dir };
      }),
  };
}

async function begin(dir: string, workDir: string, header: CheckpointHeader): Promise<void> {
  const foreign = (await readdir(dir)).find((name) => /^(results|errors)-\d+\./.test(name));
  if (foreign !== undefined) {
    const message = `output.path: ${join(dir, foreign)} is there already, and not of this job; choose another folder`;
    throw new AssayError('FAILED_PRECONDITION', message);
  }
  await explained(dir, async () => {
    const temporary = join(workDir, CHECKPOINT);
    await writeSynced(temporary, lineOf(header));
    // Of two jobs at once the first has the folder. A line torn by a kill is no checkpoint: it is replaced.
    const existing = await readText(join(dir, CHECKPOINT));
    if (existing === undefined) await link(temporary, join(dir, CHECKPOINT));
    else await rename(temporary, join(dir, CHECKPOINT));
    await rm(temporary, { force: true });
    await sync(dir);
  });
}

/** Those up to the first whose files are not as they were written. */
async function wholeShards(dir: string, shards: readonly FinishedShard[]): Promise<FinishedShard[]> {
  const whole: FinishedShard[] = [];
  for (const shard of shards) {
    const files = [shard.results, ...(shard.errors === null ? [] : [shard.errors])];
    for (const file of files) if (!(await isAsWritten(dir, file))) return whole;
    whole.push(shard);
  }
  return whole;
}

function lineOf(value: CheckpointHeader | FinishedShard): string {
  return `${JSON.stringify(value)}\n`;
}

function lengthOf(header: CheckpointHeader, shards: readonly FinishedShard[]): number {
  return Buffer.byteLength([header, ...shards].map(lineOf).join(''));
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

async function readManifest(path: string): Promise<Manifest | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (matches(Manifest, value)) return value;
  throw new AssayError('FAILED_PRECONDITION', `output.path: ${path} is not of a batch job; choose another folder`);
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Runs what writes into the folder; what the system refuses is said in words, with what to do. */
export async function explained<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explain(dir, error, [NO_ROOM, NOT_WRITABLE]);
  }
}

/** As `explained`, for what reads from elsewhere too: only that there is no room is then of the folder for sure. */
export async function explainedRoom<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explain(dir, error, [NO_ROOM]);
  }
}

function explain(dir: string, error: unknown, problems: readonly Problem[]): unknown {
  // Errors of Node have a code, those of DuckDB only text; either may be wrapped.
  const text = [error, error instanceof Error ? error.cause : undefined]
    .map((each) => (each instanceof Error ? `${'code' in each ? each.code : ''} ${each.message}` : ''))
    .join(' ');
  const found = problems.find(({ signs }) => signs.test(text));
  if (found === undefined || (error instanceof AssayError && error.code === 'FAILED_PRECONDITION')) return error;
  const why = error instanceof Error ? error.message.split('\n')[0] : text;
  return new AssayError('FAILED_PRECONDITION', `output.path: ${dir} ${found.is} (${why}); ${found.remedy}`, {
    cause: error,
  });
}

interface Problem {
  readonly signs: RegExp;
  readonly is: string;
  readonly remedy: string;
}

const NO_ROOM: Problem = {
  signs: /\b(ENOSPC|EDQUOT|EFBIG)\b|No space left|Disk quota exceeded|File too large/,
  is: 'has no room left',
  remedy: 'make room and create a new job',
};
const NOT_WRITABLE: Problem = {
  signs:
    /\b(EACCES|EPERM|EROFS|ENOTDIR|EEXIST|ELOOP|ENAMETOOLONG)\b|Permission denied|Read-only file system|Not a directory/,
  is: 'cannot be written',
  remedy: 'choose a folder that the batch service may write to',
};
