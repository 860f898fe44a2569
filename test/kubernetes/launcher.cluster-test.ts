/** The Kubernetes launcher on a real API server, scheduler, Job controller and kubelet. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeLauncher, exitOf, logged, logOf, observeUntil } from '../../packages/jobs/src/conformance.ts';
import type { Behaviour } from '../../packages/jobs/src/conformance-job.ts';
import type { KubernetesLauncher, LaunchRequest } from '../../packages/jobs/src/index.ts';
import { kubectl } from '../cluster/cluster.ts';
import {
  apply,
  type ClusterObject,
  createNamespace,
  deleteNamespace,
  holds,
  objects,
  openLauncher,
  podsOf,
  startCuttableWay,
  writeKubeconfig,
} from './in-cluster.ts';
import { record } from './recorded.ts';

const run = Date.now().toString(36); // names of this run: a cluster that is kept has those of others
const WAIT_MS = 90_000;

describeLauncher('Kubernetes', async () => {
  const namespace = `launcher-suite-${run}`;
  await createNamespace(namespace);
  const opened: KubernetesLauncher[] = [];
  const open = async () => {
    const launcher = await openLauncher({ namespace });
    opened.push(launcher);
    return launcher;
  };
  return {
    launcher: await open(),
    reopen: open,
    async cleanup() {
      for (const launcher of opened) await launcher.close();
      await deleteNamespace(namespace);
    },
  };
});

describe('a launch on Kubernetes', () => {
  const namespace = `launcher-${run}`;
  let launcher: KubernetesLauncher;
  let launches = 0;
  beforeAll(async () => {
    await createNamespace(namespace);
    launcher = await openLauncher({ namespace });
  });
  afterAll(async () => {
    await launcher.close();
    await deleteNamespace(namespace);
  });

  async function launch(behaviour: Behaviour, more: Partial<LaunchRequest> = {}, with_ = launcher): Promise<string> {
    const id = `job_${++launches}.1`;
    await with_.launch({ id, spec: behaviour, ...more });
    return id;
  }
  const waitingFor = (id: string, words: RegExp, of = launcher) =>
    observeUntil(of, id, (seen) => seen.state === 'waiting' && words.test(seen.reason));

  it("waits with the scheduler's own words while no node can take it, and can be cancelled then", async () => {
    const id = await launch({ do: 'print', text: '' }, { resources: { gpus: 64 } });
    await waitingFor(id, /no node can take it: .*Insufficient nvidia\.com\/gpu/);
    await record(namespace, 'unschedulable', id);
    await launcher.cancel(id, { graceMs: 0 });
    expect(await launcher.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
  });

  it('is put on the GPU pool when it asks for a GPU, and kept off it when not', async () => {
    const withGpu = await launch({ do: 'print', text: '' }, { resources: { gpus: 1 } });
    const without = await launch({ do: 'print', text: '' });
    expect((await exitOf(launcher, withGpu)).outcome).toBe('succeeded'); // that node plays its pods
    expect((await exitOf(launcher, without)).outcome).toBe('succeeded');
    expect((await podsOf(namespace, withGpu)).map(({ spec }) => spec?.nodeName)).toEqual(['gpu-1']);
    expect((await podsOf(namespace, without)).map(({ spec }) => spec?.nodeName)).toEqual(['assay-node']);
  });

  it('waits with the words of a quota that is used up, and runs when there is room', async () => {
    const small = `launcher-quota-${run}`;
    await createNamespace(small);
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace: small } };
    await apply({ ...quota, spec: { hard: { pods: '0' } } });
    const within = await openLauncher({ namespace: small });
    try {
      const id = await launch({ do: 'print', text: '' }, {}, within);
      await waitingFor(id, /no pod can be made: .*exceeded quota/, within);
      await record(small, 'quota', id);
      await apply({ ...quota, spec: { hard: { pods: '5' } } });
      expect((await exitOf(within, id)).outcome).toBe('succeeded');
    } finally {
      await within.close();
      await deleteNamespace(small);
    }
  });

  it('has failed when its image is not there, and says which', async () => {
    const imageless = await openLauncher({
      namespace,
      settings: { image: 'localhost/assay/nothing:1', imagePullPolicy: 'IfNotPresent', maxStartSeconds: 5 },
    });
    const id = await launch({ do: 'print', text: '' }, {}, imageless);
    await waitingFor(id, /the image localhost\/assay\/nothing:1 cannot be had/, imageless);
    await record(namespace, 'image-missing', id);
    const exit = await exitOf(imageless, id);
    expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'configuration', retryable: false } });
    expect(exit).toHaveProperty('failure.message', expect.stringContaining('localhost/assay/nothing:1'));
    await imageless.close();
  });

  it('has run out of memory when its container is killed at its limit, which it names', async () => {
    const id = await launch({ do: 'fill-native-memory' }, { resources: { memoryBytes: 128 * 1024 * 1024 } });
    const exit = await exitOf(launcher, id);
    await record(namespace, 'out-of-memory', id);
    expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'out-of-memory', retryable: false } });
    expect(exit).toHaveProperty('failure.message', expect.stringMatching(/limit of (128Mi|134217728)/));
  });

  it('is evicted when it writes more than it may, which another try would not mend', async () => {
    const narrow = await openLauncher({ namespace, settings: { workSizeLimit: '10Mi' } });
    const id = await launch({ do: 'fill-the-disk', sizeBytes: 50 * 1024 * 1024 }, {}, narrow);
    const exit = await exitOf(narrow, id);
    await record(namespace, 'evicted-own-limit', id);
    expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'configuration', retryable: false } });
    expect(exit).toHaveProperty('failure.message', expect.stringContaining('evicted'));
    await narrow.close();
  });

  it('goes on in another pod when its node is drained', async () => {
    const id = await launch({ do: 'wait' });
    await logged(launcher, id, 'waiting');
    const [first] = await podsOf(namespace, id);
    const name = first?.metadata.name ?? '';
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
    await kubectl(['create', '--raw', `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, '--filename', '-'], {
      input: JSON.stringify(eviction),
    });
    await expect
      .poll(async () => (await podsOf(namespace, id)).filter((pod) => pod.metadata.name !== name).length, {
        timeout: WAIT_MS,
      })
      .toBe(1);
    await observeUntil(launcher, id, ({ state }) => state === 'running');
    await record(namespace, 'evicted-and-replaced', id);
    await launcher.cancel(id, { graceMs: 10_000 });
    expect(await launcher.observe(id)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
  });

  it('is lost, and worth another try, when somebody removes its pod', async () => {
    const id = await launch({ do: 'wait' });
    await logged(launcher, id, 'waiting');
    const [pod] = await podsOf(namespace, id);
    await kubectl(['--namespace', namespace, 'delete', 'pod', pod?.metadata.name ?? '', '--wait=false']);
    expect(await exitOf(launcher, id)).toMatchObject({ outcome: 'failed', failure: { kind: 'lost', retryable: true } });
    await record(namespace, 'pod-removed', id);
  });

  it.each([
    ['configuration', { do: 'fail', as: 'configuration' }],
    ['data', { do: 'fail', as: 'data' }],
    ['code', { do: 'fail', as: 'bug' }],
    ['exit-3', { do: 'exit', code: 3 }],
    ['crash', { do: 'signal-itself', signal: 'SIGSEGV' }],
    ['killed', { do: 'signal-itself', signal: 'SIGKILL' }],
    ['heap-full', { do: 'fill-the-heap' }],
    ['succeeded', { do: 'print', text: '' }],
  ] as const)('ends once, whatever the reason: %s', async (name, behaviour) => {
    const id = await launch(behaviour);
    await exitOf(launcher, id);
    expect(await podsOf(namespace, id)).toHaveLength(1);
    await record(namespace, name, id);
  });

  it('has its time limit counted in the pod, whose log stays', async () => {
    const id = await launch({ do: 'wait' }, { timeoutMs: 3000 });
    expect(await exitOf(launcher, id)).toMatchObject({ outcome: 'failed', failure: { kind: 'deadline' } });
    expect(await logOf(launcher, id)).toContain('waiting');
    await record(namespace, 'deadline', id);
  });

  it('has its secrets in a Secret of its own, which goes with it, and nowhere else', async () => {
    const planted = 'planted-token-1';
    const id = await launch({ do: 'print-environment' }, { environment: { ASSAY_JOB_TOKEN: planted } });
    await exitOf(launcher, id);
    expect(await logOf(launcher, id)).toContain(planted); // the job has it
    for (const kind of ['jobs', 'pods', 'events', 'configmaps']) {
      expect(await kubectl(['--namespace', namespace, 'get', kind, '--output', 'json'])).not.toContain(planted);
    }
    const isOfLaunch = ({ metadata }: ClusterObject) => metadata.annotations?.['assay.dev/launch'] === id;
    const holding = async () => (await objects('secrets', namespace)).filter((secret) => holds(secret, planted));
    const job = (await objects('jobs', namespace)).find(isOfLaunch);
    const owners = (await holding()).map(({ metadata }) => metadata.ownerReferences?.[0]?.uid);
    expect(owners).toEqual([job?.metadata.uid]);
    await kubectl(['--namespace', namespace, 'delete', 'job', job?.metadata.name ?? '']);
    await expect.poll(holding, { timeout: WAIT_MS }).toEqual([]);
    expect(await launcher.observe(id)).toEqual({ state: 'absent' });
  });

  it('has no way to the API server: no token is mounted', async () => {
    const id = await launch({ do: 'print-environment' });
    await exitOf(launcher, id);
    const text = await kubectl(['--namespace', namespace, 'get', 'pods', '--output', 'json']);
    expect(text).not.toContain('serviceAccountToken');
    expect(text).not.toContain('/var/run/secrets/kubernetes.io');
  });

  it('is followed to its end while the API server is away for a moment, and the watch goes on', async () => {
    const way = await startCuttableWay();
    const { path, remove } = await writeKubeconfig({ server: way.url });
    const through = await openLauncher({ namespace, kubeconfig: path });
    const heard: string[] = [];
    through.onChange((id) => heard.push(id));
    try {
      const id = await launch({ do: 'print-slowly', lines: 300 }, {}, through);
      const followed = logOf(through, id, { follow: true });
      await logged(launcher, id, 'line 20');
      way.cut();
      await expect(through.observe(id)).rejects.toThrow('the Kubernetes API cannot be reached');
      await delay(1500);
      way.restore();
      expect(await followed).toBe(Array.from({ length: 300 }, (_, line) => `line ${line}\n`).join(''));
      expect((await exitOf(through, id)).outcome).toBe('succeeded');
      const later = await launch({ do: 'print', text: '' });
      await expect.poll(() => heard, { timeout: WAIT_MS }).toContain(later);
    } finally {
      await through.close();
      await way.close();
      await remove();
    }
  });

  describe('with the rights of docs/jobs.md', () => {
    const account = { name: 'training', namespace };
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'launcher', namespace },
      rules: [
        { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create', 'get', 'list', 'watch', 'patch', 'delete'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'delete'] },
        { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
        { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'update'] },
        { apiGroups: [''], resources: ['events'], verbs: ['list'] },
      ],
    };
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'launcher', namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'launcher' },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    };
    let theirs: KubernetesLauncher;
    let removeConfig: () => Promise<void>;
    beforeAll(async () => {
      await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
      const token = (await kubectl(['--namespace', namespace, 'create', 'token', account.name])).trim();
      const { path, remove } = await writeKubeconfig({ token });
      removeConfig = remove;
      theirs = await openLauncher({ namespace, kubeconfig: path });
    });
    afterAll(async () => {
      await theirs.close();
      await removeConfig();
    });

    it('says which right is missing, and whose', async () => {
      const refused = theirs.launch({ id: 'job_forbidden.1', spec: {} });
      await expect(refused).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
      await expect(refused).rejects.toThrow(`may not create jobs.batch in namespace ${namespace} (403)`);
      await expect(refused).rejects.toThrow(`system:serviceaccount:${namespace}:training`);
    });

    it('launches, watches, reads and cancels', async () => {
      await apply(role, binding);
      const heard: string[] = [];
      theirs.onChange((id) => heard.push(id));
      const printed = await launch({ do: 'print', text: 'hello' }, {}, theirs);
      expect((await exitOf(theirs, printed)).outcome).toBe('succeeded');
      expect(await logOf(theirs, printed)).toContain('hello');
      await expect.poll(() => heard, { timeout: WAIT_MS }).toContain(printed);
      const waiting = await launch({ do: 'wait' }, {}, theirs);
      await logged(theirs, waiting, 'waiting');
      await theirs.cancel(waiting, { graceMs: 10_000 });
      expect(await theirs.observe(waiting)).toMatchObject({ exit: { outcome: 'cancelled' } });
      const queued = await launch({ do: 'print', text: '' }, { resources: { gpus: 64 } }, theirs);
      await waitingFor(queued, /Insufficient nvidia/, theirs);
      await theirs.cancel(queued, { graceMs: 0 });
    });
  });
});
