/**
 * A kind of jobs, as its service declares it: what it trains, scores, writes. All else is the same for every kind.
 *
 * A *spec* is what a person wrote and a *result* what a job has to show for it. What a spec names loosely (an alias, the
 * newest version of a dataset) is *resolved* once, when the job first starts; each *attempt* then works on the same.
 */
import type { RegistryClient } from '@assay/client';
import type { ErrorDetail, JobFailure, JobProgress, JobResources, JobState, SpecReference } from '@assay/contracts';
import type { Migration } from '@assay/database';
import type { App, Caller } from '@assay/http';
import type { ConfigDefinition, MetricsDefinition, Registry } from '@assay/runtime';
import type { TSchema } from 'typebox';
import type { JobServiceConfig } from './config.ts';
import type { PartsOf } from './http/parts.ts';
import type { JobMetrics } from './metrics.ts';
import type { ResolvedColumn } from './store/tables.ts';

/** The types of a kind, together. */
export interface JobTypes {
  readonly spec: { readonly resources?: JobResources };
  readonly result: object;
  /** By the name under which the job shows it. */
  readonly resolved: Readonly<Partial<Record<ResolvedColumn, unknown>>>;
  readonly config: JobServiceConfig;
}

/** A job as its service records and shows it. */
export type JobOf<T extends JobTypes> = {
  readonly id: string;
  readonly kind: string;
  readonly state: JobState;
  readonly revision: number;
  readonly spec: T['spec'];
  /** Where the registry keeps the spec, if that is where it is from. */
  readonly specSource?: SpecReference;
  /** An absolute folder; relative paths of the spec start there. */
  readonly baseDir: string;
  readonly attempts: number;
  readonly progress: JobProgress | null;
  readonly result: T['result'] | null;
  /** Of the last attempt that failed. */
  readonly failure: JobFailure | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
} & Resolution<T>;

/** Null until it is resolved, and for ever where the spec names nothing of that sort. */
export type Resolution<T extends JobTypes> = { readonly [K in keyof T['resolved']]: T['resolved'][K] | null };

export interface CreateJobOf<T extends JobTypes> {
  readonly spec: T['spec'];
  /** Where the registry keeps the spec, if that is where it is from. */
  readonly specSource?: SpecReference;
  readonly baseDir?: string;
  readonly idempotencyKey?: string;
}

/** A path of this machine that a spec names. */
export interface LocalPath {
  /** `spec.source.path` */
  readonly place: string;
  readonly path: string;
  /** What to name where jobs see no files of the service: `a dataset: spec.source.dataset`. */
  readonly instead: string;
}

/** A call that a job may make of the registry, by its own door. */
export interface RegistryCall {
  readonly methods: readonly ('GET' | 'HEAD' | 'POST' | 'PUT')[];
  /** The whole path, as the client writes it; with a `/` at its end whatever is below. */
  readonly path: string;
}

/** What a launch is made of. */
export interface LaunchPlace<T extends JobTypes> {
  readonly config: T['config'];
  /** The service, as the job reaches it. */
  readonly serviceUrl: string;
  /** The registry, as the service passes it on to this job. */
  readonly registryUrl: string;
  /** The client of the service itself, with its own key. */
  readonly registry: RegistryClient;
  /**
   * A folder for what jobs fetch, kept for the jobs after it. In a pod, where there is none, it is relative: it then lies in
   * the job's own folder, and the job's entry resolves it there.
   */
  readonly sharedDir: (name: string) => string;
}

export interface LaunchInput {
  /** What the job's entry is given, as JSON; no secrets. */
  readonly spec: unknown;
  /** For its process alone, besides the token. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a kind counts of its own. */
export interface JobObserver<T extends JobTypes> {
  readonly jobs: JobMetrics;
  /** A running job pushed progress; `before` is the one before, of whichever attempt. */
  progressed?(before: JobProgress | null, now: JobProgress, job: JobOf<T>): void;
  /** A running job reported its result. */
  resulted?(result: T['result']): void;
}

export interface JobKind<T extends JobTypes> {
  /** The service's name: its section of the settings, its folder, the `kind` of its jobs, the label of its launches. */
  readonly name: Lowercase<string>;
  readonly config: ConfigDefinition;
  readonly metrics: MetricsDefinition;
  /** The whole schema of the database, oldest first: see `jobMigrations`. */
  readonly migrations: readonly Migration[];

  readonly api: {
    readonly title: string;
    readonly description: string;
    readonly job: TSchema;
    /** The name of a page of jobs in the OpenAPI document. */
    readonly pageName: string;
    readonly create: TSchema;
    readonly result: TSchema;
    /** What its jobs write down, to go on behind it on another machine; absent where they begin again. */
    readonly checkpoint?: TSchema;
    /** Of `POST /v1/jobs`: `Train a model`. */
    readonly createSummary: string;
    /** Of `PUT /v1/jobs/{id}/result`: `Say what was registered`. */
    readonly resultSummary: string;
    /** What a caller needs to create and cancel jobs; who has it, or `read`, may see them. */
    readonly scope: 'train' | 'score';
  };

  /**
   * The spec that the registry keeps under a name: for kinds whose requests may name one.
   * @throws AssayError NOT_FOUND
   */
  keptSpec?(name: string, registry: RegistryClient): Promise<{ readonly spec: T['spec'] } & SpecReference>;
  /** @throws AssayError PERMISSION_DENIED where the job would do for its caller what the caller may not do */
  authorize(caller: Caller, spec: T['spec']): void;
  /** What the schema cannot say about a job; places begin with `spec.`. */
  check(request: CreateJobOf<T>, config: T['config']): readonly ErrorDetail[];
  localPaths(spec: T['spec']): readonly LocalPath[];

  /**
   * What is looked up when the job first starts, by its name in the job: as it is then, null where the spec names none.
   * They throw AssayError NOT_FOUND with the place of the spec.
   */
  readonly resolve: {
    readonly [K in keyof T['resolved'] & ResolvedColumn]: (
      spec: T['spec'],
      registry: RegistryClient,
    ) => Promise<T['resolved'][K] | null>;
  };
  /** What a job asks of its launcher. Default: the resources of its spec. */
  resources?(spec: T['spec']): JobResources | undefined;
  /** Called for each attempt, when everything is resolved. */
  launchInput(job: JobOf<T>, place: LaunchPlace<T>): Promise<LaunchInput> | LaunchInput;
  /** What a running job needs of the registry, and nothing else. */
  registryCalls(job: JobOf<T>): readonly RegistryCall[];

  /** Routes of its own. */
  readonly routes?: (app: App, parts: PartsOf<T>) => void;

  /** The module with the jobs' `run`. */
  readonly entry: URL;
  /** Of the service's environment, what a child process gets besides the usual; a pod has its own. */
  readonly environmentNames?: readonly string[];
  /** What a job counted in its progress holds until it counts again, over all its attempts. */
  readonly keepsCounts?: boolean;
  observe(registry: Registry): JobObserver<T>;
}
