/** `assay batch`: the rows of files or of a dataset are scored by a job, into a folder or a dataset. */
import { dirname, resolve } from 'node:path';
import { createBatchClient, createJobPrinter } from '@assay/client';
import { AssayError, type BatchJob, type BatchResult, BatchSpec, type DatasetReference, parse } from '@assay/contracts';
import { EXIT_CODES, parseYaml } from '@assay/runtime';
import type { Io } from '../io.ts';
import { facts, json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { readUserFile } from '../user-files.ts';

export interface BatchOptions extends TargetOptions {
  readonly input?: string;
  readonly output?: string;
  readonly modelVersion?: string;
  readonly format?: string;
  readonly select: readonly string[];
  readonly column: readonly string[];
  readonly shardRows?: number;
  readonly maxErrors?: number;
  readonly detach?: boolean;
}

/** @param what a YAML file with the spec, or the name of a model whose spec the options are */
export async function batch(io: Io, what: string, options: BatchOptions): Promise<number> {
  const { spec, baseDir } = /\.ya?ml$/.test(what) ? await readSpec(io, what, options) : fromOptions(io, what, options);
  await using client = createBatchClient(await peerOf('batch', io, options));
  let job = await client.createJob({ spec, baseDir }, { signal: io.signal });
  if (options.detach) {
    io.out(options.json ? json(job) : `${job.id}\n`);
    return EXIT_CODES.ok.code;
  }
  io.err(`scoring ${inputName(spec)} with ${spec.model}, job ${job.id}\n`);
  const printer = createJobPrinter(io.err, io.terminal);
  try {
    for await (job of client.followJob(job.id, { signal: io.signal })) printer.show(job);
  } catch (error) {
    printer.end();
    if (io.signal.aborted) io.err(`The job goes on: ${client.url}/v1/jobs/${job.id}\n`);
    throw error;
  }
  printer.end();
  if (options.json) io.out(json(job));
  else if (job.result !== null) io.out(resultText(job.result));
  if (job.state !== 'succeeded') io.err(`assay: ${outcomeText(job)}\n`);
  return exitCodeOf(job);
}

function inputName({ input }: BatchSpec): string {
  return 'path' in input ? input.path : `the dataset ${input.dataset}`;
}

interface Request {
  readonly spec: BatchSpec;
  readonly baseDir: string;
}

async function readSpec(io: Io, path: string, options: BatchOptions): Promise<Request> {
  const given = Object.entries({
    input: options.input,
    output: options.output,
    'model-version': options.modelVersion,
    format: options.format,
    select: options.select[0],
    column: options.column[0],
    'shard-rows': options.shardRows,
    'max-errors': options.maxErrors,
  }).find(([, value]) => value !== undefined);
  if (given !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', `--${given[0]} goes with the name of a model; ${path} says it all itself`);
  }
  const text = await readUserFile(io, path, 'spec');
  return { spec: parseYaml(BatchSpec, text, path), baseDir: dirname(resolve(io.cwd, path)) };
}

function fromOptions(io: Io, model: string, options: BatchOptions): Request {
  const { input, output, modelVersion: version, format, select, column, shardRows, maxErrors } = options;
  if (input === undefined || output === undefined) {
    const missing = input === undefined ? '--input FILE (or dataset:NAME)' : '--output FOLDER (or dataset:NAME)';
    throw new AssayError(
      'INVALID_ARGUMENT',
      `assay batch ${model} needs ${missing}; or give a spec: assay batch SPEC.yaml`,
    );
  }
  const number = /^\d+$/.test(version ?? '') ? Number(version) : version;
  const spec = {
    model,
    ...(number === undefined ? {} : { version: number }),
    input: {
      ...readPlace('--input', input),
      ...(select.length === 0 ? {} : { select: Object.fromEntries(select.map(readSelect)) }),
    },
    output: {
      ...readPlace('--output', output),
      ...(format === undefined ? {} : { format }),
      ...(column.length === 0 ? {} : { columns: [...column] }),
    },
    ...(shardRows === undefined ? {} : { shardRows }),
    ...(maxErrors === undefined ? {} : { maxErrors }),
  };
  return { spec: parse(BatchSpec, spec, 'spec'), baseDir: io.cwd };
}

/** `dataset:NAME` or `dataset:NAME@VERSION`; anything else is a path. */
function readPlace(option: string, text: string): object {
  const named = /^dataset:([^@]*)(?:@(.*))?$/.exec(text);
  if (named === null) return { path: text };
  const [, dataset, version] = named;
  if (version === undefined) return { dataset };
  if (option === '--input' && /^[1-9]\d{0,8}$/.test(version)) return { dataset, version: Number(version) };
  const expected = option === '--input' ? 'dataset:NAME@NUMBER' : 'dataset:NAME: its next version is made';
  throw new AssayError('INVALID_ARGUMENT', `${option} ${text}: expected ${expected}`);
}

/** `FEATURE=SQL` */
function readSelect(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new AssayError('INVALID_ARGUMENT', `--select ${text}: expected FEATURE=SQL, such as "hour=hour(date)"`);
}

function resultText(result: BatchResult): string {
  return facts([
    ['model', result.modelName],
    ['version', String(result.version)],
    ['rows', String(result.rowsIn)],
    ['scored', String(result.rowsOut)],
    ['failed', result.rowsFailed === 0 ? '0' : `${result.rowsFailed} (${errorsPlace(result)} says why)`],
    result.dataset === undefined ? ['folder', result.outputDir ?? ''] : ['dataset', reference(result.dataset)],
    ['digest', result.digest],
    ...loggedFacts(result),
  ]);
}

function reference({ datasetName, version }: DatasetReference): string {
  return `${datasetName} version ${version}`;
}

function errorsPlace({ errorsDataset }: BatchResult): string {
  return errorsDataset === undefined ? 'errors-*.ndjson' : `dataset ${reference(errorsDataset)}`;
}

function loggedFacts({ predictionsLogged, predictionsDropped = 0 }: BatchResult): [string, string][] {
  if (predictionsLogged === undefined) return [];
  const dropped = predictionsDropped === 0 ? '' : ` (${predictionsDropped} could not be)`;
  return [['logged', `${predictionsLogged}${dropped}`]];
}

/** How a job ended, in a sentence. */
function outcomeText({ id, state, failure }: BatchJob): string {
  return failure === null ? `job ${id} was ${state}` : `job ${id} ${state} (${failure.kind}): ${failure.message}`;
}

/** The spec or the data were wrong, something was missing for now, it was called off, or it is a bug. */
function exitCodeOf({ state, failure }: BatchJob): number {
  if (state === 'succeeded') return EXIT_CODES.ok.code;
  if (state === 'cancelled') return EXIT_CODES.refused.code;
  switch (failure?.kind) {
    case 'configuration':
    case 'data':
      return EXIT_CODES.usage.code;
    case 'deadline':
    case 'lost':
    case 'out-of-memory':
      return EXIT_CODES.unavailable.code;
    default:
      return EXIT_CODES.failure.code;
  }
}
