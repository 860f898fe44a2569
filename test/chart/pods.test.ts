import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { batchConfig } from '@assay/batch';
import { matches } from '@assay/contracts';
import { inferenceConfig } from '@assay/inference';
import { KubernetesJobSettings } from '@assay/jobs';
import { kafkaConfig } from '@assay/kafka';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { type ConfigDefinition, loadConfigs } from '@assay/runtime';
import { standaloneConfig } from '@assay/standalone';
import { trainingConfig } from '@assay/training';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  at,
  type ChartValues,
  find,
  type Json,
  listAt,
  PRESETS,
  podsOf,
  type RenderedPod,
  readYaml,
  render,
} from './chart.ts';

/** What the standard `restricted` forbids: https://kubernetes.io/docs/concepts/security/pod-security-standards */
function breachesOfRestricted(pod: RenderedPod): string[] {
  const breaches: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) breaches.push(`${pod.from}: ${what}`);
  };
  for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) must(at(pod.spec, key) !== true, key);
  must(at(pod.spec, 'securityContext', 'runAsNonRoot') === true, 'runAsNonRoot');
  must(at(pod.spec, 'securityContext', 'runAsUser') !== 0, 'runAsUser 0');
  must(at(pod.spec, 'securityContext', 'seccompProfile', 'type') === 'RuntimeDefault', 'seccompProfile');
  const allowed = [
    'configMap',
    'csi',
    'downwardAPI',
    'emptyDir',
    'ephemeral',
    'persistentVolumeClaim',
    'projected',
    'secret',
  ];
  for (const volume of listAt(pod.spec, 'volumes')) {
    const kinds = Object.keys(volume ?? {}).filter((key) => key !== 'name');
    must(kinds.length === 1 && kinds.every((kind) => allowed.includes(kind)), `volume ${JSON.stringify(volume)}`);
  }
  const containers = containersOf(pod.spec);
  must(containers.length > 0, 'no container');
  for (const container of containers) {
    const security = at(container, 'securityContext');
    must(at(security, 'allowPrivilegeEscalation') === false, 'allowPrivilegeEscalation');
    must(JSON.stringify(at(security, 'capabilities', 'drop')) === '["ALL"]', 'capabilities');
    must(at(security, 'capabilities', 'add') === undefined, 'capabilities added');
    must(at(security, 'privileged') !== true, 'privileged');
    for (const port of listAt(container, 'ports')) must(at(port, 'hostPort') === undefined, 'hostPort');
  }
  return breaches;
}

function containersOf(spec: Json): readonly Json[] {
  return [...listAt(spec, 'initContainers'), ...listAt(spec, 'containers')];
}

/** Variables with a text; those from Secrets get one that is well formed. */
function environmentOf(container: Json): Record<string, string> {
  const entries = listAt(container, 'env').map((variable): [string, string] => [
    String(at(variable, 'name')),
    String(at(variable, 'value') ?? 'postgres://user:password@database/assay'),
  ]);
  return Object.fromEntries(entries);
}

describe.each(PRESETS)('each pod of the preset %s', (preset) => {
  test('is admitted under PodSecurity restricted', async () => {
    const pods = podsOf(await render({ preset }));
    expect(pods.length).toBeGreaterThan(0);
    expect(pods.flatMap(breachesOfRestricted)).toEqual([]);
  });

  test('has a read-only root, bounded memory, no token it does not need, and no Service names among its settings', async () => {
    for (const { from, spec } of podsOf(await render({ preset }))) {
      const launchesJobs = /^Deployment\/assay-(training|batch)$/.test(from);
      expect([from, at(spec, 'automountServiceAccountToken')]).toEqual([from, launchesJobs]);
      expect([from, at(spec, 'enableServiceLinks')]).toEqual([from, false]);
      for (const container of containersOf(spec)) {
        expect([from, at(container, 'securityContext', 'readOnlyRootFilesystem')]).toEqual([from, true]);
        expect([from, typeof at(container, 'resources', 'limits', 'memory')]).toEqual([from, 'string']);
        expect([from, at(container, 'resources', 'requests', 'cpu')]).not.toContain(undefined);
      }
    }
  });

  test('mounts the files that its settings name, from volumes that it has', async () => {
    for (const { from, spec } of podsOf(await render({ preset }))) {
      const volumes = listAt(spec, 'volumes').map((volume) => at(volume, 'name'));
      if (from.startsWith('StatefulSet/')) volumes.push('data'); // of the claim's template
      for (const container of containersOf(spec)) {
        const mounts = listAt(container, 'volumeMounts');
        for (const mount of mounts)
          expect([from, volumes]).toEqual([from, expect.arrayContaining([at(mount, 'name')])]);
        const paths = mounts.map((mount) => `${at(mount, 'mountPath')}/`);
        const files = Object.entries(environmentOf(container)).filter(([, value]) => /^\/(run|etc)\//.test(value));
        for (const [name, file] of files) {
          expect([from, name, paths.some((path) => `${file}/`.startsWith(path))]).toEqual([from, name, true]);
        }
      }
    }
  });

  test('that serves is probed, and has time to drain before it is killed', async () => {
    const pods = podsOf(await render({ preset })).filter(({ from }) => !from.startsWith('Pod/'));
    expect(pods.length).toBeGreaterThan(0);
    for (const { from, spec } of pods) {
      const [container] = containersOf(spec);
      expect([from, at(container, 'livenessProbe', 'httpGet', 'path')]).toEqual([from, '/livez']);
      expect([from, at(container, 'readinessProbe', 'httpGet', 'path')]).toEqual([from, '/readyz']);
      const environment = environmentOf(container);
      const sum = (suffix: string): number[] =>
        Object.entries(environment)
          .filter(([name]) => name.endsWith(suffix))
          .map(([, text]) => Number(text));
      const stopMs = [...sum('_DRAIN_DELAY_MS'), ...sum('_CLOSE_TIMEOUT_MS')].reduce((a, b) => a + b, 0);
      expect(stopMs, from).toBeGreaterThan(0);
      expect(Number(at(spec, 'terminationGracePeriodSeconds')) * 1000, from).toBeGreaterThanOrEqual(stopMs + 5000);
    }
  });
});

const PROGRAMS: Readonly<Record<string, readonly ConfigDefinition[]>> = {
  'StatefulSet/assay': [
    standaloneConfig,
    registryConfig,
    inferenceConfig,
    trainingConfig,
    batchConfig,
    monitoringConfig,
    kafkaConfig,
  ],
  'Deployment/assay-registry': [registryConfig, kafkaConfig],
  'Deployment/assay-inference': [inferenceConfig, kafkaConfig],
  'Deployment/assay-inference-gpu': [inferenceConfig, kafkaConfig],
  'Deployment/assay-streaming': [inferenceConfig, kafkaConfig],
  'Deployment/assay-training': [trainingConfig, kafkaConfig],
  'Deployment/assay-batch': [batchConfig, kafkaConfig],
  'Deployment/assay-monitoring': [monitoringConfig, kafkaConfig],
};

/** Stands for every file of a Secret that a pod mounts. */
let secretFile: string;
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-chart-secret-'));
  secretFile = join(dir, 'secret');
  await writeFile(secretFile, `assay_key-of-test_${'0'.repeat(43)}\n`);
});
afterAll(() => rm(dirname(secretFile), { recursive: true, force: true }));

describe.each(PRESETS)('what the preset %s sets', (preset) => {
  test('the services accept: each setting by its name, type and bounds', async () => {
    const objects = await render({
      preset,
      set: [
        'config.inference.maxBatchRows=32',
        'config.registry.maxConcurrentChecks=1',
        'config.training.maxAttempts=2',
      ],
    });
    const checked: string[] = [];
    for (const { from, spec } of podsOf(objects)) {
      const definitions = PROGRAMS[from];
      if (definitions === undefined) continue;
      const [container] = containersOf(spec);
      const env = environmentOf(container);
      for (const [name, value] of Object.entries(env)) if (value.startsWith('/run/secrets/')) env[name] = secretFile;
      delete env.ASSAY_CONFIG_FILE;
      const loaded: Readonly<Record<string, Readonly<Record<string, unknown>>>> = loadConfigs(definitions, { env });
      const file = readYaml(find(objects, 'ConfigMap', from.split('/')[1] ?? '').data?.['assay.yaml'] ?? '');
      for (const definition of definitions) {
        const settings = at(file, definition.section) ?? {};
        const flags = { [definition.section]: Object(settings) };
        expect(loadConfigs([definition], { flags })).toMatchObject(flags);
        expect([from, loaded[definition.section]?.host ?? '0.0.0.0']).toEqual([from, '0.0.0.0']);
      }
      checked.push(from);
    }
    expect(checked.length).toBeGreaterThan(0);
  });
});

test('each service that keeps files has a prefix of its own in the one object store, and no other has the store', async () => {
  const stores = async (url: string): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for (const { spec } of podsOf(await render({ preset: 'distributed', set: [`blobs.url=${url}`] }))) {
      for (const [name, value] of Object.entries(environmentOf(containersOf(spec)[0]))) {
        if (name.endsWith('_BLOBS_URL')) found[name] = value;
      }
    }
    return found;
  };
  expect(await stores('s3://bucket')).toEqual({
    ASSAY_REGISTRY_BLOBS_URL: 's3://bucket/registry',
    ASSAY_MONITORING_BLOBS_URL: 's3://bucket/monitoring',
  });
  expect(await stores('az://container/prefix/?endpoint=https://store')).toEqual({
    ASSAY_REGISTRY_BLOBS_URL: 'az://container/prefix/registry?endpoint=https://store',
    ASSAY_MONITORING_BLOBS_URL: 'az://container/prefix/monitoring?endpoint=https://store',
  });
});

test('a GPU pod asks for its GPUs, in the image that has CUDA, and for the labels and taints of its cloud', async () => {
  const pod = async (preset: string): Promise<Json> =>
    find(await render({ preset }), 'Deployment', 'assay-inference-gpu').spec;
  const taken = (spec: Json): Json => ({
    selector: at(spec, 'template', 'spec', 'nodeSelector'),
    taints: listAt(spec, 'template', 'spec', 'tolerations').map((one) => at(one, 'key')),
    image: String(at(spec, 'template', 'spec', 'containers', 0, 'image')).replace(/:.*/, ''),
    gpus: at(spec, 'template', 'spec', 'containers', 0, 'resources', 'limits', 'nvidia.com/gpu'),
  });
  expect(taken(await pod('gpu-gke'))).toEqual({
    selector: { 'cloud.google.com/gke-accelerator': 'nvidia-l4' },
    taints: ['nvidia.com/gpu'],
    image: 'assay/inference-gpu',
    gpus: 1,
  });
  expect(taken(await pod('gpu-aks'))).toEqual({
    selector: { 'kubernetes.azure.com/accelerator': 'nvidia' },
    taints: ['nvidia.com/gpu', 'sku'],
    image: 'assay/inference-gpu',
    gpus: 1,
  });
  expect(taken(await pod('gpu-eks'))).toEqual({
    selector: { 'nvidia.com/gpu.product': 'NVIDIA-L4' },
    taints: ['nvidia.com/gpu'],
    image: 'assay/inference-gpu',
    gpus: 1,
  });
});

test.each(PRESETS)('the launcher of jobs accepts what the preset %s says of their pods', async (preset) => {
  const files = (await render({ preset }))
    .filter(({ kind }) => kind === 'ConfigMap')
    .flatMap(({ data }) => data?.['jobs.yaml'] ?? []);
  expect(files.length).toBe(preset === 'standalone' || preset === 'monitored' ? 0 : 2);
  for (const file of files) expect(matches(KubernetesJobSettings, readYaml(file)), file).toBe(true);
});

test('jobs that ask for a GPU are told the labels and taints of the pool', async () => {
  const objects = await render({ preset: 'gpu-eks-karpenter' });
  const jobs = readYaml(find(objects, 'ConfigMap', 'assay-training').data?.['jobs.yaml'] ?? '');
  expect(at(jobs, 'gpu')).toEqual({
    image: expect.stringMatching(/^assay\/training-gpu:/),
    nodeSelector: { 'karpenter.k8s.aws/instance-gpu-name': 'l4' },
    tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
  });
  expect(at(jobs, 'namespace')).toBe('scoring-jobs');
});

test('false, 0 and "" in the values are taken at their word', async () => {
  const objects = await render({
    preset: 'distributed',
    set: ['batch.enabled=false', 'inference.autoscaling.enabled=false', 'inference.drainDelaySeconds=0'],
  });
  expect(objects.filter(({ metadata }) => metadata.name === 'assay-batch')).toEqual([]);
  const inference = find(objects, 'Deployment', 'assay-inference');
  expect(at(inference, 'spec', 'replicas')).toBe(2);
  expect(environmentOf(at(inference, 'spec', 'template', 'spec', 'containers', 0)).ASSAY_INFERENCE_DRAIN_DELAY_MS).toBe(
    '0',
  );
});

test.each<[string, string, string]>([
  ['distributed', 'Deployment', 'assay-inference'],
  ['gpu-gke', 'Deployment', 'assay-inference-gpu'],
  ['standalone', 'StatefulSet', 'assay'],
])('in the preset %s gRPC has one port in pod, setting and Service, or none at all', async (preset, kind, name) => {
  const component = { 'assay-inference': 'inference', 'assay-inference-gpu': 'inferenceGpu', assay: 'standalone' }[
    name
  ];
  const grpcOf = async (enabled: boolean): Promise<Json[]> => {
    const objects = await render({ preset, set: [`${component}.grpc.enabled=${enabled}`] });
    const container = at(find(objects, kind, name), 'spec', 'template', 'spec', 'containers', 0);
    const isGrpc = (port: Json): boolean => at(port, 'name') === 'grpc';
    return [
      listAt(container, 'ports').filter(isGrpc),
      environmentOf(container).ASSAY_INFERENCE_GRPC_PORT,
      listAt(find(objects, 'Service', name), 'spec', 'ports').filter(isGrpc),
    ];
  };
  expect(await grpcOf(true)).toEqual([
    [{ name: 'grpc', containerPort: 9001 }],
    '9001',
    [{ name: 'grpc', port: 9001, targetPort: 'grpc', appProtocol: 'kubernetes.io/h2c' }],
  ]);
  expect(await grpcOf(false)).toEqual([[], undefined, []]);
});

test('stream scoring has a larger young generation than its image, and nothing else sets one', async () => {
  const pods = podsOf(await render({ preset: 'streaming' }));
  const optionsOf = (spec: unknown) =>
    listAt(spec, 'containers', 0, 'env')
      .filter((each) => at(each, 'name') === 'NODE_OPTIONS')
      .map((each) => at(each, 'value'));
  const found = pods
    .map(({ from, spec }) => [from, optionsOf(spec)] as const)
    .filter(([, options]) => options.length > 0);
  expect(found).toEqual([['Deployment/assay-streaming', ['--max-semi-space-size=16']]]);
});

test('stream scoring runs the pipelines that the values name, and where they name none those of the registry', async () => {
  const settings = async (values: ChartValues) => {
    const objects = await render(values);
    const pod = podsOf(objects).find(({ from }) => from === 'Deployment/assay-streaming');
    const names = listAt(pod?.spec, 'containers', 0, 'env').map((each) => at(each, 'name'));
    const files = Object.keys(find(objects, 'ConfigMap', 'assay-streaming').data ?? {});
    return [
      names.filter((name) => String(name).includes('PIPELINES')),
      files.filter((file) => file.startsWith('pipelines')),
    ];
  };
  expect(await settings({ preset: 'streaming' })).toEqual([['ASSAY_INFERENCE_PIPELINES_FILE'], ['pipelines.yaml']]);
  expect(await settings({ preset: 'distributed', set: ['streaming.enabled=true'] })).toEqual([
    ['ASSAY_INFERENCE_REGISTRY_PIPELINES'],
    [],
  ]);
});
