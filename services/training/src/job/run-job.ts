/**
 * A training job from its first stage to its last: fetch, read, clean, split, analyse, features, baseline, train, export, parity,
 * evaluate, package, register.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { RegistryClient } from '@assay/client';
import type { TrainingResult } from '@assay/contracts';
import { writePackage } from '@assay/model-package';
import { DataError } from '@assay/tables';
import { evaluate, evaluateBaseline, type MetricValues } from '../domain/evaluation.ts';
import { chooseGoldenRows } from '../domain/golden-rows.ts';
import { hintsOf } from '../domain/leak-hints.ts';
import { precisionHints } from '../domain/precision-hints.ts';
import { countPositives, type Parts } from '../domain/prepared-rows.ts';
import { signatureOf } from '../domain/signature.ts';
import { openDraft } from './draft.ts';
import { buildGraph } from './graph.ts';
import type { JobInput } from './job-input.ts';
import { loadRows } from './load-rows.ts';
import { goldenOf, lineageOf, profileOf } from './package-content.ts';
import { registerVersion } from './register.ts';
import type { Reporter } from './reporter.ts';
import { PARITY_TOLERANCE, requireParity, scorePart } from './score-part.ts';
import { recordOf } from './served-form.ts';
import { bringSource } from './source.ts';
import { readyTrainer } from './train.ts';

export interface JobSurroundings {
  /** A folder of its own. */
  readonly dir: string;
  readonly registry: RegistryClient;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

const DEFAULT_SEED = 1;

/**
 * Runs the job and gives what it registered.
 * @throws AssayError when the spec is wrong or another part fails, DataError when the data is; the message is for whoever
 *   wrote the spec
 */
export async function runTrainingJob(input: JobInput, surroundings: JobSurroundings): Promise<TrainingResult> {
  const { spec } = input;
  const { dir, registry, report, signal } = surroundings;
  const seed = spec.seed ?? DEFAULT_SEED;
  // What this process may use: the cgroup's quota is taken into account.
  const threads = Math.min(spec.threads ?? Number.POSITIVE_INFINITY, availableParallelism());

  const train = await readyTrainer(input, report, signal);
  const source = await bringSource(input, { dir, registry, report, signal });
  const rows = await loadRows({
    spec,
    source,
    seed,
    threads,
    tempDir: join(dir, 'spill'),
    report,
    signal,
  });
  const { features, parts } = rows;
  requireUsable(parts);
  const { signature, problems } = signatureOf(features, parts, spec.target.name);
  const [problem] = problems;
  if (problem !== undefined) {
    throw new DataError(`${problem.place}: ${problem.message} (expected ${problem.expected})`, { details: problems });
  }
  const hints = [...hintsOf(features, parts), ...precisionHints(spec.trainer, features, parts.train)];
  for (const hint of hints) report.note(`warning: ${hint}`);

  report.stage('baseline', 20);
  const baseline = evaluateBaseline(parts.train, parts.test, spec.metrics);
  report.progress(20, `the majority class always: ${describe(baseline)}`, baseline);

  const model = await train(rows, { seed, threads });
  try {
    report.stage('export', 74, model.summary);
    const goldenRows = chooseGoldenRows(parts, seed);
    const records = Array.from({ length: goldenRows.rows }, (_, row) => recordOf(features, goldenRows, row));
    const content = {
      onnx: buildGraph(features, model),
      signature,
      createdAt: new Date(input.createdAtMs).toISOString(),
      ...(spec.description === undefined ? {} : { description: spec.description }),
    };
    await using draft = await openDraft(join(dir, 'draft'), content, records, model.predict(goldenRows), signal);

    report.stage('parity', 77);
    const served = await scorePart(draft.scorer, features, parts.test, signal);
    const difference = requireParity(served, model.predict(parts.test));
    const parity = { rows: served.length, maxDifference: difference, tolerance: PARITY_TOLERANCE };
    report.note(`graph and trainer differ by at most ${difference.toExponential(1)} on ${served.length} test rows`);

    report.stage('evaluate', 86);
    const metrics = evaluate(parts.test.labels, served, spec.metrics);
    report.progress(88, describe(metrics), metrics);

    report.stage('package', 90);
    const packageDir = join(dir, 'package');
    const libraries = { ...rows.libraries, ...model.libraries, ...draft.libraries };
    await writePackage(packageDir, {
      ...content,
      golden: await goldenOf(draft.scorer, records),
      profile: profileOf(rows.profiles, parts.train),
      lineage: lineageOf({ input, seed, files: rows.files, libraries, metrics, baseline, parity }),
      calibration: { method: 'none', expectedCalibrationError: metrics.expected_calibration_error },
    });

    report.stage('register', 93);
    const version = await registerVersion({
      ...{ registry, spec, jobId: input.jobId, packageDir, signal },
      note: (message) => report.note(message),
    });
    report.stage('done', 100, `${version.modelName} version ${version.version}: ${describe(metrics)}`);
    const { modelName, digest } = version;
    const counts = { train: parts.train.rows, validation: parts.validation.rows, test: parts.test.rows };
    return { modelName, version: version.version, versionId: version.id, digest, metrics, baseline, rows: counts };
  } finally {
    model.close();
  }
}

/** Rows of both classes in every part: else there is nothing to learn, to stop at, or to judge. */
function requireUsable(parts: Parts): void {
  for (const name of ['train', 'validation', 'test'] as const) {
    const part = parts[name];
    const positives = countPositives(part);
    if (positives > 0 && positives < part.rows) continue;
    const found = part.rows === 0 ? 'no rows' : `${part.rows} rows, in all of which the target is ${positives > 0}`;
    throw new DataError(
      `split: the ${name} part has ${found}; rows with and without the event are needed in each part`,
    );
  }
}

/** `auc 0.6612, log_loss 0.4831`: those that a person looks at first. */
function describe(metrics: MetricValues): string {
  return Object.entries(metrics)
    .filter(([name]) => !name.startsWith('auc_ci') && name !== 'expected_calibration_error')
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}
