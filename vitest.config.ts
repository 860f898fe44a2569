import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// The programs that tests start, hundreds of them, find their modules compiled: that halves the time of a start.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('.cache/compiled', import.meta.url));

/**
 * unit: pure and in process, in parallel. real: each file starts the real part that it needs (a child process, a native
 * trainer, a server). system: whole programs, two at a time. chart: the Helm chart and the images' files, with helm and
 * kubeconform (`make chart-test`; `make test` leaves it out).
 */
const chartTests = ['test/chart/**/*.test.ts', 'test/cluster/**/*.test.ts'];
const setupFiles = ['test/parts/property-tests.ts'];

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      {
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          setupFiles,
          include: ['{packages,services}/*/src/**/*.test.ts', 'cli/src/**/*.test.ts', 'tools/**/*.test.ts'],
          exclude: ['**/*.real.test.ts', '**/node_modules/**'],
          testTimeout: 20_000,
          isolate: false, // they keep nothing in modules, and importing all anew for each file took longer than the tests
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'real',
          sequence: { groupOrder: 1 },
          setupFiles,
          include: ['{packages,services}/*/src/**/*.real.test.ts', 'cli/src/**/*.real.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 3, // they mostly wait for the processes that they start
        },
      },
      {
        test: {
          name: 'system',
          sequence: { groupOrder: 2 },
          setupFiles,
          include: ['test/**/*.test.ts'],
          exclude: [...chartTests, '**/node_modules/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 2, // they wait as much as they work
        },
      },
      {
        test: {
          name: 'chart',
          sequence: { groupOrder: 3 },
          include: chartTests,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
