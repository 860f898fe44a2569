import { readFileSync } from 'node:fs';
import { matches } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { buildJob, buildSecret, type ManifestOptions, secretNameOf } from './manifest.ts';
import { jobName } from './names.ts';
import type { KubernetesJobSettings } from './settings.ts';

const settings: KubernetesJobSettings = { namespace: 'assay-jobs', image: 'assay/training:1.2.3' };
const options = (more: Partial<KubernetesJobSettings> = {}): ManifestOptions => ({
  launcher: 'training',
  settings: { ...settings, ...more },
  command: ['/usr/local/bin/node', '/app/pod.mjs', 'file:///app/job.mjs'],
});
const request = { id: 'job_01jb.1', spec: { model: 'flights' }, environment: { ASSAY_JOB_TOKEN: 'token-of-this-job' } };
const podOf = (...from: Parameters<typeof buildJob>) => {
  const pod = buildJob(...from).spec?.template.spec;
  const container = pod?.containers[0];
  if (pod === undefined || container === undefined) throw new Error('a Job has a pod with a container');
  return { pod, container };
};

/** The strict schemas of a real API server (test/chart). */
function schemaOf(kind: string) {
  const file = new URL('../../../../test/chart/gen/kubernetes-schemas.json', import.meta.url);
  const text = readFileSync(file, 'utf8').replaceAll('_definitions.json#/definitions/', '#/$defs/');
  const { kinds, definitions } = JSON.parse(text);
  return { $defs: definitions, $ref: `#/$defs/${kinds[kind]}` };
}

describe('the Job of a launch', () => {
  it.each([
    ['with the least settings', {}, {}],
    ['with a GPU and a time limit', { resources: { gpus: 2, cpus: 1.5, memoryBytes: 4e9 }, timeoutMs: 90_500 }, {}],
    [
      'with every setting',
      { resources: { gpus: 1 }, timeoutMs: 1000 },
      {
        command: [],
        imagePullPolicy: 'Never',
        imagePullSecrets: ['registry'],
        serviceAccount: 'assay-job',
        runAsUser: 65_532,
        priorityClassName: 'low',
        queueName: 'assay',
        resources: { requests: { cpu: 1, memory: '2Gi' }, limits: { memory: '8Gi' } },
        workSizeLimit: '20Gi',
        sharedMemory: '4Gi',
        labels: { team: 'risk' },
        annotations: { note: 'x' },
        nodeSelector: { pool: 'jobs' },
        tolerations: [{ key: 'jobs', operator: 'Exists' }],
        gpu: {
          image: 'registry.test/training-gpu:1',
          nodeSelector: { gpu: 'l4' },
          tolerations: [{ key: 'spot', operator: 'Exists' }],
          runtimeClassName: 'nvidia',
        },
        ttlSecondsAfterFinished: 120,
        terminationGracePeriodSeconds: 90,
        maxWaitSeconds: 600,
      },
    ],
  ] as const)('is what the API server takes, %s', (_, more, set) => {
    const job = buildJob({ ...request, ...more }, 'launch-secret', options(set as Partial<KubernetesJobSettings>)); // readonly lists
    const schema = schemaOf('job-batch-v1');
    expect(matches(schema, job)).toBe(true);
    expect(matches(schema, { ...job, spec: { ...job.spec, backofLimit: 0 } })).toBe(false); // the schema is strict
  });

  it('fails at the first failure of its own, at once for a configuration, and goes on elsewhere when its node is taken', () => {
    const { spec } = buildJob(request, 'launch-secret', options());
    expect(spec).toMatchObject({ backoffLimit: 0, podReplacementPolicy: 'Failed', ttlSecondsAfterFinished: 3600 });
    expect(spec?.podFailurePolicy?.rules).toEqual([
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      { action: 'FailJob', onExitCodes: { containerName: 'job', operator: 'In', values: [64] } },
    ]);
    expect(spec?.template.spec?.restartPolicy).toBe('Never');
  });

  it('fits the restricted level of PodSecurity', () => {
    const { pod, container } = podOf(request, 'launch-secret', options());
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod).not.toHaveProperty('hostNetwork');
    expect(pod.volumes?.map((volume) => Object.keys(volume).find((key) => key !== 'name'))).toEqual([
      'secret',
      'emptyDir',
      'emptyDir',
      'emptyDir',
    ]);
  });

  it('has no token of the API server, and nothing of the launch but its id and time limit', () => {
    const job = buildJob({ ...request, timeoutMs: 5000 }, 'launch-secret', options());
    const text = JSON.stringify(job);
    expect(job.spec?.template.spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(text).not.toContain('token-of-this-job');
    expect(text).not.toContain('flights');
    expect(text).toContain('job_01jb.1');
  });

  it('counts the time limit from when the pod is on a node, and bounds the waiting too', () => {
    const job = buildJob({ ...request, timeoutMs: 1500 }, 'launch-secret', options({ maxWaitSeconds: 600 }));
    expect(job.spec?.template.spec?.activeDeadlineSeconds).toBe(2);
    expect(job.spec?.activeDeadlineSeconds).toBe(602);
    expect(job.metadata?.annotations).toMatchObject({ 'assay.dev/timeout-ms': '1500' });
    expect(buildJob(request, 'launch-secret', options()).spec).not.toHaveProperty('activeDeadlineSeconds');
  });

  it('asks for a GPU and tolerates the taints of GPU pools only where the launch wants one', () => {
    const gpu = { nodeSelector: { 'cloud.google.com/gke-accelerator': 'nvidia-l4' }, tolerations: [{ key: 'spot' }] };
    const nvidia = { key: 'nvidia.com/gpu', operator: 'Exists' as const, effect: 'NoSchedule' as const };
    const set = options({ nodeSelector: { pool: 'jobs' }, gpu: { ...gpu, tolerations: [nvidia, ...gpu.tolerations] } });
    const without = podOf(request, 'launch-secret', set);
    expect(without.pod.tolerations).toEqual([]);
    expect(without.pod.nodeSelector).toEqual({ pool: 'jobs' });
    expect(JSON.stringify(without.container.resources)).not.toContain('gpu');
    const { pod, container } = podOf({ ...request, resources: { gpus: 2 } }, 'launch-secret', set);
    expect(container.resources?.limits).toMatchObject({ 'nvidia.com/gpu': '2' });
    expect(pod.nodeSelector).toEqual({ pool: 'jobs', 'cloud.google.com/gke-accelerator': 'nvidia-l4' });
    expect(pod.tolerations).toEqual([
      nvidia,
      { key: 'sku', operator: 'Equal', value: 'gpu', effect: 'NoSchedule' },
      { key: 'spot' },
    ]);
  });

  it('runs the image for GPUs only where the launch wants one', () => {
    const set = options({ gpu: { image: 'registry.test/training-gpu:1' } });
    const onGpu = { ...request, resources: { gpus: 1 } };
    expect(podOf(onGpu, 'launch-secret', set).container.image).toBe('registry.test/training-gpu:1');
    const usual = podOf(request, 'launch-secret', set).container.image;
    expect(usual).not.toContain('gpu');
    expect(podOf(onGpu, 'launch-secret', options({ gpu: {} })).container.image).toBe(usual);
  });

  it('gives a job the memory and cores that it asks for, else those of the settings', () => {
    const set = options({ resources: { requests: { cpu: 1, memory: '2Gi' }, limits: { memory: '8Gi', cpu: 4 } } });
    expect(podOf(request, 'launch-secret', set).container.resources).toEqual({
      requests: { cpu: '1', memory: '2Gi' },
      limits: { memory: '8Gi', cpu: '4' },
    });
    const asking = { ...request, resources: { memoryBytes: 3_000_000_000, cpus: 2.5 } };
    expect(podOf(asking, 'launch-secret', set).container.resources).toEqual({
      requests: { cpu: '2500m', memory: '3000000000' },
      limits: { memory: '3000000000', cpu: '2500m' },
    });
  });

  it('says memory in the units that people read, where it can', () => {
    const asking = { ...request, resources: { memoryBytes: 128 * 1024 ** 2 } };
    expect(podOf(asking, 'launch-secret', options()).container.resources?.limits).toMatchObject({ memory: '128Mi' });
  });

  it('has shared memory that is not the 64 MiB of the runtime', () => {
    const { pod, container } = podOf(request, 'launch-secret', options({ sharedMemory: '2Gi' }));
    expect(container.volumeMounts).toContainEqual({ name: 'shm', mountPath: '/dev/shm' });
    expect(pod.volumes).toContainEqual({ name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: '2Gi' } });
  });

  it('is left to Kueue where there is a queue', () => {
    const { metadata, spec } = buildJob(request, 'launch-secret', options({ queueName: 'assay' }));
    expect(metadata?.labels).toMatchObject({ 'kueue.x-k8s.io/queue-name': 'assay' });
    expect(spec?.suspend).toBe(true);
  });

  it("runs the image's own entry point where the settings say so", () => {
    expect(podOf(request, 'launch-secret', options()).container.command).toHaveLength(3);
    expect(podOf(request, 'launch-secret', options({ command: [] })).container).not.toHaveProperty('command');
    expect(podOf(request, 'launch-secret', options({ command: ['python', '-m', 'train'] })).container.command).toEqual([
      'python',
      '-m',
      'train',
    ]);
  });
});

describe("the name of a launch's Job", () => {
  const LABEL_VALUE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
  it.each(['job_01jb.1', '_', '0', 'a'.repeat(100), 'a-'.repeat(50), 'job_01jb...1-'])('is a label for %j', (id) => {
    expect(jobName('training', id)).toMatch(LABEL_VALUE);
  });

  it('is another for each id and each service, also where they read the same', () => {
    const names = ['a.1', 'a_1', 'a-1', 'a.1-'].flatMap((id) => [jobName('training', id), jobName('batch', id)]);
    expect(new Set(names).size).toBe(names.length);
    expect(jobName('training', 'a.1')).toBe(jobName('training', 'a.1'));
  });
});

describe('the Secret of a launch', () => {
  const made = {
    metadata: { name: 'job-1', uid: 'uid-1' },
    spec: { template: { spec: podOf(request, 's-1', options()).pod } },
  };
  const job = made as Parameters<typeof buildSecret>[1]; // as the API server gives it back

  it('goes with its Job, and is the one that the Job mounts', () => {
    const secret = buildSecret(request, job);
    expect(matches(schemaOf('secret-v1'), secret)).toBe(true);
    expect(secret.metadata?.name).toBe(secretNameOf(job));
    expect(secret.metadata?.ownerReferences).toEqual([
      { apiVersion: 'batch/v1', kind: 'Job', name: 'job-1', uid: 'uid-1', controller: true },
    ]);
  });

  it('holds the spec and what the launch alone is given', () => {
    expect(buildSecret(request, job).stringData).toEqual({
      'spec.json': '{"model":"flights"}',
      'environment.json': '{"ASSAY_JOB_TOKEN":"token-of-this-job"}',
    });
  });

  it('refuses a spec that Kubernetes could not hand over', () => {
    expect(() => buildSecret({ id: 'a.1', spec: 'x'.repeat(1_000_001) }, job)).toThrow('at most 1000000');
    expect(() => buildSecret({ id: 'a.1', spec: undefined }, job)).toThrow('its spec is no JSON');
  });
});
