/**
 * Brings up the cluster, runs the steps, takes it down, and writes what came out, with the commit, to a file that it
 * prints. `--keep` leaves the cluster up.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cluster, describeState, ROOT, run } from './cluster.ts';
import { distributedSteps } from './distributed.ts';
import { imageSteps } from './images.ts';
import { standaloneSteps } from './standalone.ts';
import type { Facts, Step } from './step.ts';

const STEPS: readonly Step[] = [...imageSteps, ...standaloneSteps, ...distributedSteps];

interface StepResult {
  readonly step: string;
  readonly seconds: number;
  readonly outcome: 'passed' | 'failed';
  readonly facts: Facts;
  readonly error?: string;
}

const keep = process.argv.includes('--keep');
const commit = (await run('git', ['rev-parse', 'HEAD']).catch(() => 'uncommitted')).trim();
const isClean = (await run('git', ['status', '--porcelain']).catch(() => '?')).trim() === '';
const startedMs = performance.now();
const results: StepResult[] = [];

await cluster(['up', '--gpu-nodes', '1'], { echo: true, timeoutMs: 60 * 60_000 });
try {
  const made: Record<string, string> = {};
  for (const step of STEPS) {
    const beganMs = performance.now();
    const seconds = (): number => Math.round((performance.now() - beganMs) / 100) / 10;
    process.stdout.write(`${step.name} …\n`);
    const facts: Record<string, string | number> = {};
    const tell = (name: string, value: string | number): void => {
      facts[name] = value;
      process.stdout.write(`    ${name}: ${value}\n`);
    };
    try {
      await step.run({ made, tell });
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
const notRun = STEPS.length - results.length;
const folder = join(ROOT, '.cache', 'cluster');
await mkdir(folder, { recursive: true });
const file = join(folder, `result-${commit.slice(0, 12)}.json`);
const seconds = Math.round((performance.now() - startedMs) / 1000);
const report = { commit, isClean, at: new Date().toISOString(), seconds, failed, notRun, results };
await writeFile(file, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(
  `${results.length - failed} passed, ${failed} failed, ${notRun} not run, in ${seconds} s\n${file}\n`,
);
if (failed > 0 || notRun > 0) process.exitCode = 1;
