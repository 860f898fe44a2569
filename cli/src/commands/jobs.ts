/** `assay jobs`: what trains, what has trained, and why not. */
import { createTrainingClient, hasEnded } from '@assay/client';
import { AssayError, type Job } from '@assay/contracts';
import type { Io } from '../io.ts';
import { byImportance, facts, instant, json, metric, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export interface JobsOptions extends TargetOptions {
  readonly logs?: boolean;
  readonly follow?: boolean;
  readonly cancel?: boolean;
}

export async function jobs(io: Io, id: string | undefined, options: JobsOptions): Promise<void> {
  if (id === undefined && (options.logs || options.cancel)) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `which job? \`assay jobs\` lists them; then assay jobs ID --${options.logs ? 'logs' : 'cancel'}`,
    );
  }
  await using training = createTrainingClient(await peerOf('training', io, options));
  const { signal } = io;
  if (id === undefined) {
    const page = await training.listJobs({ limit: 100 }, { signal });
    return io.out(options.json ? json(page.items) : jobTable(page.items));
  }
  if (options.logs) return training.logs(id, io.out, { follow: options.follow ?? false }, { signal });
  const job = options.cancel ? await training.cancelJob(id, { signal }) : await training.getJob(id, {}, { signal });
  io.out(options.json ? json(job) : jobFacts(job));
}

function jobTable(found: readonly Job[]): string {
  if (found.length === 0) return 'There are no jobs yet. `assay train SPEC` makes one.\n';
  return table(
    ['ID', 'STATE', 'MODEL', 'STAGE', 'CREATED', 'RESULT'],
    found.map((job) => [job.id, job.state, job.spec.model, stage(job), instant(job.createdAt), result(job)]),
  );
}

function stage(job: Job): string {
  const { progress } = job;
  return progress === null || hasEnded(job) ? '-' : `${progress.stage} ${Math.floor(progress.percent)} %`;
}

function result(job: Job): string {
  if (job.failure !== null) return `${job.failure.kind}: ${job.failure.message.split('\n')[0]?.slice(0, 80)}`;
  if (job.result === null) return '-';
  const [first] = byImportance(job.result.metrics);
  return `version ${job.result.version}${first === undefined ? '' : `, ${first[0]} ${metric(first[1])}`}`;
}

function jobFacts(job: Job): string {
  return facts([
    ['id', job.id],
    ['state', job.state],
    ['model', job.spec.model],
    ...(job.specSource === undefined
      ? []
      : [['spec', `${job.specSource.name}, revision ${job.specSource.revision}`] as const]),
    ['trainer', job.spec.trainer.name],
    ['attempts', String(job.attempts)],
    ['stage', stage(job)],
    ['created', instant(job.createdAt)],
    ...(job.startedAt === null ? [] : [['started', instant(job.startedAt)] as const]),
    ...(job.endedAt === null ? [] : [['ended', instant(job.endedAt)] as const]),
    ...(job.failure === null ? [] : [['failure', `${job.failure.kind}: ${job.failure.message}`] as const]),
    ...byImportance(job.result?.metrics ?? {}).map(([name, value]) => [name, metric(value)] as const),
  ]);
}
