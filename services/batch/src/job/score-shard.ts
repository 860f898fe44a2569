/** One shard: its rows scored chunk by chunk, its results gathered, its errors written. */
import { type FileHandle, open } from 'node:fs/promises';
import type { ErrorDetail, LoggedBatchPrediction } from '@assay/contracts';
import type { LoadedRows, LoadedSegment, ResultColumn, ResultTable } from '@assay/tables';
import type { ScoredChunk } from './judge.ts';
import { explained } from './output-folder.ts';
import type { ScoringPool } from './scoring-pool.ts';

/** A line of an errors file. */
export interface ErrorLine {
  readonly file: string;
  /** In its file, from 1 on, the header not counted. */
  readonly row: number;
  /** Where the row could not be read as one. */
  readonly line?: number;
  /** The feature, or `row` for a row that could not be read. */
  readonly place: string;
  readonly reason: string;
  readonly expected?: string;
  /** What else is wrong with it. */
  readonly others?: readonly ErrorDetail[];
}

export interface ShardErrors {
  readonly count: number;
  /** The first, to be told with a job that has too many. */
  readonly first: ErrorLine | undefined;
}

export interface ScoreShardOptions {
  readonly loaded: LoadedRows;
  /** Paths of the input's files. */
  readonly files: readonly string[];
  readonly columns: readonly ResultColumn[];
  readonly pool: ScoringPool;
  /** What the ids of each file begin with, and which predictions go into the log. */
  readonly idPrefixes: readonly string[];
  readonly isLogged: ((id: string) => boolean) | undefined;
  readonly errorsPath: string;
  readonly outputDir: string;
  /** Called as errors are found; it throws when there are too many. */
  readonly onErrors: (errors: ShardErrors) => void;
  readonly signal: AbortSignal;
}

export interface ScoredShard {
  readonly results: ResultTable;
  readonly errors: ShardErrors;
  readonly predictions: readonly LoggedBatchPrediction[];
  /** Predictions that were to be logged and were too many for one shard. */
  readonly predictionsDropped: number;
}

/** Predictions of one shard that are kept until it is finished. */
const MAX_PREDICTIONS = 10_000;

export async function scoreShard(options: ScoreShardOptions): Promise<ScoredShard> {
  const { loaded, pool, signal, outputDir } = options;
  const results = await loaded.results(options.columns, signal);
  const errors = await explained(outputDir, () => openErrors(options));
  const rows = rowNumbers(loaded.segments);
  const scoring: { readonly scored: Promise<ScoredChunk>; readonly numbers: RowNumbers }[] = [];
  const predictions: LoggedBatchPrediction[] = [];
  let predictionsDropped = 0;
  const idAt = ({ file, row }: RowNumbers, index: number): string =>
    `${options.idPrefixes[file[index] ?? 0] ?? ''}${row[index]}`;
  const chosen = (numbers: RowNumbers, isLogged: (id: string) => boolean): number[] => {
    const rows = [...numbers.row.keys()].filter((index) => isLogged(idAt(numbers, index)));
    const room = MAX_PREDICTIONS - predictionsChosen;
    predictionsDropped += Math.max(0, rows.length - room);
    const taken = rows.slice(0, room);
    predictionsChosen += taken.length;
    return taken;
  };
  let predictionsChosen = 0;
  const takeOne = async (): Promise<void> => {
    const next = scoring.shift();
    if (next === undefined) return;
    const { numbers } = next;
    const scored = await next.scored;
    for (const { index, record, outputs } of scored.logged) {
      predictions.push({ id: idAt(numbers, index), record, outputs });
    }
    await explained(outputDir, async () => errors.add(scored, numbers));
    results.append({ ...scored, ...numbers });
  };
  try {
    for await (const chunk of loaded.chunks(signal)) {
      const numbers = rows.take(chunk.rows);
      const scored = pool.score(chunk, options.isLogged === undefined ? [] : chosen(numbers, options.isLogged));
      scored.catch(() => undefined); // heard when its turn comes
      scoring.push({ scored, numbers });
      // Each thread has a chunk at work and one waiting.
      while (scoring.length >= 2 * pool.threads) await takeOne();
    }
    while (scoring.length > 0) await takeOne();
    await explained(outputDir, () => errors.end());
  } finally {
    await Promise.allSettled(scoring.map(({ scored }) => scored));
    results.end();
    await errors.close();
  }
  return { results, errors: errors.soFar(), predictions, predictionsDropped };
}

interface RowNumbers {
  readonly file: Int32Array;
  readonly row: BigInt64Array;
}

/** Which row of which file each good row is. */
function rowNumbers(segments: readonly LoadedSegment[]): { take(rows: number): RowNumbers } {
  const runs = segments.flatMap(({ file, runs }) => runs.map(({ row, rows }) => ({ file, row, rows })));
  let run = 0;
  let within = 0;
  return {
    take(rows) {
      const numbers = { file: new Int32Array(rows), row: new BigInt64Array(rows) };
      for (let i = 0; i < rows; i++) {
        let current = runs[run];
        while (current !== undefined && within >= current.rows) {
          current = runs[++run];
          within = 0;
        }
        if (current === undefined) throw new Error('there are more rows than were told apart');
        numbers.file[i] = current.file;
        numbers.row[i] = BigInt(current.row + within++);
      }
      return numbers;
    },
  };
}

const BUFFERED_CHARACTERS = 1 << 16;

interface Errors {
  /** Adds what failed of a chunk, and the broken rows before its last. */
  add(scored: ScoredChunk, numbers: RowNumbers): Promise<void>;
  /** Adds the broken rows that are left. */
  end(): Promise<void>;
  close(): Promise<void>;
  soFar(): ShardErrors;
}

async function openErrors(options: ScoreShardOptions): Promise<Errors> {
  const { loaded, files, errorsPath, onErrors } = options;
  const handle: FileHandle = await open(errorsPath, 'w');
  const broken = loaded.segments.flatMap((segment) => segment.broken.map((row) => ({ ...row, file: segment.file })));
  let nextBroken = 0;
  let text = '';
  let count = 0;
  let first: ErrorLine | undefined;

  const write = async (line: ErrorLine): Promise<void> => {
    first ??= line;
    count++;
    text += `${JSON.stringify(line)}\n`;
    if (text.length < BUFFERED_CHARACTERS) return;
    const full = text;
    text = '';
    await handle.writeFile(full);
  };
  /** The broken rows that stand before a row; all that are left without one. */
  const writeBroken = async (before?: { readonly file: number; readonly row: number }): Promise<void> => {
    for (let next = broken[nextBroken]; next !== undefined; next = broken[++nextBroken]) {
      const { file, row, line, message } = next;
      if (before !== undefined && (file > before.file || (file === before.file && row > before.row))) return;
      await write({ file: files[file] ?? '', row, line, place: 'row', reason: message });
    }
  };
  const soFar = (): ShardErrors => ({ count, first });
  return {
    async add({ rows, failures }, numbers) {
      for (const { index, details } of failures) {
        const file = numbers.file[index] ?? 0;
        const row = Number(numbers.row[index]);
        await writeBroken({ file, row });
        await write({ file: files[file] ?? '', row, ...told(details) });
      }
      await writeBroken({ file: numbers.file[rows - 1] ?? 0, row: Number(numbers.row[rows - 1]) });
      onErrors(soFar());
    },
    async end() {
      await writeBroken();
      onErrors(soFar());
      await handle.writeFile(text);
    },
    close: () => handle.close(),
    soFar,
  };
}

function told([detail, ...others]: readonly ErrorDetail[]): Omit<ErrorLine, 'file' | 'row'> {
  const { place = 'row', message = 'it was refused', expected } = detail ?? {};
  return {
    place,
    reason: message,
    ...(expected === undefined ? {} : { expected }),
    ...(others.length === 0 ? {} : { others }),
  };
}
