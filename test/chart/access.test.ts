import { KEY_TEXT_PATTERN } from '@assay/contracts';
import { describe, expect, test } from 'vitest';
import { at, find, type Json, type KubernetesObject, listAt, PRESETS, podsOf, render } from './chart.ts';

/** `assay-inference → assay-registry:8101`, for each pair of pods that a policy of the caller and one of the called allow. */
function flowsOf(objects: readonly KubernetesObject[]): string[] {
  const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
  const flows: string[] = [];
  for (const caller of policies) {
    for (const rule of listAt(caller, 'spec', 'egress')) {
      const ports = listAt(rule, 'ports').map((port) => at(port, 'port'));
      const peers = listAt(rule, 'to');
      if (peers.length === 0) flows.push(...ports.map((port) => `${caller.metadata.name} → anywhere:${port}`));
      for (const peer of peers) {
        const cidr = at(peer, 'ipBlock', 'cidr');
        const component = at(peer, 'podSelector', 'matchLabels', 'app.kubernetes.io/component');
        const to = cidr ?? (component === undefined ? 'any pod of the release' : `assay-${component}`);
        flows.push(...ports.map((port) => `${caller.metadata.name} → ${to}:${port}`));
      }
    }
  }
  return flows.filter((flow) => !flow.endsWith(':53')).sort();
}

describe('the network', () => {
  test.each(PRESETS)(
    'in the preset %s denies what is not allowed, in both directions, to every pod',
    async (preset) => {
      const objects = await render({ preset });
      const deny = find(objects, 'NetworkPolicy', 'assay-deny');
      expect(deny.spec).toMatchObject({ policyTypes: ['Ingress', 'Egress'] });
      expect([at(deny, 'spec', 'ingress'), at(deny, 'spec', 'egress')]).toEqual([undefined, undefined]);
      const selected = Object.entries(at(deny, 'spec', 'podSelector', 'matchLabels') ?? {});
      expect(selected.length).toBeGreaterThan(0);
      for (const object of objects) {
        const labels =
          object.kind === 'Pod' ? object.metadata.labels : at(object, 'spec', 'template', 'metadata', 'labels');
        if (labels !== undefined) expect(labels).toMatchObject(Object.fromEntries(selected));
      }
    },
  );

  test('allows a distributed installation these flows and no other', async () => {
    expect(flowsOf(await render({ preset: 'streaming' }))).toEqual(
      [
        'assay-registry → 10.0.4.0/24:5432',
        'assay-registry → 10.0.5.0/24:9093',
        'assay-registry → anywhere:443',
        'assay-inference → assay-registry:8101',
        'assay-inference → 10.0.5.0/24:9093',
        'assay-streaming → assay-registry:8101',
        'assay-streaming → 10.0.5.0/24:9093',
        ...['training', 'batch'].flatMap((service) => [
          `assay-${service} → assay-registry:8101`,
          `assay-${service} → 10.0.4.0/24:5432`,
          `assay-${service} → 10.0.5.0/24:9093`,
          `assay-${service} → anywhere:443`, // the API server
          `assay-${service} → anywhere:6443`,
        ]),
        'assay-monitoring → assay-registry:8101',
        'assay-monitoring → 10.0.4.0/24:5432',
        'assay-monitoring → 10.0.5.0/24:9093',
        'assay-monitoring → anywhere:443',
        'assay-job → assay-training:8103',
        'assay-job → assay-batch:8104',
        'assay-test → any pod of the release:8101',
        'assay-test → any pod of the release:8102',
      ].sort(),
    );
  });

  test('lets every caller in where it may go out to, and nobody into stream scoring', async () => {
    const objects = await render({ preset: 'streaming' });
    const callers = (name: string): Json[] =>
      listAt(find(objects, 'NetworkPolicy', name), 'spec', 'ingress', 0, 'from').map(
        (peer) => at(peer, 'podSelector', 'matchLabels', 'app.kubernetes.io/component') ?? peer,
      );
    const anyPodHere = { podSelector: {} };
    const jobs = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'scoring-jobs' } } };
    expect(callers('assay-registry').sort()).toEqual(
      [anyPodHere, 'batch', 'inference', 'monitoring', 'streaming', 'training', 'test'].sort(),
    );
    expect(callers('assay-inference')).toEqual([anyPodHere, 'test']);
    expect(callers('assay-training')).toEqual([anyPodHere, jobs]);
    expect(callers('assay-batch')).toEqual([anyPodHere, jobs]);
    expect(at(find(objects, 'NetworkPolicy', 'assay-streaming'), 'spec', 'ingress')).toBeUndefined();
  });

  test('lets clients in for gRPC, and nobody else', async () => {
    const port = (name: string, objects: readonly KubernetesObject[]): Json[] =>
      listAt(find(objects, 'NetworkPolicy', name), 'spec', 'ingress').filter(
        (rule) => at(rule, 'ports', 0, 'port') === 9001,
      );
    const rule = { from: [{ podSelector: {} }], ports: [{ protocol: 'TCP', port: 9001 }] };
    expect(port('assay-inference', await render({ preset: 'distributed' }))).toEqual([rule]);
    expect(port('assay-standalone', await render({ preset: 'standalone' }))).toEqual([]);
    const enabled = await render({ preset: 'standalone', set: ['standalone.grpc.enabled=true'] });
    expect(port('assay-standalone', enabled)).toEqual([rule]);
  });

  test.each([
    ['distributed', 'assay-registry'],
    ['standalone', 'assay-standalone'],
  ] as const)('of %s lets webhooks out of the registry to the receivers that are named', async (preset, registry) => {
    const set = ['networkPolicy.webhooks.peers[0].ipBlock.cidr=10.9.0.0/16', 'networkPolicy.webhooks.ports={443,8443}'];
    const flows = flowsOf(await render({ preset, set })).filter((flow) => flow.includes('10.9.0.0/16'));
    expect(flows).toEqual([`${registry} → 10.9.0.0/16:443`, `${registry} → 10.9.0.0/16:8443`]);
  });

  test('lets Prometheus in where it is named', async () => {
    const policy = find(await render({ preset: 'monitored' }), 'NetworkPolicy', 'assay-standalone');
    expect(listAt(policy, 'spec', 'ingress', 0, 'from')).toContainEqual({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } },
    });
  });

  test('can be left to the cluster', async () => {
    const objects = await render({ preset: 'distributed', set: ['networkPolicy.enabled=false'] });
    expect(objects.filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([]);
  });
});

describe('the API server', () => {
  test('is open to training and batch only, in the namespace of jobs, where secrets can be written and not read', async () => {
    const objects = await render({ preset: 'distributed' });
    expect(objects.filter(({ kind }) => /^Cluster/.test(kind))).toEqual([]);
    const roles = objects.filter(({ kind }) => kind === 'Role');
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['scoring-jobs']);
    expect(roles.map(({ rules }) => rules)).toEqual([
      [
        {
          apiGroups: ['batch'],
          resources: ['jobs'],
          verbs: ['create', 'get', 'list', 'watch', 'patch', 'delete'],
        },
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'delete'] },
        { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
        { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'update'] },
        { apiGroups: [''], resources: ['events'], verbs: ['list'] },
      ],
    ]);
    const bindings = objects.filter(({ kind }) => kind === 'RoleBinding');
    expect(bindings.map(({ metadata }) => metadata.namespace)).toEqual(['scoring-jobs']);
    const subjects = bindings.flatMap((binding) => listAt(binding, 'subjects').map((subject) => at(subject, 'name')));
    expect(subjects.sort()).toEqual(['assay-batch', 'assay-training']);
  });

  test('is closed to a standalone installation', async () => {
    const objects = await render({ preset: 'standalone' });
    expect(objects.filter(({ kind }) => /Role/.test(kind))).toEqual([]);
  });
});

describe('secrets', () => {
  test('are none in the namespace of jobs', async () => {
    const objects = await render({ preset: 'streaming' });
    const there = objects.filter(({ metadata }) => metadata.namespace === 'scoring-jobs').map(({ kind }) => kind);
    expect(new Set(there)).toEqual(new Set(['ServiceAccount', 'Role', 'RoleBinding', 'NetworkPolicy']));
    const namespace = find(objects, 'Namespace', 'scoring-jobs');
    expect(namespace.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
  });

  test('are made as one Secret, or referenced: then none is made', async () => {
    const made = find(await render({ preset: 'standalone' }), 'Secret', 'assay-keys');
    expect(Object.keys(made.data ?? {}).sort()).toEqual([
      'admin',
      'batch',
      'inference',
      'metrics',
      'monitoring',
      'training',
    ]);
    for (const value of Object.values(made.data ?? {})) {
      expect(Buffer.from(value, 'base64').toString()).toMatch(new RegExp(KEY_TEXT_PATTERN));
    }
    expect(new Set(Object.values(made.data ?? {})).size).toBe(6);
    const objects = await render({ preset: 'standalone', set: ['keys.existingSecret=ours'] });
    expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    expect(JSON.stringify(objects)).toContain('"secretName":"ours"');
  });

  test('reach a pod as far as it needs them: all keys the registry, its own any other service', async () => {
    const objects = await render({ preset: 'streaming' });
    for (const { from, spec } of podsOf(objects)) {
      const keys = listAt(spec, 'volumes').filter((volume) => at(volume, 'name') === 'keys');
      const entries = listAt(keys[0], 'secret', 'items').map((item) => at(item, 'key'));
      const wanted = {
        'Deployment/assay-registry': [],
        'Deployment/assay-streaming': ['inference'],
        'Pod/assay-test': ['admin'],
      };
      const own = from.replace('Deployment/assay-', '');
      expect([from, entries]).toEqual([from, Object.entries(wanted).find(([name]) => name === from)?.[1] ?? [own]]);
    }
  });

  test('are in no environment as plain text', async () => {
    for (const { spec } of podsOf(await render({ preset: 'streaming' }))) {
      for (const container of listAt(spec, 'containers')) {
        for (const variable of listAt(container, 'env')) {
          const [name, value] = [String(at(variable, 'name')), at(variable, 'value')];
          if (/(PASSWORD|SECRET|TOKEN|DATABASE_URL)$/.test(name)) expect([name, value]).toEqual([name, undefined]);
        }
      }
    }
  });
});
