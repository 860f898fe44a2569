/** Training as a kind of jobs: what is its own beside what services of jobs are. */

import { resolve } from 'node:path';
import {
  AssayError,
  CreateJob,
  type DatasetReference,
  type ErrorDetail,
  Job,
  TrainingResult,
  type TrainingSpec,
} from '@assay/contracts';
import type { Caller } from '@assay/http';
import {
  callsToRead,
  datasetForJob,
  type JobKind,
  type JobOf,
  type JobTypes,
  jobMigrations,
  type LaunchPlace,
  type RegistryCall,
  resolveDataset,
} from '@assay/job-service';
import { createMetrics, entryUrl } from '@assay/runtime';
import { type TrainingConfig, trainingConfig } from './config.ts';
import { deviceOf } from './domain/device.ts';
import { checkSpec } from './domain/spec-rules.ts';
import type { JobInput } from './job/job-input.ts';
import { trainingMetrics } from './metrics.ts';

export interface Training extends JobTypes {
  readonly spec: TrainingSpec;
  readonly result: TrainingResult;
  readonly resolved: { readonly dataset: DatasetReference };
  readonly config: TrainingConfig;
}

/** What pip needs to reach the index that the machine is set up for; jobs get nothing else of the service's environment. */
const PIP_ENVIRONMENT: readonly string[] = [
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_TRUSTED_HOST',
  'PIP_CONFIG_FILE',
  'PIP_CERT',
  'PIP_FIND_LINKS',
  'PIP_NO_INDEX',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'PYENV_ROOT',
  'PYENV_VERSION',
];

export const trainingKind: JobKind<Training> = {
  name: 'training',
  config: trainingConfig,
  metrics: trainingMetrics,
  migrations: jobMigrations({ version: false }),
  api: {
    title: 'Assay training',
    description: 'Jobs that turn a dataset and a spec into a registered version.',
    job: Job,
    pageName: 'JobPage',
    create: CreateJob,
    result: TrainingResult,
    createSummary: 'Train a model',
    resultSummary: 'Say what was registered',
    scope: 'train',
  },
  keptSpec: (name, registry) => registry.getTrainingSpec(name),
  authorize: requirePromote,
  check: ({ spec }) => specProblems(spec),
  localPaths: ({ source }) =>
    'path' in source
      ? [{ place: 'spec.source.path', path: source.path, instead: 'a registered dataset in spec.source.dataset' }]
      : [],
  resolve: {
    dataset: async ({ source }, registry) =>
      'dataset' in source ? resolveDataset(registry, source, 'spec.source') : null,
  },
  // A trainer that computes on a GPU is put where there is one, whether or not the spec asks for it a second time.
  resources: (spec) => (deviceOf(spec) === 'cuda' ? { ...spec.resources, gpus: 1 } : spec.resources),
  launchInput: async (job, place) => ({
    spec: await jobInput(job, place),
    // Read by OpenMP when it is loaded: threads that wait sleep, or two on a busy core take three times as long.
    environment: { OMP_WAIT_POLICY: 'passive' },
  }),
  registryCalls,
  entry: entryUrl('services/training', 'job'),
  environmentNames: PIP_ENVIRONMENT,
  observe(registry) {
    const { metrics } = createMetrics(trainingMetrics, { registry });
    const rows = metrics.rows.bind({});
    return {
      jobs: metrics,
      resulted: ({ rows: { train = 0, validation = 0, test = 0 } = {} }) => rows.inc(train + validation + test),
    };
  },
};

/**
 * A job acts with the key of this service, which may promote; whoever may only train must not promote by way of a job.
 * @throws AssayError PERMISSION_DENIED
 */
function requirePromote(caller: Caller, { register }: TrainingSpec): void {
  const alias = register?.alias;
  if (alias === undefined || caller.scopes.has('promote') || caller.scopes.has('admin')) return;
  throw new AssayError(
    'PERMISSION_DENIED',
    `spec.register.alias: moving ${alias} needs the scope promote; key ${caller.keyId} of ${caller.principal} has ${[...caller.scopes].join(', ')}. Leave the alias out, or use a key that may promote`,
  );
}

function specProblems(spec: TrainingSpec): readonly ErrorDetail[] {
  try {
    checkSpec(spec);
    return [];
  } catch (error) {
    return AssayError.from(error).details.map((detail) => ({ ...detail, place: `spec.${detail.place}` }));
  }
}

async function jobInput(job: JobOf<Training>, place: LaunchPlace<Training>): Promise<JobInput> {
  const { config, serviceUrl, registryUrl, registry, sharedDir } = place;
  const { lightgbmLibrary, xgboostLibrary, libraryCacheDir } = config;
  const isInPod = config.launcher === 'kubernetes';
  return {
    jobId: job.id,
    spec: job.spec,
    ...(job.specSource === undefined ? {} : { specSource: job.specSource }),
    baseDir: job.baseDir,
    createdAtMs: job.createdAt,
    trainingUrl: serviceUrl,
    registryUrl,
    ...(job.dataset === null ? {} : { dataset: await datasetForJob(registry, job.dataset) }),
    libraries: {
      cacheDir: isInPod || libraryCacheDir === undefined ? sharedDir('libraries') : resolve(libraryCacheDir),
      // The image of the service is that of its jobs: a library is at the same place.
      ...(lightgbmLibrary === undefined ? {} : { lightgbm: resolve(lightgbmLibrary) }),
      ...(xgboostLibrary === undefined ? {} : { xgboost: resolve(xgboostLibrary) }),
    },
  };
}

/** What `job/register.ts` calls, of the model that the spec names and the alias that it moves; and its dataset. */
function registryCalls({ spec, dataset }: JobOf<Training>): readonly RegistryCall[] {
  const model = `/v1/models/${encodeURIComponent(spec.model)}`;
  const alias = spec.register?.alias;
  return [
    { methods: ['HEAD', 'PUT'], path: '/v1/blobs/' },
    { methods: ['POST'], path: '/v1/models' },
    { methods: ['GET'], path: model },
    { methods: ['POST'], path: `${model}/versions` },
    ...(alias === undefined
      ? []
      : [{ methods: ['GET', 'PUT'], path: `${model}/aliases/${encodeURIComponent(alias)}` } as const]),
    ...(dataset === null ? [] : callsToRead(dataset)),
  ];
}
