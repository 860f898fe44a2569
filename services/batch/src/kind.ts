/** Batch scoring as a kind of jobs: what is its own beside what services of jobs are. */
import type { RegistryClient } from '@assay/client';
import {
  AssayError,
  BatchJob,
  BatchResult,
  type BatchSpec,
  type BatchVersion,
  CreateBatchJob,
  type DatasetReference,
  ERRORS_SUFFIX,
  type Version,
} from '@assay/contracts';
import type { Caller } from '@assay/http';
import {
  callsToRead,
  callsToRegister,
  datasetForJob,
  type JobKind,
  type JobOf,
  type JobTypes,
  jobMigrations,
  type LaunchPlace,
  type LocalPath,
  type NamedDataset,
  type RegistryCall,
  resolveDataset,
} from '@assay/job-service';
import { createMetrics, entryUrl } from '@assay/runtime';
import Type from 'typebox';
import { type BatchConfig, batchConfig } from './config.ts';
import { CheckpointHeader, FinishedShard } from './domain/checkpoint.ts';
import { idleGpus, pathsOutside } from './domain/spec-rules.ts';
import { predictionRoutes } from './http/prediction-routes.ts';
import type { JobInput } from './job/job-input.ts';
import { countProgress } from './job-metrics.ts';
import { batchMetrics } from './metrics.ts';

export interface Batch extends JobTypes {
  readonly spec: BatchSpec;
  readonly result: BatchResult;
  readonly resolved: { readonly version: BatchVersion; readonly dataset: DatasetReference };
  readonly config: BatchConfig;
}

const DEFAULT_ALIAS = 'champion';

export const batchKind: JobKind<Batch> = {
  name: 'batch',
  config: batchConfig,
  metrics: batchMetrics,
  migrations: jobMigrations({ version: true, checkpoints: true }),
  api: {
    title: 'Assay batch scoring',
    description: 'Jobs that score the rows of files with a version.',
    job: BatchJob,
    pageName: 'BatchJobPage',
    create: CreateBatchJob,
    result: BatchResult,
    checkpoint: Type.Union([CheckpointHeader, FinishedShard]),
    createSummary: 'Score files',
    resultSummary: 'Say what was written',
    scope: 'score',
  },
  authorize,
  check: ({ spec, baseDir = '/' }, { filesDir }) => [
    ...idleGpus(spec),
    ...(filesDir === undefined ? [] : pathsOutside(filesDir, localPaths(spec), baseDir)),
  ],
  localPaths,
  resolve: {
    version: (spec, registry) => resolveVersion(registry, spec),
    dataset: async ({ input }, registry) => {
      const named = datasetIn(input);
      return named === undefined ? null : resolveDataset(registry, named, 'spec.input');
    },
  },
  launchInput: async (job, place) => ({ spec: await jobInput(job, place) }),
  registryCalls,
  routes: predictionRoutes,
  entry: entryUrl('services/batch', 'job'),
  keepsCounts: true, // of rows of finished shards, which the next attempt goes on behind
  observe(registry) {
    const { metrics } = createMetrics(batchMetrics, { registry });
    return { jobs: metrics, progressed: (before, now, { version }) => countProgress(metrics, before, now, version) };
  },
};

/** @throws AssayError PERMISSION_DENIED */
function authorize(caller: Caller, { model, output }: BatchSpec): void {
  const denied = (place: string, message: string) =>
    new AssayError('PERMISSION_DENIED', `${place}: key ${caller.keyId} of ${caller.principal} ${message}`);
  // A key that is limited to endpoints scores the models of those names too: a model's default endpoint has its name.
  if (caller.endpoints !== null && !caller.endpoints.has(model)) {
    throw denied('spec.model', `may not score ${JSON.stringify(model)}`);
  }
  // A job acts with the key of this service, which may register; whoever may not must not do it by way of a job.
  if (datasetIn(output) === undefined || caller.scopes.has('register') || caller.scopes.has('admin')) return;
  const scopes = [...caller.scopes].join(', ');
  throw denied('spec.output.dataset', `has ${scopes}; writing a dataset needs the scope register too`);
}

/** The dataset that an input or output names, where it names no path. */
function datasetIn(named: BatchSpec['input' | 'output']): NamedDataset | undefined {
  return 'dataset' in named ? (named as NamedDataset) : undefined; // by the schema of the spec
}

function localPaths({ input, output }: BatchSpec): readonly LocalPath[] {
  const [read, written] = ['a registered dataset in spec.input.dataset', 'a dataset in spec.output.dataset'];
  return [
    ...('path' in input ? [{ place: 'spec.input.path', path: input.path, instead: read }] : []),
    ...('path' in output ? [{ place: 'spec.output.path', path: output.path, instead: written }] : []),
  ];
}

/** What the spec names, as it is now. */
async function resolveVersion(registry: RegistryClient, spec: BatchSpec): Promise<BatchVersion> {
  const wanted = spec.version ?? DEFAULT_ALIAS;
  try {
    const version =
      typeof wanted === 'number'
        ? await registry.getVersion(spec.model, wanted)
        : await versionOfAlias(registry, spec.model, wanted);
    const { modelName, id, digest } = version;
    return { modelName, version: version.version, versionId: id, digest };
  } catch (thrown) {
    const error = AssayError.from(thrown);
    if (error.code !== 'NOT_FOUND') throw error;
    const place = `${spec.model}${typeof wanted === 'number' ? ` version ${wanted}` : `@${wanted}`}`;
    throw new AssayError('NOT_FOUND', `spec.version: the registry has no ${place}: ${error.message}`, { cause: error });
  }
}

async function versionOfAlias(registry: RegistryClient, model: string, alias: string): Promise<Version> {
  const { versionId } = await registry.getAlias(model, alias);
  return registry.getVersionById(versionId);
}

async function jobInput(job: JobOf<Batch>, place: LaunchPlace<Batch>): Promise<JobInput> {
  const { config, serviceUrl, registryUrl, registry, sharedDir } = place;
  if (job.version === null) throw new AssayError('INTERNAL', `job ${job.id} is launched without a version`);
  const threads = config.jobThreads ?? threadsFor(job.spec);
  return {
    jobId: job.id,
    spec: job.spec,
    baseDir: job.baseDir,
    version: job.version,
    ...(job.dataset === null ? {} : { dataset: await datasetForJob(registry, job.dataset) }),
    batchUrl: serviceUrl,
    registryUrl,
    packagesDir: sharedDir('packages'),
    ...(threads === undefined ? {} : { threads }),
    tableMemoryBytes: config.jobTableMemoryMb * 1_000_000,
  };
}

/** As many as it asked cores for: its node may have more, which are others'. */
function threadsFor({ resources }: BatchSpec): number | undefined {
  return resources?.cpu === undefined ? undefined : Math.max(1, Math.floor(resources.cpu));
}

/** The description of the job's version and its files; the dataset that it reads, and those that it writes. */
function registryCalls({ spec, version, dataset }: JobOf<Batch>): readonly RegistryCall[] {
  if (version === null) return [];
  const path = `/v1/versions/${encodeURIComponent(version.versionId)}`;
  const written = datasetIn(spec.output)?.dataset;
  return [
    { methods: ['GET'], path },
    { methods: ['GET'], path: `${path}/files/` },
    ...(dataset === null ? [] : callsToRead(dataset)),
    ...(written === undefined ? [] : [...callsToRegister(written), ...callsToRegister(`${written}${ERRORS_SUFFIX}`)]),
  ];
}
