/** The example: flights, trained on the first start so that there is something to score. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  createJobPrinter,
  createRegistryClient,
  createTrainingClient,
  hasEnded,
  type TrainingClient,
} from '@assay/client';
import { type Job, type TrainingResult, TrainingSpec } from '@assay/contracts';
import { parseYaml } from '@assay/runtime';
import type { CallableServices } from './keys.ts';

export interface Terminal {
  readonly write: (text: string) => void;
  /** Set where a line can be written over. */
  readonly columns?: number;
}

const SPEC_FILE = join('examples', 'flights', 'flight-delay.yaml');
/** How far the folder of the repository is above this file, from source and in the bundle. */
const MAX_LEVELS = 6;

/** The spec of the example beside the code; undefined where it was left out, as in an image. */
export function findExample(): string | undefined {
  let dir = import.meta.dirname;
  for (let level = 0; level < MAX_LEVELS; level++) {
    const file = join(dir, SPEC_FILE);
    if (existsSync(file)) return file;
    dir = dirname(dir);
  }
  return undefined;
}

/**
 * Whether there is no version to score with yet, or the example was being trained when an earlier process ended: its
 * model may be there before its version is.
 */
export async function isExampleDue(
  specFile: string,
  services: CallableServices,
  signal: AbortSignal,
): Promise<boolean> {
  await using registry = createRegistryClient({ url: services.registry, bearerToken: services.key?.reveal() });
  const { items } = await registry.listModels({ limit: 100 }, { signal });
  if (items.every(({ latestVersion }) => latestVersion === null)) return true;
  const spec = await readSpec(specFile);
  await using training = createTrainingClient({ url: services.training, bearerToken: services.key?.reveal() });
  return (await unfinishedJob(training, spec.model, signal)) !== undefined;
}

async function readSpec(specFile: string): Promise<TrainingSpec> {
  return parseYaml(TrainingSpec, await readFile(specFile, 'utf8'), specFile);
}

async function unfinishedJob(training: TrainingClient, model: string, signal: AbortSignal): Promise<Job | undefined> {
  const { items } = await training.listJobs({ limit: 100 }, { signal });
  return items.find((job) => job.spec.model === model && !hasEnded(job));
}

/**
 * Trains the example; a job that was under way when an earlier process ended is followed to its end. What keeps it from
 * training is printed, and is no reason not to run.
 */
export async function trainExample(
  specFile: string,
  services: CallableServices,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const spec = await readSpec(specFile);
  await using training = createTrainingClient({ url: services.training, bearerToken: services.key?.reveal() });
  const unfinished = await unfinishedJob(training, spec.model, signal);
  let job = unfinished ?? (await training.createJob({ spec, baseDir: dirname(specFile) }, { signal }));
  const how = unfinished === undefined ? 'There is no model yet: training' : 'Going on with training';
  terminal.write(`${how} the example, ${spec.model}.\n`);
  const printer = createJobPrinter(
    terminal.write,
    terminal.columns === undefined ? undefined : { columns: terminal.columns },
  );
  try {
    for await (job of training.followJob(job.id, { signal })) printer.show(job);
  } finally {
    printer.end();
  }
  if (job.result === null) {
    const why = job.failure === null ? `its job was ${job.state}` : job.failure.message;
    terminal.write(`The example was not trained: ${why}\nEverything else works. Try again: assay train ${specFile}\n`);
    return;
  }
  terminal.write(`${registeredText(job.result, spec)}\n`);
}

const MAX_METRICS = 3;

function registeredText({ modelName, version, metrics, baseline }: TrainingResult, spec: TrainingSpec): string {
  const names = (spec.metrics ?? Object.keys(metrics)).filter((name) => name in metrics).slice(0, MAX_METRICS);
  const shown = names.map((name) => `${name} ${rounded(metrics[name])} (baseline ${rounded(baseline[name])})`);
  return `Registered ${modelName} version ${version}: ${shown.join(', ')}`;
}

function rounded(value: number | undefined): string {
  return value === undefined ? '-' : String(Number(value.toPrecision(4)));
}
