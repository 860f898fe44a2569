/**
 * Brings up the cluster, runs the steps, takes it down, and writes what came out, with the commit, to a file that it
 * prints. `--keep` leaves the cluster up. `--from TEXT` and `--only TEXT` run a part of the steps, by their names, on what
 * an earlier run with `--keep` has left; such a run writes no file.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { admissionSteps } from './admission.ts';
import { cluster, describeState, ROOT, run } from './cluster.ts';
import { besideStep, distributedSteps } from './distributed.ts';
import { judgingStep, recordingStep } from './flow-steps.ts';
import { imageSteps } from './images.ts';
import { launcherSteps } from './launcher.ts';
import { plantedKeysStep } from './planted-keys.ts';
import { standaloneSteps } from './standalone.ts';
import type { Facts, Step } from './step.ts';
import { uninstallSteps } from './uninstall.ts';
import { upgradeSteps } from './upgrade.ts';

const STEPS: readonly Step[] = [
  ...imageSteps,
  ...launcherSteps,
  ...standaloneSteps,
  ...admissionSteps,
  besideStep,
  recordingStep,
  ...distributedSteps,
  ...upgradeSteps,
  plantedKeysStep,
  judgingStep,
  ...uninstallSteps,
];

interface StepResult {
  readonly step: string;
  readonly seconds: number;
  readonly outcome: 'passed' | 'failed';
  readonly facts: Facts;
  readonly error?: string;
}

const { values } = parseArgs({
  options: { keep: { type: 'boolean' }, from: { type: 'string' }, only: { type: 'string' } },
});
const { keep = false, from, only } = values;
const first = from === undefined ? 0 : STEPS.findIndex(({ name }) => name.includes(from));
const chosen = STEPS.slice(first).filter(({ name }) => only === undefined || name.includes(only));
if (first < 0 || chosen.length === 0)
  throw new Error(`no step is named so; there are:\n${STEPS.map(({ name }) => name).join('\n')}`);
const isWhole = chosen.length === STEPS.length;
const folder = join(ROOT, '.cache', 'cluster');
const madeFile = join(folder, 'made.json');
await mkdir(folder, { recursive: true });
/** What the steps of an earlier run made, for a part of them that stands on it. */
const made: Record<string, string> = isWhole ? {} : JSON.parse(await readFile(madeFile, 'utf8').catch(() => '{}'));
const commit = (await run('git', ['rev-parse', 'HEAD']).catch(() => 'uncommitted')).trim();
const isClean = (await run('git', ['status', '--porcelain']).catch(() => '?')).trim() === '';
const startedMs = performance.now();
const results: StepResult[] = [];

await cluster(['up', '--gpu-nodes', '1', '--packages', 'debootstrap buildah'], { echo: true, timeoutMs: 60 * 60_000 });
await using ending = new AsyncDisposableStack();
try {
  for (const step of chosen) {
    const beganMs = performance.now();
    const seconds = (): number => Math.round((performance.now() - beganMs) / 100) / 10;
    process.stdout.write(`${step.name} …\n`);
    const facts: Record<string, string | number> = {};
    const tell = (name: string, value: string | number): void => {
      facts[name] = value;
      process.stdout.write(`    ${name}: ${value}\n`);
    };
    try {
      await step.run({ made, tell, defer: (close) => ending.defer(async () => void (await close())) });
      await writeFile(madeFile, JSON.stringify(made));
      results.push({ step: step.name, seconds: seconds(), outcome: 'passed', facts });
      process.stdout.write(`  passed in ${seconds()} s\n`);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      results.push({ step: step.name, seconds: seconds(), outcome: 'failed', facts, error: text });
      process.stdout.write(`  FAILED after ${seconds()} s: ${text}\n${await describeState()}\n`);
      break; // what comes after stands on it
    }
  }
} finally {
  if (!keep) await cluster(['down'], { echo: true });
}

const failed = results.filter(({ outcome }) => outcome === 'failed').length;
const notRun = chosen.length - results.length;
const file = join(folder, `result-${commit.slice(0, 12)}.json`);
const seconds = Math.round((performance.now() - startedMs) / 1000);
const report = { commit, isClean, at: new Date().toISOString(), seconds, failed, notRun, results };
if (isWhole) await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(
  `${results.length - failed} passed, ${failed} failed, ${notRun} not run, in ${seconds} s\n${isWhole ? `${file}\n` : ''}`,
);
if (failed > 0 || notRun > 0) process.exitCode = 1;
