/**
 * A batch job from its first row to its last: fetch the version, tell the rows apart, then for each shard read, score,
 * write, and write down that it is done. While one shard is scored the next is read and the one before is written.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { AssayError, type BatchResult, nearest } from '@assay/contracts';
import { JobError } from '@assay/jobs';
import { type ModelPackage, openPackage } from '@assay/model-package';
import { type LoadedRows, openRowSource, type RowPosition, type RowSource } from '@assay/tables';
import { type CheckpointHeader, FORMAT_VERSION, shardFileNames } from '../domain/checkpoint.ts';
import { type ResultLayout, resultLayout } from '../domain/output-columns.ts';
import { idPrefixes } from '../domain/prediction-ids.ts';
import type { JobInput } from './job-input.ts';
import { explained, explainedRoom, type OutputFolder, openOutputFolder, prepareOutputFolder } from './output-folder.ts';
import { proveComplete } from './proof.ts';
import type { Reporter } from './reporter.ts';
import { type ErrorLine, type ScoredShard, scoreShard } from './score-shard.ts';
import { openScoringPool, type ScoringPool } from './scoring-pool.ts';
import { createTally, type Tally } from './tally.ts';

export interface JobSurroundings {
  /** The folder of the version's package. */
  readonly packageDir: string;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

export type BatchJobInput = Pick<JobInput, 'jobId' | 'spec' | 'baseDir' | 'version' | 'threads' | 'tableMemoryBytes'>;

const DEFAULT_SHARD_ROWS = 250_000;
/**
 * Rows of one run of the graph. Trees are a third faster with 2048 than with 256, but loading the version, which checks
 * that rows get the same bits in any company, then takes a second longer: worth it for large inputs only.
 */
const BATCH_ROWS = { small: 256, large: 2048 } as const;
/** Some 100,000 rows. */
const LARGE_INPUT_BYTES = { parquet: 1 << 19, csv: 4 << 20, ndjson: 8 << 20 } as const;

/**
 * Runs the job, or goes on with it, and gives what is in its output folder.
 * @throws AssayError when the spec or the folder is wrong, DataError or JobError when the data is
 */
export async function runBatchJob(input: BatchJobInput, surroundings: JobSurroundings): Promise<BatchResult> {
  const { spec, baseDir, version } = input;
  const { report } = surroundings;
  const outputDir = resolve(baseDir, spec.output.path);
  const inputPath = resolve(baseDir, spec.input.path);
  report.stage('prepare', 0, `${version.modelName} version ${version.version}, ${inputPath}`);
  const workDir = await prepareOutputFolder(outputDir, input.jobId);
  try {
    return await runInFolder(input, surroundings, { inputPath, outputDir, workDir });
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

interface Paths {
  readonly inputPath: string;
  readonly outputDir: string;
  readonly workDir: string;
}

async function runInFolder(
  input: BatchJobInput,
  surroundings: JobSurroundings,
  { inputPath, outputDir, workDir }: Paths,
): Promise<BatchResult> {
  const { spec, version } = input;
  const { report, signal } = surroundings;
  const pkg = await openPackage(surroundings.packageDir, { expectedDigest: version.digest });
  const source = await openRowSource({
    path: inputPath,
    ...(spec.input.format === undefined ? {} : { format: spec.input.format }),
    ...(spec.input.types === undefined ? {} : { types: spec.input.types }),
    workDir,
    memoryLimitBytes: input.tableMemoryBytes,
    signal,
  });
  try {
    requireApart(source, outputDir);
    await bindSource(source, pkg, input, signal);
    const folder = await openOutputFolder(outputDir, headerOf(input, source));
    const layout = resultLayout(pkg.manifest.signature, spec.output.columns ?? []);
    const tally = createTally(folder.finished, { report, source });
    if (folder.finished.length > 0) report.log(`goes on behind shard ${folder.finished.length - 1}`);
    if (!folder.isDone) {
      const selected = Object.keys(spec.input.select ?? {});
      const setup = { packageDir: surroundings.packageDir, digest: pkg.digest, maxBatchRows: batchRowsOf(source) };
      const pool = await openScoringPool({ ...setup, columns: layout.outputs, selected }, input.threads);
      try {
        if (!pool.facts.batchInvariant) report.log('warning: this model rounds differently in other company');
        report.log(`scores with ${pool.threads} threads, execution class ${pool.facts.executionClass}`);
        await scoreAll({ input, source, folder, layout, pool, tally, report, signal });
      } finally {
        await pool.close();
      }
    }
    report.stage('verify', 99);
    const { shards } = tally;
    const manifest = await proveComplete(headerOf(input, source), shards, outputDir, signal);
    if (!folder.isDone) await folder.complete(manifest);
    const { rowsIn, rowsOut, rowsFailed } = manifest;
    report.stage('done', 100, `${rowsIn} rows: ${rowsOut} scored, ${rowsFailed} failed`);
    return {
      ...version,
      rowsIn,
      rowsOut,
      rowsFailed,
      shards: shards.length,
      outputDir,
      resultFiles: shards.length,
      errorFiles: shards.filter(({ errors }) => errors !== null).length,
    };
  } finally {
    await source.close();
  }
}

/** By the input alone, so that each attempt does the same. */
function batchRowsOf({ files, format }: RowSource): number {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return bytes >= LARGE_INPUT_BYTES[format] ? BATCH_ROWS.large : BATCH_ROWS.small;
}

/** Results beside the input would be input themselves the next time. */
function requireApart({ files }: RowSource, outputDir: string): void {
  const inside = files.find(({ path }) => path.startsWith(`${outputDir}${sep}`));
  if (inside === undefined) return;
  const message = `the input ${inside.path} is in it; choose another folder for the results`;
  throw new AssayError('INVALID_ARGUMENT', `output.path: ${message}`, { details: [{ place: 'output.path', message }] });
}

async function bindSource(source: RowSource, pkg: ModelPackage, { spec }: BatchJobInput, signal: AbortSignal) {
  const { features } = pkg.manifest.signature;
  const select = spec.input.select ?? {};
  const names = features.map(({ name }) => name);
  for (const name of Object.keys(select)) {
    if (names.includes(name)) continue;
    const suggestion = nearest(name, names);
    const message = `the version has no feature "${name}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`;
    const place = `input.select.${name}`;
    const expected = `one of ${names.join(', ')}`;
    throw new AssayError('INVALID_ARGUMENT', `${place}: ${message}`, { details: [{ place, message, expected }] });
  }
  await source.bind({
    features: features.map(({ name, dtype, shape }) => {
      const expression = Object.hasOwn(select, name) ? select[name] : undefined;
      return { name, dtype, shape, ...(expression === undefined ? {} : { expression }) };
    }),
    copy: spec.output.columns ?? [],
    signal,
  });
}

/** All that the bytes of the output depend on. */
function headerOf({ jobId, spec, version }: BatchJobInput, { files, format }: RowSource): CheckpointHeader {
  return {
    formatVersion: FORMAT_VERSION,
    jobId,
    version,
    input: { format, files: files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, sizeBytes })) },
    output: { format: spec.output.format ?? 'parquet', columns: spec.output.columns ?? [] },
    shardRows: spec.shardRows ?? DEFAULT_SHARD_ROWS,
    specSha256: createHash('sha256').update(JSON.stringify(spec)).digest('hex'),
  };
}

interface Run {
  readonly input: BatchJobInput;
  readonly source: RowSource;
  readonly folder: OutputFolder;
  readonly layout: ResultLayout;
  readonly pool: ScoringPool;
  readonly tally: Tally;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

async function scoreAll(run: Run): Promise<void> {
  const { input, source, folder, layout, pool, tally, signal } = run;
  const shardRows = input.spec.shardRows ?? DEFAULT_SHARD_ROWS;
  const load = (from: RowPosition): Promise<LoadedRows> => {
    const loading = tally.time('read', () => explainedRoom(folder.dir, () => source.load(from, shardRows, signal)));
    loading.catch(() => undefined); // heard when its turn comes
    return loading;
  };
  const last = tally.shards.at(-1);
  const first = last === undefined ? source.start : last.next;
  if (first === null) return;
  let from = first;
  let loading = load(from);
  let finishing: Promise<void> = Promise.resolve();
  try {
    for (let shard = tally.shards.length; ; shard++) {
      const loaded = await loading;
      const { next } = loaded;
      if (loaded.rowsIn === 0) {
        await loaded.drop();
        break;
      }
      run.report.stage('score', tally.percent(from), `shard ${shard}`);
      if (next !== undefined) loading = load(next);
      const names = shardFileNames(shard, input.spec.output.format ?? 'parquet');
      const scored = await tally.time('score', () =>
        scoreShard({
          loaded,
          files: source.files.map(({ path }) => path),
          columns: layout.outputs,
          pool,
          errorsPath: join(folder.workDir, names.errors),
          outputDir: folder.dir,
          onErrors: ({ count, first }) =>
            requireFew(input.spec.maxErrors, tally.rowsFailed + tally.pending + count, first),
          signal,
        }),
      );
      await finishing;
      tally.pending = scored.errors.count;
      const begun = from;
      finishing = tally.time('write', () => finishShard(run, { shard, from: begun, loaded, scored, names }));
      finishing.catch(() => undefined); // heard below, or before the next is finished
      if (next === undefined) break;
      from = next;
    }
    await finishing;
  } finally {
    await Promise.allSettled([loading, finishing]);
  }
}

interface Finished {
  readonly shard: number;
  readonly from: RowPosition;
  readonly loaded: LoadedRows;
  readonly scored: ScoredShard;
  readonly names: { readonly results: string; readonly errors: string };
}

/** Writes the files of a shard, gives them their names, and writes down that it is done. */
async function finishShard(run: Run, { shard, from, loaded, scored, names }: Finished): Promise<void> {
  const { input, source, folder, layout, tally, signal } = run;
  const temporary = join(folder.workDir, names.results);
  const rowsOut = await explained(folder.dir, () =>
    scored.results.write({
      path: temporary,
      format: input.spec.output.format ?? 'parquet',
      selection: fixedColumns(input, source),
      copyNames: layout.copies,
      signal,
    }),
  );
  await loaded.drop();
  const rowsFailed = scored.errors.count;
  if (rowsOut + rowsFailed !== loaded.rowsIn) {
    const counted = `${loaded.rowsIn} rows were read, ${rowsOut} scored and ${rowsFailed} failed`;
    throw new AssayError('INTERNAL', `shard ${shard}: ${counted}; they must add up`);
  }
  const results = await folder.publish(temporary, names.results);
  const errorsPath = join(folder.workDir, names.errors);
  const errors = rowsFailed === 0 ? null : await folder.publish(errorsPath, names.errors);
  if (errors === null) await rm(errorsPath, { force: true });
  const { next = null, rowsIn } = loaded;
  const finished = { shard, from, next, rowsIn, rowsOut, rowsFailed, results, errors };
  await folder.record(finished);
  tally.finish(finished);
}

/** SQL for the columns that every row begins with, over `file` and `row`. */
function fixedColumns({ jobId, version }: BatchJobInput, { files }: RowSource): string[] {
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const prefixes = idPrefixes(
    jobId,
    files.map(({ sha256 }) => sha256),
  );
  const byFile = (values: readonly string[]): string =>
    values.length === 1 ? text(values[0] ?? '') : `list_extract([${values.map(text).join(', ')}], "file" + 1)`;
  return [
    `${byFile(prefixes)} || "row" AS prediction_id`,
    `${text(version.versionId)} AS version_id`,
    `${text(version.digest)} AS digest`,
    '"row"',
    ...(files.length === 1 ? [] : [`${byFile(files.map(({ path }) => path))} AS "file"`]),
  ];
}

function requireFew(maxErrors: number | undefined, failed: number, first: ErrorLine | undefined): void {
  if (maxErrors === undefined || failed <= maxErrors) return;
  const example = first === undefined ? '' : `; one is ${first.file} row ${first.row}: ${first.place}: ${first.reason}`;
  throw new JobError('data', `more than ${maxErrors} rows failed (maxErrors)${example}`);
}
