import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** What needs a real Kubernetes: `make cluster-test`, not `make test`. Uses the cluster that is up, else starts one. */
export default defineConfig({
  root: join(import.meta.dirname, '..', '..'),
  test: {
    name: 'kubernetes',
    include: ['test/kubernetes/**/*.cluster-test.ts'],
    globalSetup: ['test/kubernetes/cluster-setup.ts'],
    reporters: ['default'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
  },
});
