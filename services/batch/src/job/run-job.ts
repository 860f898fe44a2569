/**
 * A batch job from its first row to its last: fetch the version, tell the rows apart, then for each shard read, score,
 * write, and write down that it is done. While one shard is scored the next is read and the one before is written.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AssayError, type BatchResult, nearest } from '@assay/contracts';
import { JobError } from '@assay/jobs';
import { type ModelPackage, openPackage } from '@assay/model-package';
import type { LoadedRows, RowPosition, RowSource } from '@assay/tables';
import { type CheckpointHeader, FORMAT_VERSION, shardFileNames } from '../domain/checkpoint.ts';
import { type ResultLayout, resultLayout } from '../domain/output-columns.ts';
import { idPrefixes } from '../domain/prediction-ids.ts';
import { isSampled } from '../domain/prediction-sample.ts';
import { prepareDatasetOutput } from './output-dataset.ts';
import { explained, explainedRoom, type OutputPlace, prepareOutputFolder } from './output-folder.ts';
import {
  type BatchJobInput,
  doorOf,
  fileNames,
  inputName,
  type JobSurroundings,
  openInput,
  openPlace,
} from './places.ts';
import { createPredictionLog, type PredictionCounts, type PredictionLog } from './prediction-log.ts';
import { proveSums } from './proof.ts';
import type { Reporter } from './reporter.ts';
import { type ErrorLine, type ScoredShard, scoreShard } from './score-shard.ts';
import { openScoringPool, type ScoringPool } from './scoring-pool.ts';
import { createTally, type Tally } from './tally.ts';

export type { BatchJobInput, JobSurroundings } from './places.ts';

const DEFAULT_SHARD_ROWS = 250_000;
/** Rows of one run of the graph: what is shared by them is paid for often enough, and what is laid out for them stays near. */
const BATCH_ROWS = 128;

/**
 * Runs the job, or goes on with it, and gives where its results are.
 * @throws AssayError when the spec or the folder is wrong, DataError or JobError when the data is
 */
export async function runBatchJob(input: BatchJobInput, surroundings: JobSurroundings): Promise<BatchResult> {
  const { spec, baseDir, version } = input;
  const { report } = surroundings;
  const { output } = spec;
  report.stage('prepare', 0, `${version.modelName} version ${version.version}, ${inputName(input)}`);
  const workDir =
    'path' in output
      ? await prepareOutputFolder(resolve(baseDir, output.path), input.jobId)
      : await prepareDatasetOutput(doorOf(surroundings));
  try {
    return await runInFolder(input, surroundings, workDir);
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

async function runInFolder(input: BatchJobInput, surroundings: JobSurroundings, workDir: string): Promise<BatchResult> {
  const { spec, version } = input;
  const { report, signal } = surroundings;
  const pkg = await openPackage(surroundings.packageDir, { expectedDigest: version.digest });
  const source = await openInput(input, surroundings, workDir);
  try {
    await bindSource(source, pkg, input, signal);
    const names = fileNames(input, source);
    const header = headerOf(input, source, names);
    const place = await openPlace(input, surroundings, { source, header });
    const layout = resultLayout(pkg.manifest.signature, spec.output.columns ?? []);
    let executionClass = '';
    const log = createPredictionLog({
      send: async (predictions) => surroundings.logPredictions?.({ executionClass, predictions }),
      write: report.log,
    });
    const tally = createTally(place.finished, { report, source });
    if (place.finished.length > 0) report.log(`goes on behind shard ${place.finished.length - 1}`);
    if (!place.isDone) {
      const selected = Object.keys(spec.input.select ?? {});
      const setup = { packageDir: surroundings.packageDir, digest: pkg.digest, maxBatchRows: BATCH_ROWS };
      const pool = await openScoringPool({ ...setup, columns: layout.outputs, selected }, input.threads);
      try {
        if (!pool.facts.batchInvariant) report.log('warning: this model rounds differently in other company');
        report.log(`scores with ${pool.threads} threads, execution class ${pool.facts.executionClass}`);
        executionClass = pool.facts.executionClass;
        await scoreAll({ input, source, names, place, layout, pool, tally, log, report, signal });
      } finally {
        await pool.close();
      }
    }
    report.stage('verify', 99);
    const { shards } = tally;
    const paths = source.files.map(({ path }) => path);
    const sums = await proveSums(shards, { format: source.format, paths }, signal);
    await place.verify(shards, signal);
    const written = await place.complete({ ...header, ...sums, shards: [...shards] });
    report.stage('done', 100, `${sums.rowsIn} rows: ${sums.rowsOut} scored, ${sums.rowsFailed} failed`);
    return {
      ...version,
      ...sums,
      shards: shards.length,
      ...written,
      resultFiles: shards.length,
      errorFiles: shards.filter(({ errors }) => errors !== null).length,
      ...(spec.log === undefined ? {} : loggedCounts(tally.predictions())),
    };
  } finally {
    await source.close();
  }
}

function loggedCounts({ logged, dropped }: PredictionCounts) {
  return { predictionsLogged: logged, predictionsDropped: dropped };
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
function headerOf(
  { jobId, spec, version }: BatchJobInput,
  { files, format }: RowSource,
  names: readonly string[],
): CheckpointHeader {
  return {
    formatVersion: FORMAT_VERSION,
    jobId,
    version,
    input: { format, files: files.map(({ sha256, sizeBytes }, i) => ({ path: names[i] ?? '', sha256, sizeBytes })) },
    output: { format: spec.output.format ?? 'parquet', columns: spec.output.columns ?? [] },
    shardRows: spec.shardRows ?? DEFAULT_SHARD_ROWS,
    specSha256: createHash('sha256').update(JSON.stringify(spec)).digest('hex'),
  };
}

interface Run {
  readonly input: BatchJobInput;
  readonly source: RowSource;
  /** Of its files. */
  readonly names: readonly string[];
  readonly place: OutputPlace;
  readonly layout: ResultLayout;
  readonly pool: ScoringPool;
  readonly tally: Tally;
  readonly log: PredictionLog;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

async function scoreAll(run: Run): Promise<void> {
  const { input, source, names: files, place, layout, pool, tally, signal } = run;
  const shardRows = input.spec.shardRows ?? DEFAULT_SHARD_ROWS;
  const load = (from: RowPosition): Promise<LoadedRows> => {
    const loading = tally.time('read', () => explainedRoom(place.dir, () => source.load(from, shardRows, signal)));
    loading.catch(() => undefined); // heard when its turn comes
    return loading;
  };
  const last = tally.shards.at(-1);
  const first = last === undefined ? source.start : last.next;
  if (first === null) return;
  const { log: logging } = input.spec;
  const isLogged = logging === undefined ? undefined : (id: string) => isSampled(id, logging.ratio);
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
          files,
          columns: layout.outputs,
          pool,
          idPrefixes: prefixesOf(run),
          isLogged,
          errorsPath: join(place.workDir, names.errors),
          outputDir: place.dir,
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
  const { input, place, layout, tally, log, signal } = run;
  const temporary = join(place.workDir, `${names.results}.part`);
  const { rows: rowsOut, columns } = await explained(place.dir, () =>
    scored.results.write({
      path: temporary,
      format: input.spec.output.format ?? 'parquet',
      selection: fixedColumns(run),
      describe: place.describes,
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
  const results = await place.publish(temporary, names.results, rowsOut);
  const errorsPath = join(place.workDir, names.errors);
  const errors = rowsFailed === 0 ? null : await place.publish(errorsPath, names.errors, rowsFailed);
  if (errors === null) await rm(errorsPath, { force: true });
  const { next = null, rowsIn } = loaded;
  const sent = await log(scored.predictions);
  const predictions = { logged: sent.logged, dropped: sent.dropped + scored.predictionsDropped };
  const logged = input.spec.log === undefined ? {} : { predictions };
  const described = columns === undefined ? {} : { columns: [...columns] };
  const finished = { shard, from, next, rowsIn, rowsOut, rowsFailed, results, errors, ...logged, ...described };
  await place.record(finished);
  tally.finish(finished);
}

function prefixesOf({ input, source }: Run): string[] {
  return idPrefixes(
    input.jobId,
    source.files.map(({ sha256 }) => sha256),
  );
}

/** SQL for the columns that every row begins with, over `file` and `row`. */
function fixedColumns(run: Run): string[] {
  const { version } = run.input;
  const { names } = run;
  const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;
  const prefixes = prefixesOf(run);
  const byFile = (values: readonly string[]): string =>
    values.length === 1 ? text(values[0] ?? '') : `list_extract([${values.map(text).join(', ')}], "file" + 1)`;
  return [
    `${byFile(prefixes)} || "row" AS prediction_id`,
    `${text(version.versionId)} AS version_id`,
    `${text(version.digest)} AS digest`,
    '"row"',
    ...(names.length === 1 ? [] : [`${byFile(names)} AS "file"`]),
  ];
}

function requireFew(maxErrors: number | undefined, failed: number, first: ErrorLine | undefined): void {
  if (maxErrors === undefined || failed <= maxErrors) return;
  const example = first === undefined ? '' : `; one is ${first.file} row ${first.row}: ${first.place}: ${first.reason}`;
  throw new JobError('data', `more than ${maxErrors} rows failed (maxErrors)${example}`);
}
