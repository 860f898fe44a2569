/** A kind of jobs for the tests of this package: it adds numbers. */
import type { BatchVersion, DatasetReference, JobProgress, JobResources } from '@assay/contracts';
import { createMetrics, defineConfig, defineMetrics } from '@assay/runtime';
import Type from 'typebox';
import { type JobServiceConfig, jobServiceSettings } from '../config.ts';
import type { JobKind, JobTypes } from '../kind.ts';
import { jobMetrics } from '../metrics.ts';
import { jobMigrations } from '../store/migrations/index.ts';

export interface Sums extends JobTypes {
  readonly spec: {
    readonly numbers: readonly number[];
    readonly path?: string;
    readonly version?: number;
    readonly dataset?: string;
    readonly resources?: JobResources;
  };
  readonly result: { readonly sum: number };
  readonly resolved: { readonly version: BatchVersion; readonly dataset: DatasetReference };
  readonly config: JobServiceConfig;
}

export const sumsConfig = defineConfig('sums', jobServiceSettings('sums', { port: 8999 }));
const sumsMetrics = defineMetrics('sums', jobMetrics('sums'));

export const VERSION: BatchVersion = { modelName: 'm', version: 1, versionId: 'ver_1', digest: '1'.repeat(64) };

export interface SumsWatch {
  readonly progress: (readonly [JobProgress | null, JobProgress])[];
  readonly results: Sums['result'][];
}

export function sumsKind(seen: SumsWatch = { progress: [], results: [] }): JobKind<Sums> {
  const Result = Type.Object({ sum: Type.Number() }, { $id: 'Sum', additionalProperties: false });
  return {
    name: 'sums',
    config: sumsConfig,
    metrics: sumsMetrics,
    migrations: jobMigrations({ version: true, checkpoints: true }),
    api: {
      title: 'Sums',
      description: 'Jobs that add numbers.',
      job: Type.Any(),
      pageName: 'SumPage',
      create: Type.Any(),
      result: Result,
      checkpoint: Type.Any(),
      createSummary: 'Add numbers',
      resultSummary: 'Say what it is',
      scope: 'score',
    },
    authorize: () => undefined,
    check: ({ spec }) => (spec.numbers.length > 0 ? [] : [{ place: 'spec.numbers', message: 'is empty' }]),
    localPaths: ({ path }) => (path === undefined ? [] : [{ place: 'spec.path', path, instead: 'a dataset' }]),
    resolve: { version: async () => VERSION, dataset: async () => null },
    launchInput: ({ spec }) => ({ spec }),
    registryCalls: () => [],
    entry: new URL('file:///no/such/entry.ts'),
    keepsCounts: true,
    observe: (registry) => ({
      jobs: createMetrics(sumsMetrics, { registry }).metrics,
      progressed: (before, now) => seen.progress.push([before, now]),
      resulted: (result) => seen.results.push(result),
    }),
  };
}
