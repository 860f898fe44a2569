/** `assay train`: a spec becomes a job, the job a version. */
import { dirname, resolve } from 'node:path';
import { createJobPrinter, createTrainingClient } from '@assay/client';
import { AssayError, type CreateJob, type Job, TrainingSpec } from '@assay/contracts';
import { EXIT_CODES, parseYaml } from '@assay/runtime';
import type { Io } from '../io.ts';
import { byImportance, facts, json, metric } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { readUserFile } from '../user-files.ts';

export interface TrainOptions extends TargetOptions {
  readonly detach?: boolean;
  /** A spec that the registry keeps, in place of a file. */
  readonly spec?: string;
}

export async function train(io: Io, path: string | undefined, options: TrainOptions): Promise<number> {
  const request = await requestOf(io, path, options);
  await using training = createTrainingClient(await peerOf('training', io, options));
  let job = await training.createJob(request, { signal: io.signal });
  if (options.detach) {
    io.out(options.json ? json(job) : `${job.id}\n`);
    return EXIT_CODES.ok.code;
  }
  const printer = createJobPrinter(io.err, io.terminal);
  io.err(`training ${job.spec.model}, job ${job.id}\n`);
  try {
    for await (job of training.followJob(job.id, { signal: io.signal })) printer.show(job);
  } catch (error) {
    printer.end();
    if (io.signal.aborted) io.err(`The job goes on: assay jobs ${job.id}\n`);
    throw error;
  }
  printer.end();
  if (options.json) io.out(json(job));
  else if (job.result !== null) io.out(resultText(job, job.result));
  if (job.state !== 'succeeded') io.err(`assay: ${outcomeText(job)}\n`);
  return exitCodeOfJob(job);
}

async function requestOf(io: Io, path: string | undefined, options: TrainOptions): Promise<CreateJob> {
  if ((path === undefined) === (options.spec === undefined)) {
    throw new AssayError('INVALID_ARGUMENT', 'name a spec file, or with --spec one that the registry keeps');
  }
  if (path === undefined) return { spec: { name: options.spec ?? '' } };
  const text = await readUserFile(io, path, 'spec');
  return { spec: parseYaml(TrainingSpec, text, path), baseDir: dirname(resolve(io.cwd, path)) };
}

function resultText(job: Job, result: NonNullable<Job['result']>): string {
  const metrics = byImportance(result.metrics).map(([name, value]) => {
    const baseline = result.baseline[name];
    return [name, `${metric(value)}${baseline === undefined ? '' : ` (baseline ${metric(baseline)})`}`] as const;
  });
  return facts([
    ['model', result.modelName],
    ['version', String(result.version)],
    ...(job.spec.register?.alias === undefined ? [] : [['alias', job.spec.register.alias] as const]),
    ...metrics,
    ['digest', result.digest],
    ['id', result.versionId],
  ]);
}

/** How a job ended, in a sentence. */
export function outcomeText(job: Job): string {
  if (job.failure === null) return `job ${job.id} was ${job.state}`;
  return `job ${job.id} ${job.state} (${job.failure.kind}): ${job.failure.message}; its log: assay jobs ${job.id} --logs`;
}

/** The spec or the data were wrong, something was missing for now, it was called off, or it is a bug. */
function exitCodeOfJob(job: Job): number {
  if (job.state === 'succeeded') return EXIT_CODES.ok.code;
  if (job.state === 'cancelled') return EXIT_CODES.refused.code;
  switch (job.failure?.kind) {
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
