/**
 * Launches as Kubernetes Jobs. All that is remembered of a launch is its Job: whoever knows the id finds it, so that a
 * service goes on after any restart. What its owner must be allowed to do there is in docs/jobs.md.
 */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { AssayError } from '@assay/contracts';
import { entryUrl, type Logger, nodeArguments } from '@assay/runtime';
import { KubeConfig } from '@kubernetes/client-node';
import { checkLaunchId, type LaunchExit, type Launcher, type LaunchRequest, type Observation } from '../launcher.ts';
import { type CallOptions, type Method, openKubernetesApi } from './api.ts';
import { hasStatus, toAssayError } from './api-error.ts';
import { watchChanges } from './changes.ts';
import { readLogTail, readPodLog } from './log-stream.ts';
import { buildJob, buildSecret, isLaunched, type ManifestOptions, secretContent } from './manifest.ts';
import {
  JOB_UID_LABEL,
  jobName,
  LAUNCH_ANNOTATION,
  LAUNCHED_ANNOTATION,
  LAUNCHER_LABEL,
  VERDICT_ANNOTATION,
} from './names.ts';
import type { EventObject, JobObject, ListOf, PodObject } from './objects.ts';
import { exitOfJob, hasEnded, isWordless, newestPod, runningSince, verdictOf } from './observation.ts';
import { terminatedOf } from './pod-failure.ts';
import type { KubernetesJobSettings } from './settings.ts';
import { whatItWaitsFor } from './waiting.ts';

export interface KubernetesLauncherOptions {
  /** Which service it is: `training`. Two services may share a namespace, not a name. */
  readonly name: string;
  readonly settings: KubernetesJobSettings;
  /** The module with the job's `run`, at the same place in the image. */
  readonly entry: URL;
  /** How much a job's JavaScript heap may grow to; native memory is not counted. Default: Node's own, by the pod's limit. */
  readonly maxHeapMegabytes?: number;
  /** Where the cluster is. Default: what KUBECONFIG names, `~/.kube/config`, or the service account of this pod. */
  readonly kubeConfig?: KubeConfig;
  readonly log: Pick<Logger, 'warn'>;
}

export interface KubernetesLauncher extends Launcher {
  /** Ends the watches. Launches go on: whoever opens a launcher of that name finds them. */
  close(): Promise<void>;
}

/** How long a launch, and what stops one, waits out an API server that restarts. */
const RETRY_MS = 30_000;
const POLL_MS = 500;
/** Of a pod whose grace is over: its kubelet kills it, and says so. */
const STOP_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_START_SECONDS = 300;
const MAX_CONFLICTS = 5;

/** @throws AssayError FAILED_PRECONDITION where nothing says where the cluster is */
export function kubernetesLauncher(options: KubernetesLauncherOptions): KubernetesLauncher {
  const { settings, log } = options;
  const { namespace } = settings;
  const api = openKubernetesApi(options.kubeConfig ?? defaultKubeConfig());
  const manifests: ManifestOptions = { launcher: options.name, settings, command: commandOf(options) };
  const jobsPath = `/apis/batch/v1/namespaces/${namespace}/jobs`;
  const corePath = `/api/v1/namespaces/${namespace}`;
  const launching = new Map<string, Promise<void>>();
  const changes = watchChanges(api, { paths: [jobsPath, `${corePath}/pods`], launcher: options.name, log });

  const jobPath = (id: string): string => `${jobsPath}/${jobName(options.name, id)}`;

  /** One call of the API, its refusals in plain words. */
  async function call<T>(what: string, method: Method, path: string, more: CallOptions = {}): Promise<T> {
    try {
      return await api.call<T>(method, path, more);
    } catch (error) {
      throw toAssayError(error, what, namespace);
    }
  }

  /** The Job of a launch, if it is there and ours. */
  async function findJob(id: string, retryMs = 0): Promise<JobObject | undefined> {
    try {
      const job = await api.call<JobObject>('GET', jobPath(id), { retryMs });
      return isOurs(job, id, options.name) ? job : undefined;
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw toAssayError(error, `launch ${id}`, namespace);
    }
  }

  async function podsOf(id: string, job: JobObject): Promise<readonly PodObject[]> {
    const query = { labelSelector: `${JOB_UID_LABEL}=${job.metadata?.uid ?? ''}` };
    const pods = await call<ListOf<PodObject>>(`launch ${id}`, 'GET', `${corePath}/pods`, { query });
    return pods.items;
  }

  /** What the cluster says of an object. Without the right to read events a launch waits all the same, with fewer words. */
  async function eventsOf(name: string | undefined): Promise<readonly EventObject[]> {
    if (name === undefined) return [];
    const query = { fieldSelector: `involvedObject.name=${name}`, limit: 50 };
    return api.call<ListOf<EventObject>>('GET', `${corePath}/events`, { query }).then(
      ({ items }) => items,
      () => [],
    );
  }

  async function launch(request: LaunchRequest, signal: AbortSignal | undefined): Promise<void> {
    secretContent(request); // what cannot be handed over is refused before anything is made
    const job = await createJob(request, signal);
    if (isLaunched(job) || hasEnded(job)) return;
    try {
      await completeLaunch(request, job, signal);
    } catch (error) {
      // Of a service that stops, the next process goes on with it. Else nobody would: a suspended Job never ends.
      if (signal?.aborted !== true) await remove(request.id, 0).catch(() => undefined);
      throw error;
    }
  }

  async function completeLaunch(
    request: LaunchRequest,
    job: JobObject,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const what = `launch ${request.id}`;
    const secret = buildSecret(request, job);
    const secretPath = `${corePath}/secrets`;
    const write = { body: secret, retryMs: RETRY_MS, signal };
    try {
      await api.call('POST', secretPath, write);
    } catch (error) {
      // Of a launch that was cut short: its Job is the same, what it is given may be newer.
      if (!hasStatus(error, 409)) throw toAssayError(error, what, namespace);
      await call(what, 'PUT', `${secretPath}/${secret.metadata?.name ?? ''}`, write);
    }
    await call(what, 'PATCH', jobPath(request.id), {
      ...mergePatch({
        metadata: { annotations: { [LAUNCHED_ANNOTATION]: new Date().toISOString() } },
        ...(settings.queueName === undefined ? { spec: { suspend: false } } : {}),
      }),
      retryMs: RETRY_MS,
      signal,
    });
  }

  /** Makes the Job, or finds the one that was made before. */
  async function createJob(request: LaunchRequest, signal: AbortSignal | undefined): Promise<JobObject> {
    const { id } = request;
    const name = jobName(options.name, id);
    // Its own name for each Job: the Secret of an earlier one of that name may still be there.
    const body = buildJob(request, `${name}-${randomBytes(4).toString('hex')}`, manifests);
    try {
      const query = { fieldValidation: 'Strict' };
      return await api.call<JobObject>('POST', jobsPath, { body, query, retryMs: RETRY_MS, signal });
    } catch (error) {
      if (!hasStatus(error, 409)) throw toAssayError(error, `launch ${id}`, namespace);
    }
    const found = await findJob(id, RETRY_MS);
    if (found !== undefined) return found;
    const message = `there is a Job ${name} in namespace ${namespace} which is not of this launch; remove it`;
    throw new AssayError('ALREADY_EXISTS', `launch ${id}: ${message}`);
  }

  async function observe(id: string): Promise<Observation> {
    const job = await findJob(id);
    if (job === undefined || !isLaunched(job)) return { state: 'absent' };
    const pods = await podsOf(id, job);
    const pod = newestPod(pods);
    if (hasEnded(job)) {
      const tail = pod !== undefined && isWordless(pod) ? await readLogTail(api, namespace, nameOf(pod)) : '';
      return { state: 'exited', exit: exitOfJob(job, pods, tail, Date.now()) };
    }
    const running = runningSince(pod);
    if (running !== undefined) return running;
    if (verdictOf(job) !== undefined) return { state: 'waiting', reason: 'it is being stopped' };
    const { reason, hopeless } = whatItWaitsFor({
      job,
      pod,
      events: await eventsOf(pod === undefined ? job.metadata?.name : nameOf(pod)),
      nowMs: Date.now(),
      maxStartMs: (settings.maxStartSeconds ?? DEFAULT_MAX_START_SECONDS) * 1000,
    });
    if (hopeless !== undefined)
      await stop(id, job, { outcome: 'failed', endedAtMs: Date.now(), failure: hopeless }, 1000);
    return { state: 'waiting', reason };
  }

  /** Writes down why, and ends its pods. Its Job stays, and tells how it ended. */
  async function stop(id: string, job: JobObject, verdict: LaunchExit, graceMs: number): Promise<void> {
    const what = `launch ${id}`;
    await writeVerdict(id, job, verdict);
    const gracePeriodSeconds = Math.max(1, Math.ceil(graceMs / 1000)); // 0 would forget the pod while it runs
    for (const pod of await podsOf(id, job)) {
      if (terminatedOf(pod) !== undefined) continue;
      const body = { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds };
      await api.call('DELETE', `${corePath}/pods/${nameOf(pod)}`, { body, retryMs: RETRY_MS }).catch((error) => {
        if (!hasStatus(error, 404)) throw toAssayError(error, what, namespace);
      });
    }
    // Where there is no pod yet, none is made any more.
    await call(what, 'PATCH', jobPath(id), {
      ...mergePatch({ spec: { activeDeadlineSeconds: 1 } }),
      retryMs: RETRY_MS,
    });
  }

  /** The first one counts. */
  async function writeVerdict(id: string, job: JobObject, verdict: LaunchExit): Promise<void> {
    let current: JobObject | undefined = job;
    for (let tries = 1; current !== undefined && verdictOf(current) === undefined; tries++) {
      const { resourceVersion } = current.metadata ?? {};
      const annotations = { [VERDICT_ANNOTATION]: JSON.stringify(verdict) };
      const patch = mergePatch({ metadata: { resourceVersion, annotations } });
      try {
        await api.call('PATCH', jobPath(id), { ...patch, retryMs: RETRY_MS });
        return;
      } catch (error) {
        if (!hasStatus(error, 409) || tries === MAX_CONFLICTS) throw toAssayError(error, `launch ${id}`, namespace);
        current = await findJob(id, RETRY_MS);
      }
    }
  }

  /** A Job that never had a pod goes with all that belongs to it. */
  async function remove(id: string, retryMs: number): Promise<void> {
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Foreground' };
    await api.call('DELETE', jobPath(id), { body, retryMs }).catch((error) => {
      if (!hasStatus(error, 404)) throw toAssayError(error, `launch ${id}`, namespace);
    });
  }

  async function waitForEnd(id: string, timeoutMs: number): Promise<void> {
    const giveUpAtMs = performance.now() + timeoutMs;
    for (;;) {
      const job = await findJob(id, RETRY_MS);
      if (job === undefined || hasEnded(job)) return;
      if (performance.now() > giveUpAtMs) {
        const message = 'its pod does not end; its node may be away';
        throw new AssayError('UNAVAILABLE', `launch ${id}: ${message}; try again`);
      }
      await changes.next(POLL_MS);
    }
  }

  async function* logs(id: string, follow: boolean, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const readBytes = new Map<string, number>();
    const read = new Set<string>(); // pods that had ended before their log was read to its end
    for (;;) {
      signal?.throwIfAborted();
      const job = await findJob(id, follow ? RETRY_MS : 0);
      if (job === undefined || !isLaunched(job)) throw new AssayError('NOT_FOUND', `there is no launch ${id}`);
      const isOver = hasEnded(job); // asked before the last read, so that nothing is missed
      let wasCut = false;
      for (const pod of (await podsOf(id, job)).toSorted(byAge)) {
        const name = nameOf(pod);
        if (read.has(name)) continue;
        const skipBytes = readBytes.get(name) ?? 0;
        const onRead = (sizeBytes: number) => readBytes.set(name, (readBytes.get(name) ?? 0) + sizeBytes);
        const how = { skipBytes, follow: follow && !isOver, mayBeCut: follow, onRead, signal };
        const outcome = yield* readPodLog({ api, namespace, pod: name, ...how });
        if (outcome === 'cut') wasCut = true;
        if (outcome === 'whole' && terminatedOf(pod) !== undefined) read.add(name);
      }
      if (!follow || (isOver && !wasCut)) return;
      await changes.next(POLL_MS, signal);
    }
  }

  return {
    async launch(request, { signal } = {}) {
      checkLaunchId(request.id);
      signal?.throwIfAborted();
      const before = launching.get(request.id);
      if (before !== undefined) return before;
      const now = launch(request, signal).finally(() => launching.delete(request.id));
      launching.set(request.id, now);
      await now;
    },

    async observe(id) {
      checkLaunchId(id);
      return observe(id);
    },

    async cancel(id, { graceMs }) {
      checkLaunchId(id);
      const job = await findJob(id, RETRY_MS);
      if (job === undefined || hasEnded(job)) return;
      if (!isLaunched(job) || job.spec?.suspend === true) await remove(id, RETRY_MS);
      else await stop(id, job, { outcome: 'cancelled', endedAtMs: Date.now() }, graceMs);
      await waitForEnd(id, graceMs + STOP_TIMEOUT_MS);
    },

    async *logs(id, { follow = false, signal } = {}) {
      checkLaunchId(id);
      try {
        yield* logs(id, follow, signal);
      } catch (error) {
        throw toAssayError(error, `log of ${id}`, namespace);
      }
    },

    onChange: (listener) => changes.subscribe(listener),

    close: () => changes.close(),
  };
}

/** What the library takes where nothing says where the cluster is. */
const NO_CLUSTER = 'http://localhost:8080';

function defaultKubeConfig(): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AssayError('FAILED_PRECONDITION', `the kubeconfig cannot be read: ${reason}`, { cause: error });
  }
  if (config.getCurrentCluster()?.server !== NO_CLUSTER) return config;
  const advice = 'set KUBECONFIG, or run in a pod whose service account has its token mounted';
  throw new AssayError('FAILED_PRECONDITION', `nothing says where Kubernetes is; ${advice}`);
}

/** As the process launcher does it, by the paths of this program: in the image they are the same. */
function commandOf({ entry, maxHeapMegabytes }: KubernetesLauncherOptions): string[] {
  return [
    process.execPath,
    ...nodeArguments(maxHeapMegabytes === undefined ? {} : { maxHeapMegabytes }),
    fileURLToPath(entryUrl('packages/jobs', 'pod')),
    entry.href,
  ];
}

function isOurs(job: JobObject, id: string, launcher: string): boolean {
  const { annotations, labels } = job.metadata ?? {};
  return annotations?.[LAUNCH_ANNOTATION] === id && labels?.[LAUNCHER_LABEL] === launcher;
}

function nameOf(object: PodObject): string {
  return object.metadata?.name ?? '';
}

function byAge(a: PodObject, b: PodObject): number {
  return (a.metadata?.creationTimestamp ?? '').localeCompare(b.metadata?.creationTimestamp ?? '');
}

function mergePatch(body: unknown): Pick<CallOptions, 'body' | 'contentType'> {
  return { body, contentType: 'application/merge-patch+json' };
}
