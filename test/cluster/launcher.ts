/** The suite of the Kubernetes launcher, on this cluster: test/kubernetes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './cluster.ts';
import { check, type Step } from './step.ts';

export const launcherSteps: readonly Step[] = [
  {
    name: 'the Kubernetes launcher passes its suite',
    async run({ tell }) {
      const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
      const file = join(ROOT, '.cache', 'cluster', 'launcher.json');
      const words = ['--config', 'test/kubernetes/vitest.config.ts', '--reporter=json', `--outputFile.json=${file}`];
      await run('tools/node', [vitest, 'run', ...words], { timeoutMs: 20 * 60_000 });
      const report = JSON.parse(await readFile(file, 'utf8')) as { numPassedTests: number; numTotalTests: number }; // vitest's own form
      tell('tests passed', report.numPassedTests);
      check(report.numPassedTests > 0 && report.numPassedTests === report.numTotalTests, 'not all tests ran');
    },
  },
];
