/**
 * A launch as Kubernetes objects, without I/O: a Job, and a Secret that belongs to it with what the launch is given. The
 * pod fits the level `restricted` of PodSecurity and holds no token of the API server.
 */
import { AssayError } from '@assay/contracts';
import type {
  V1EnvVar,
  V1Job,
  V1PodSpec,
  V1Secret,
  V1Toleration,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import { EXIT_CODES } from '../failure.ts';
import type { LaunchRequest } from '../launcher.ts';
import { LAUNCH_FILES, POD_ENVIRONMENT, POD_FOLDERS } from '../pod-contract.ts';
import {
  CONTAINER,
  jobName,
  LAUNCH_ANNOTATION,
  LAUNCHED_ANNOTATION,
  LAUNCHER_LABEL,
  QUEUE_LABEL,
  TIMEOUT_ANNOTATION,
} from './names.ts';
import type { JobObject } from './objects.ts';
import type { KubernetesJobSettings, Resources, Toleration } from './settings.ts';

export interface ManifestOptions {
  /** Which service's launcher: the value of a label. */
  readonly launcher: string;
  readonly settings: KubernetesJobSettings;
  /** What the container runs where the settings say nothing. */
  readonly command: readonly string[];
}

const LAUNCH_VOLUME = 'launch';
const DEFAULT_USER = 1000;
const DEFAULT_TTL_SECONDS = 3600;
const DEFAULT_GRACE_SECONDS = 30;
const DEFAULT_MAX_WAIT_SECONDS = 86_400;
const DEFAULT_GPU_RESOURCE = 'nvidia.com/gpu';
const DEFAULT_RESOURCES: Resources = { requests: { cpu: '1', memory: '2Gi' }, limits: { memory: '2Gi' } };
/** A Secret holds at most 1 MiB, its keys and metadata included: https://kubernetes.io/docs/concepts/configuration/secret/ */
const MAX_SECRET_BYTES = 1_000_000;

/** The taints of GPU pools: of the device plugin's documentation (EKS, GKE), and of AKS's. */
const GPU_TOLERATIONS: readonly Toleration[] = [
  { key: DEFAULT_GPU_RESOURCE, operator: 'Exists', effect: 'NoSchedule' },
  { key: 'sku', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' },
];

/**
 * The Job of a launch. It is made suspended: the launcher lets it go when its Secret is there, Kueue when there is room.
 * @param secretName of the Secret to mount
 */
export function buildJob(request: LaunchRequest, secretName: string, options: ManifestOptions): V1Job {
  const { settings } = options;
  const timeoutSeconds = request.timeoutMs === undefined ? undefined : Math.max(1, Math.ceil(request.timeoutMs / 1000));
  const labels = {
    ...settings.labels,
    'app.kubernetes.io/managed-by': 'assay',
    'app.kubernetes.io/component': 'job',
    [LAUNCHER_LABEL]: options.launcher,
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: jobName(options.launcher, request.id),
      namespace: settings.namespace,
      labels: { ...labels, ...(settings.queueName === undefined ? {} : { [QUEUE_LABEL]: settings.queueName }) },
      annotations: {
        [LAUNCH_ANNOTATION]: request.id,
        ...(request.timeoutMs === undefined ? {} : { [TIMEOUT_ANNOTATION]: String(request.timeoutMs) }),
      },
    },
    spec: {
      suspend: true,
      // A failure is a failed launch: whether there is another is decided where attempts are counted.
      backoffLimit: 0,
      completions: 1,
      parallelism: 1,
      podReplacementPolicy: 'Failed', // never two at once
      podFailurePolicy: {
        rules: [
          // Its node was drained or reclaimed, or it was evicted: the same launch goes on in another pod.
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          {
            action: 'FailJob',
            onExitCodes: { containerName: CONTAINER, operator: 'In', values: [EXIT_CODES.configuration] },
          },
        ],
      },
      ...(timeoutSeconds === undefined
        ? {}
        : { activeDeadlineSeconds: timeoutSeconds + (settings.maxWaitSeconds ?? DEFAULT_MAX_WAIT_SECONDS) }),
      ttlSecondsAfterFinished: settings.ttlSecondsAfterFinished ?? DEFAULT_TTL_SECONDS,
      template: {
        metadata: { labels, annotations: { ...settings.annotations, [LAUNCH_ANNOTATION]: request.id } },
        spec: podSpec(request, secretName, timeoutSeconds, options),
      },
    },
  };
}

function podSpec(
  request: LaunchRequest,
  secretName: string,
  timeoutSeconds: number | undefined,
  { settings, command }: ManifestOptions,
): V1PodSpec {
  const user = settings.runAsUser ?? DEFAULT_USER;
  const gpus = request.resources?.gpus ?? 0;
  const nodeSelector = { ...settings.nodeSelector, ...(gpus > 0 ? settings.gpu?.nodeSelector : {}) };
  const runtimeClassName = gpus > 0 ? settings.gpu?.runtimeClassName : undefined;
  const program = settings.command ?? command;
  return {
    restartPolicy: 'Never',
    // Counted by the kubelet from when it has the pod, not from when it began to wait; its pod, and so its log, stay.
    ...(timeoutSeconds === undefined ? {} : { activeDeadlineSeconds: timeoutSeconds }),
    terminationGracePeriodSeconds: settings.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS,
    serviceAccountName: settings.serviceAccount ?? 'default',
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    // The job is then not process 1, which the kernel spares from signals that it does not listen to.
    shareProcessNamespace: true,
    ...(settings.priorityClassName === undefined ? {} : { priorityClassName: settings.priorityClassName }),
    ...(settings.imagePullSecrets === undefined
      ? {}
      : { imagePullSecrets: settings.imagePullSecrets.map((name) => ({ name })) }),
    ...(runtimeClassName === undefined ? {} : { runtimeClassName }),
    ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    tolerations: distinct([
      ...(settings.tolerations ?? []),
      ...(gpus > 0 ? [...GPU_TOLERATIONS, ...(settings.gpu?.tolerations ?? [])] : []),
    ]),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: user,
      fsGroup: user,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: CONTAINER,
        image: (gpus > 0 ? settings.gpu?.image : undefined) ?? settings.image,
        ...(settings.imagePullPolicy === undefined ? {} : { imagePullPolicy: settings.imagePullPolicy }),
        ...(program.length === 0 ? {} : { command: [...program] }),
        env: environment(request.id),
        resources: resourcesOf(request, settings),
        terminationMessagePath: POD_FOLDERS.word,
        terminationMessagePolicy: 'FallbackToLogsOnError',
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: [
          { name: LAUNCH_VOLUME, mountPath: POD_FOLDERS.launch, readOnly: true },
          { name: 'work', mountPath: POD_FOLDERS.work },
          { name: 'tmp', mountPath: '/tmp' },
          { name: 'shm', mountPath: '/dev/shm' },
        ] satisfies V1VolumeMount[],
      },
    ],
    volumes: volumes(secretName, settings),
  };
}

/** Nothing here is secret: whoever may read pods may read it. */
function environment(launchId: string): V1EnvVar[] {
  return [
    { name: POD_ENVIRONMENT.id, value: launchId },
    { name: POD_ENVIRONMENT.launchDir, value: POD_FOLDERS.launch },
    { name: POD_ENVIRONMENT.workDir, value: POD_FOLDERS.work },
    { name: POD_ENVIRONMENT.wordFile, value: POD_FOLDERS.word },
    { name: 'HOME', value: POD_FOLDERS.work },
  ];
}

function volumes(secretName: string, settings: KubernetesJobSettings): V1Volume[] {
  const sizeLimit = settings.workSizeLimit === undefined ? {} : { sizeLimit: String(settings.workSizeLimit) };
  return [
    { name: LAUNCH_VOLUME, secret: { secretName, defaultMode: 0o440 } },
    { name: 'work', emptyDir: sizeLimit },
    { name: 'tmp', emptyDir: sizeLimit },
    // What data loaders share between processes; the runtime's own is 64 MiB. It counts as memory of the container.
    { name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: String(settings.sharedMemory ?? '1Gi') } },
  ];
}

function resourcesOf(
  { resources = {} }: LaunchRequest,
  settings: KubernetesJobSettings,
): { requests: Record<string, string>; limits: Record<string, string> } {
  const base = settings.resources ?? DEFAULT_RESOURCES;
  const requests: Record<string, string> = texts(base.requests);
  const limits: Record<string, string> = texts(base.limits);
  if (resources.memoryBytes !== undefined) {
    const memory = inMebibytes(resources.memoryBytes);
    requests.memory = memory;
    limits.memory = memory;
  }
  if (resources.cpus !== undefined) {
    const cpu = `${Math.ceil(resources.cpus * 1000)}m`;
    requests.cpu = cpu;
    if (limits.cpu !== undefined) limits.cpu = cpu;
  }
  if (resources.gpus !== undefined && resources.gpus > 0) {
    limits[settings.gpu?.resource ?? DEFAULT_GPU_RESOURCE] = String(resources.gpus);
  }
  return { requests, limits };
}

/** `128Mi` where it is a whole number of them: messages quote it. */
function inMebibytes(sizeBytes: number): string {
  const mebibytes = sizeBytes / 1024 ** 2;
  return Number.isInteger(mebibytes) ? `${mebibytes}Mi` : String(Math.ceil(sizeBytes));
}

function texts(quantities: Readonly<Record<string, string | number>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(quantities).map(([name, quantity]) => [name, String(quantity)]));
}

function distinct(tolerations: readonly Toleration[]): V1Toleration[] {
  const byText = new Map(
    tolerations.map((one) => [JSON.stringify([one.key, one.operator, one.value, one.effect]), one]),
  );
  return [...byText.values()].map((one) => ({ ...one }));
}

/**
 * What the launch is given, in a Secret that goes with its Job.
 * @throws AssayError INVALID_ARGUMENT when the spec is no JSON, or too large for a Secret
 */
export function buildSecret(request: LaunchRequest, job: JobObject): V1Secret {
  const { name, uid } = job.metadata ?? {};
  const secretName = secretNameOf(job);
  if (name === undefined || uid === undefined || secretName === undefined)
    throw new AssayError(
      'FAILED_PRECONDITION',
      `launch ${request.id}: its Job ${name ?? ''} mounts no Secret of a launch`,
    );
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name: secretName,
      labels: { 'app.kubernetes.io/managed-by': 'assay', 'app.kubernetes.io/component': 'job' },
      ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name, uid, controller: true }],
    },
    stringData: secretContent(request),
  };
}

/** @throws AssayError INVALID_ARGUMENT as `buildSecret` */
export function secretContent(request: LaunchRequest): Record<string, string> {
  const spec = JSON.stringify(request.spec);
  if (spec === undefined) throw new AssayError('INVALID_ARGUMENT', `launch ${request.id}: its spec is no JSON`);
  const environment = JSON.stringify(request.environment ?? {});
  const sizeBytes = Buffer.byteLength(spec) + Buffer.byteLength(environment);
  if (sizeBytes > MAX_SECRET_BYTES) {
    const message = `its spec has ${sizeBytes} bytes; Kubernetes hands over at most ${MAX_SECRET_BYTES}`;
    throw new AssayError('INVALID_ARGUMENT', `launch ${request.id}: ${message}`);
  }
  return { [LAUNCH_FILES.spec]: spec, [LAUNCH_FILES.environment]: environment };
}

/** The Secret that a Job of a launch mounts. */
export function secretNameOf(job: JobObject): string | undefined {
  return job.spec?.template?.spec?.volumes?.find(({ name }) => name === LAUNCH_VOLUME)?.secret?.secretName;
}

/** Whether the launch is complete: until then `launch` goes on with what it finds. */
export function isLaunched(job: JobObject): boolean {
  return job.metadata?.annotations?.[LAUNCHED_ANNOTATION] !== undefined;
}
