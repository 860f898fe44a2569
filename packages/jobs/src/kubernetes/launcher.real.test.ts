/** The launcher on the wire, against a small API server on loopback. On a real one: test/kubernetes. */
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logOf, observeUntil } from '../conformance.ts';
import { type FakeKubernetes, type FakeObject, startFakeKubernetes } from '../fixtures/fake-kubernetes.ts';
import { type KubernetesLauncher, openKubernetesLauncher } from '../kubernetes-launcher.ts';
import { jobName } from './names.ts';
import type { KubernetesJobSettings } from './settings.ts';

const ID = 'job_a.1';
const NAME = jobName('training', ID);
const SPEC = { model: 'flights' };
const request = { id: ID, spec: SPEC, environment: { ASSAY_JOB_TOKEN: 'token-of-this-job' } };

let api: FakeKubernetes;
let opened: KubernetesLauncher[] = [];
beforeEach(async () => {
  api = await startFakeKubernetes();
  opened = [];
});
afterEach(async () => {
  for (const launcher of opened) await launcher.close();
  await api.stop();
});

async function open(settings: Partial<KubernetesJobSettings> = {}, name = 'training'): Promise<KubernetesLauncher> {
  const launcher = await openKubernetesLauncher({
    name,
    settings: { namespace: 'assay-jobs', image: 'assay/training:1', ...settings },
    entry: new URL('../conformance-job.ts', import.meta.url),
    kubeConfig: api.kubeConfig(),
    log: { warn: () => undefined },
  });
  opened.push(launcher);
  return launcher;
}

/** The controller makes a pod for the Job; its status is what the test says. */
function setPod(status: object, more: { name?: string; createdAt?: string; nodeName?: string } = {}): string {
  const job = api.get('jobs', NAME);
  const name = more.name ?? `${NAME}-x1`;
  api.set('pods', {
    metadata: {
      name,
      creationTimestamp: more.createdAt ?? '2026-11-25T10:00:00Z',
      labels: { 'batch.kubernetes.io/controller-uid': job?.metadata.uid ?? '', 'assay.dev/launcher': 'training' },
      annotations: { 'assay.dev/launch': ID },
    },
    spec: { nodeName: more.nodeName ?? 'node-1', containers: [{ name: 'job', image: 'assay/training:1' }] },
    status,
  });
  return name;
}

function endJob(type: 'Complete' | 'Failed', reason = ''): void {
  const job = api.get('jobs', NAME);
  if (job === undefined) throw new Error('there is no Job');
  api.set('jobs', { ...job, status: { conditions: [{ type, status: 'True', reason }] } });
}

const containerIs = (state: object) => ({ containerStatuses: [{ name: 'job', state }] });
const running = { phase: 'Running', ...containerIs({ running: { startedAt: '2026-11-25T10:00:05Z' } }) };
const succeeded = {
  phase: 'Succeeded',
  ...containerIs({
    terminated: {
      exitCode: 0,
      reason: 'Completed',
      message: '{"outcome":"succeeded","endedAtMs":1000}',
      startedAt: '2026-11-25T10:00:05Z',
    },
  }),
};

describe('launching', () => {
  it('makes a Job, then its Secret, and lets the Job go when both are there', async () => {
    const launcher = await open();
    await launcher.launch(request);
    const writes = api.calls.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
    const secret = api.all('secrets')[0]?.metadata.name;
    expect(writes).toEqual([
      'POST /apis/batch/v1/namespaces/assay-jobs/jobs',
      'POST /api/v1/namespaces/assay-jobs/secrets',
      `PATCH /apis/batch/v1/namespaces/assay-jobs/jobs/${NAME}`,
    ]);
    expect(api.get('jobs', NAME)).toMatchObject({ spec: { suspend: false } });
    const owners = api.get('secrets', secret ?? '')?.metadata.ownerReferences;
    expect(owners).toEqual([expect.objectContaining({ uid: api.get('jobs', NAME)?.metadata.uid })]);
    expect(await launcher.observe(ID)).toEqual({ state: 'waiting', reason: 'its pod is being made' });
  });

  it('leaves the Job suspended for Kueue, and says who holds it', async () => {
    const launcher = await open({ queueName: 'gpu-queue' });
    await launcher.launch(request);
    expect(api.get('jobs', NAME)).toMatchObject({ spec: { suspend: true } });
    const reason = 'held by the queue gpu-queue until there is room';
    expect(await launcher.observe(ID)).toEqual({ state: 'waiting', reason });
    await launcher.cancel(ID, { graceMs: 0 });
    expect(api.all('jobs')).toEqual([]);
  });

  it('finds the Job that an earlier launch of that id made, and makes no other', async () => {
    await (await open()).launch(request);
    const before = structuredClone(api.get('jobs', NAME));
    await (await open()).launch({ ...request, spec: { model: 'another' } });
    expect(api.all('jobs')).toEqual([before]);
    expect(api.all('secrets')).toHaveLength(1);
  });

  it.each([
    ['after its Job', (call: { path: string }) => call.path.endsWith('/secrets')],
    ['after its Secret', (call: { method: string }) => call.method === 'PATCH'],
  ])('is absent when its service was cut off %s, and launched in full the next time', async (_, cut) => {
    const launcher = await open();
    const message = 'cut off, and so can clean up nothing';
    api.refuse({ code: 403, reason: 'Forbidden', message }, (call) => cut(call) || call.method === 'DELETE');
    await expect(launcher.launch(request)).rejects.toThrow(message);
    expect(api.all('jobs')).toHaveLength(1);
    expect(await launcher.observe(ID)).toEqual({ state: 'absent' });
    await expect(logOf(launcher, ID)).rejects.toThrow(`there is no launch ${ID}`);
    api.allowAll();
    await (await open()).launch({ ...request, environment: { ASSAY_JOB_TOKEN: 'a-newer-token' } });
    expect(await launcher.observe(ID)).toMatchObject({ state: 'waiting' });
    expect(api.all('jobs')).toHaveLength(1);
    expect(api.all('secrets')).toEqual([
      expect.objectContaining({
        stringData: expect.objectContaining({ 'environment.json': expect.stringContaining('a-newer-token') }),
      }),
    ]);
  });

  it('leaves nothing behind when it is refused half way', async () => {
    const launcher = await open();
    api.refuse({ code: 403, reason: 'Forbidden', message: 'no secrets' }, ({ path }) => path.endsWith('/secrets'));
    await expect(launcher.launch(request)).rejects.toThrow('no secrets');
    expect(api.all('jobs')).toEqual([]);
  });

  it('waits out an API server that is not ready', async () => {
    const launcher = await open();
    api.refuse({ code: 503, reason: 'ServiceUnavailable', message: 'starting' }, () => true, 2);
    await launcher.launch(request);
    expect(await launcher.observe(ID)).toMatchObject({ state: 'waiting' });
  });

  it('finds what it has made when the answer was lost', async () => {
    const launcher = await open();
    api.loseAnswers(({ method }) => method !== 'GET', 3);
    await launcher.launch(request);
    expect(await launcher.observe(ID)).toMatchObject({ state: 'waiting' });
    expect([api.all('jobs').length, api.all('secrets').length]).toEqual([1, 1]);
  });

  it('refuses a Job of that name which is not its own', async () => {
    const foreign: FakeObject = { metadata: { name: NAME, annotations: { 'assay.dev/launch': ID } }, spec: {} };
    api.set('jobs', foreign);
    const launcher = await open();
    await expect(launcher.launch(request)).rejects.toThrow(
      `there is a Job ${NAME} in namespace assay-jobs which is not`,
    );
    expect(await launcher.observe(ID)).toEqual({ state: 'absent' });
    await launcher.cancel(ID, { graceMs: 0 });
    expect(api.get('jobs', NAME)).toBeDefined();
  });

  it('puts what is secret into the Secret alone', async () => {
    await (await open()).launch(request);
    const holders = api.calls.filter(({ body }) => body.includes('token-of-this-job')).map(({ path }) => path);
    expect(holders).toEqual(['/api/v1/namespaces/assay-jobs/secrets']);
    expect(api.calls.some(({ path, query }) => `${path}${query}`.includes('token-of-this-job'))).toBe(false);
  });
});

describe('what Kubernetes refuses', () => {
  const mayNot = {
    code: 403,
    reason: 'Forbidden',
    message:
      'jobs.batch is forbidden: User "system:serviceaccount:assay:training" cannot create resource "jobs" in API group "batch" in the namespace "assay-jobs"',
  };

  it.each([
    [
      'a right that is missing',
      mayNot,
      'FAILED_PRECONDITION',
      'may not create jobs.batch in namespace assay-jobs (403)',
    ],
    [
      'a quota that is used up',
      {
        code: 403,
        reason: 'Forbidden',
        message: 'jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1',
      },
      'UNAVAILABLE',
      'the quota of namespace assay-jobs is used up',
    ],
    [
      'a namespace that is not there',
      { code: 404, reason: 'NotFound', message: 'namespaces "assay-jobs" not found' },
      'FAILED_PRECONDITION',
      'there is no namespace assay-jobs',
    ],
    [
      'settings that it does not take',
      { code: 422, reason: 'Invalid', message: 'spec.template.spec.nodeSelector: Invalid value' },
      'INVALID_ARGUMENT',
      'refuses what the settings of jobs say',
    ],
    [
      'a token that it does not know',
      { code: 401, reason: 'Unauthorized', message: 'Unauthorized' },
      'FAILED_PRECONDITION',
      'does not know the token',
    ],
  ] as const)('is said in plain words: %s', async (_, answer, code, words) => {
    api.refuse(answer, ({ method }) => method === 'POST');
    const refused = (await open()).launch(request);
    await expect(refused).rejects.toThrow(words);
    await expect(refused).rejects.toMatchObject({ code });
    await expect(refused).rejects.toBeInstanceOf(AssayError);
  });

  it('is told when the launch is looked at, too', async () => {
    api.refuse({ ...mayNot, message: mayNot.message.replace('create', 'get') }, ({ method }) => method === 'GET');
    await expect((await open()).observe(ID)).rejects.toThrow('may not get jobs.batch in namespace assay-jobs');
  });

  it('says that the API server is away, and where it was looked for', async () => {
    const launcher = await open();
    await api.stop();
    await expect(launcher.observe(ID)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(launcher.observe(ID)).rejects.toThrow(
      /Kubernetes API cannot be reached: http:\/\/127.0.0.1:\d+: .*ECONNREFUSED/,
    );
    await api.start();
    expect(await launcher.observe(ID)).toEqual({ state: 'absent' });
  });

  it('does without the events that it may not read', async () => {
    const launcher = await open();
    await launcher.launch(request);
    api.refuse({ code: 403, reason: 'Forbidden', message: 'no' }, ({ path }) => path.endsWith('/events'));
    expect(await launcher.observe(ID)).toEqual({ state: 'waiting', reason: 'its pod is being made' });
  });
});

describe('observing', () => {
  it('goes from waiting to running to its end', async () => {
    const launcher = await open();
    await launcher.launch(request);
    setPod({ phase: 'Pending', ...containerIs({ waiting: { reason: 'ContainerCreating' } }) });
    expect(await launcher.observe(ID)).toMatchObject({ state: 'waiting' });
    setPod(running);
    expect(await launcher.observe(ID)).toEqual({ state: 'running', startedAtMs: Date.parse('2026-11-25T10:00:05Z') });
    setPod(succeeded);
    expect(await launcher.observe(ID)).toMatchObject({ state: 'running' }); // until its Job has counted it
    endJob('Complete');
    expect(await launcher.observe(ID)).toEqual({ state: 'exited', exit: { outcome: 'succeeded', endedAtMs: 1000 } });
  });

  it('reads the log of a pod that left no word, to say why it failed', async () => {
    const launcher = await open();
    await launcher.launch(request);
    const terminated = { exitCode: 134, reason: 'Error', message: 'at node::Abort', startedAt: '2026-11-25T10:00:05Z' };
    const pod = setPod({ phase: 'Failed', ...containerIs({ terminated }) });
    api.setLog(
      pod,
      'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n at node::Abort',
    );
    endJob('Failed', 'BackoffLimitExceeded');
    expect(await launcher.observe(ID)).toMatchObject({ exit: { failure: { kind: 'out-of-memory' } } });
  });

  it('fails a launch whose image is never found, and ends its pod', async () => {
    const launcher = await open({ maxStartSeconds: 1 });
    await launcher.launch(request);
    const message = 'Back-off pulling image "assay/training:1": not found';
    const pod = setPod(
      { phase: 'Pending', ...containerIs({ waiting: { reason: 'ImagePullBackOff', message } }) },
      { createdAt: new Date(Date.now() - 60_000).toISOString() },
    );
    expect(await launcher.observe(ID)).toEqual({
      state: 'waiting',
      reason: `the image assay/training:1 cannot be had: ImagePullBackOff: ${message}`,
    });
    expect(api.get('pods', pod)).toBeUndefined();
    expect(await launcher.observe(ID)).toEqual({ state: 'waiting', reason: 'it is being stopped' });
    endJob('Failed', 'BackoffLimitExceeded');
    const exit = { outcome: 'failed', failure: { kind: 'configuration', message: expect.stringContaining(message) } };
    expect(await launcher.observe(ID)).toMatchObject({ state: 'exited', exit });
  });

  it('follows a launch to its next pod when the node of the first was taken', async () => {
    const launcher = await open();
    await launcher.launch(request);
    const disrupted = [{ type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' }];
    setPod({ phase: 'Failed', conditions: disrupted, ...containerIs({ terminated: { exitCode: 143 } }) });
    setPod(running, { name: `${NAME}-x2`, createdAt: '2026-11-25T11:00:00Z' });
    expect(await launcher.observe(ID)).toMatchObject({ state: 'running' });
  });
});

describe('cancelling', () => {
  it('ends its pod with the grace that it is given, waits for the end, and keeps the record', async () => {
    const launcher = await open();
    await launcher.launch(request);
    const pod = setPod(running);
    const cancelled = launcher.cancel(ID, { graceMs: 2500 });
    await expect.poll(() => api.get('pods', pod)).toBeUndefined();
    const [deleted] = api.calls.filter(({ method }) => method === 'DELETE');
    expect(JSON.parse(deleted?.body ?? '')).toMatchObject({ gracePeriodSeconds: 3 });
    endJob('Failed', 'BackoffLimitExceeded');
    await cancelled;
    expect(await launcher.observe(ID)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
    expect(await (await open()).observe(ID)).toMatchObject({ state: 'exited', exit: { outcome: 'cancelled' } });
  });

  it('never forgets a pod that still runs: the shortest grace is a second', async () => {
    const launcher = await open();
    await launcher.launch(request);
    setPod(running);
    const cancelled = launcher.cancel(ID, { graceMs: 0 });
    await expect
      .poll(() => api.calls.find(({ method }) => method === 'DELETE')?.body)
      .toContain('"gracePeriodSeconds":1');
    endJob('Failed');
    await cancelled;
  });

  it('lets what had finished before it noticed succeed', async () => {
    const launcher = await open();
    await launcher.launch(request);
    setPod(succeeded);
    const cancelled = launcher.cancel(ID, { graceMs: 0 });
    await expect.poll(() => JSON.stringify(api.get('jobs', NAME))).toContain('assay.dev/verdict');
    endJob('Failed', 'DeadlineExceeded');
    await cancelled;
    expect(await launcher.observe(ID)).toMatchObject({ exit: { outcome: 'succeeded' } });
  });

  it('goes on when the Job changes meanwhile', async () => {
    const launcher = await open();
    await launcher.launch(request);
    setPod(running);
    const message = 'the object has been modified';
    const isVerdict = ({ body }: { body: string }) => body.includes('assay.dev/verdict');
    api.refuse({ code: 409, reason: 'Conflict', message }, isVerdict, 2);
    const cancelled = launcher.cancel(ID, { graceMs: 0 });
    await expect.poll(() => JSON.stringify(api.get('jobs', NAME))).toContain('assay.dev/verdict');
    endJob('Failed');
    await cancelled;
  });
});

describe('the log', () => {
  async function launched(): Promise<KubernetesLauncher> {
    const launcher = await open();
    await launcher.launch(request);
    return launcher;
  }

  it('is empty while the container has not begun', async () => {
    const launcher = await launched();
    setPod({ phase: 'Pending' });
    expect(await logOf(launcher, ID)).toBe('');
  });

  it('is empty while no node has the pod: the API server answers 204', async () => {
    const launcher = await launched();
    api.refuse({ code: 204, reason: '', message: '' }, ({ path }) => path.endsWith('/log'), 1);
    setPod({ phase: 'Pending' });
    expect(await logOf(launcher, ID)).toBe('');
    api.setLog(setPod(succeeded), 'hello\n');
    endJob('Complete');
    expect(await logOf(launcher, ID, { follow: true })).toBe('hello\n');
  });

  it('goes on where it was cut, in the middle of a letter', async () => {
    const launcher = await launched();
    const pod = setPod(running);
    const text = 'Zürich ✈ 1\nZürich ✈ 2\n';
    api.setLog(pod, text, { cutAfterBytes: 2 });
    const followed = logOf(launcher, ID, { follow: true });
    await expect.poll(() => api.calls.filter(({ path }) => path.endsWith('/log')).length).toBeGreaterThan(1);
    setPod(succeeded);
    endJob('Complete');
    expect(await followed).toBe(text);
  });

  it('is not cut short where the last of it was', async () => {
    const launcher = await launched();
    const pod = setPod(succeeded);
    endJob('Complete');
    api.setLog(pod, 'one\ntwo\n', { cutAfterBytes: 4 });
    expect(await logOf(launcher, ID, { follow: true })).toBe('one\ntwo\n');
  });

  it('of a pod that has ended is read once, however long its Job takes to end', async () => {
    const launcher = await launched();
    api.setLog(setPod(succeeded), 'hello\n');
    const followed = logOf(launcher, ID, { follow: true });
    const reads = (path: RegExp) => api.calls.filter((call) => path.test(call.path)).length;
    const before = reads(/jobs/);
    await expect.poll(() => reads(/jobs/), { timeout: 10_000 }).toBeGreaterThan(before + 3);
    endJob('Complete');
    expect(await followed).toBe('hello\n');
    expect(reads(/log$/)).toBe(1);
  });

  it('is let go when its reader leaves', async () => {
    const launcher = await launched();
    api.setLog(setPod(running), 'hello\n', { isOpen: true });
    for await (const chunk of launcher.logs(ID, { follow: true })) {
      expect(Buffer.from(chunk).toString()).toBe('hello\n');
      break;
    }
    await expect.poll(() => api.logsOpen()).toBe(0);
  });

  it('is that of all its pods', async () => {
    const launcher = await launched();
    api.setLog(setPod(running, { createdAt: '2026-11-25T10:00:00Z' }), 'first\n');
    api.setLog(setPod(succeeded, { name: `${NAME}-x2`, createdAt: '2026-11-25T11:00:00Z' }), 'second\n');
    endJob('Complete');
    expect(await logOf(launcher, ID, { follow: true })).toBe('first\nsecond\n');
  });

  it('says why it cannot be read', async () => {
    const launcher = await launched();
    setPod(running);
    api.refuse(
      {
        code: 403,
        reason: 'Forbidden',
        message: 'User "x" cannot get resource "pods/log" in API group "" in the namespace "assay-jobs"',
      },
      ({ path }) => path.endsWith('/log'),
    );
    await expect(logOf(launcher, ID)).rejects.toThrow('may not get pods/log in namespace assay-jobs');
  });
});

describe('the watch', () => {
  async function listening(): Promise<{ launcher: KubernetesLauncher; heard: string[] }> {
    const launcher = await open();
    const heard: string[] = [];
    launcher.onChange((id) => heard.push(id));
    await expect.poll(() => api.watchesOpen()).toBe(2); // of Jobs and of pods
    return { launcher, heard };
  }

  it('tells of a change', async () => {
    const { launcher, heard } = await listening();
    await launcher.launch(request);
    await expect.poll(() => heard).toContain(ID);
  });

  it.each([
    ['its connection is cut', () => api.cutWatches()],
    [
      'the API server has forgotten where it was (410)',
      () => {
        api.forget();
        api.cutWatches();
      },
    ],
  ])('goes on when %s, and tells what may have been missed', async (_, disturb) => {
    const { launcher, heard } = await listening();
    await launcher.launch(request);
    await expect.poll(() => heard).toContain(ID);
    disturb();
    await expect.poll(() => api.watchesOpen(), { timeout: 10_000 }).toBe(2);
    heard.length = 0;
    setPod(running);
    await expect.poll(() => heard, { timeout: 10_000 }).toContain(ID);
  });

  it('lists again when it is answered with 410', async () => {
    const { launcher, heard } = await listening();
    await launcher.launch(request);
    api.refuse({ code: 410, reason: 'Expired', message: 'too old' }, ({ query }) => query.get('watch') === 'true', 4);
    heard.length = 0;
    api.cutWatches();
    await expect.poll(() => heard, { timeout: 10_000 }).toContain(ID); // by the list: nothing has changed since
    await expect.poll(() => api.watchesOpen(), { timeout: 10_000 }).toBe(2);
  });

  it('goes on when the API server was away', async () => {
    const { launcher, heard } = await listening();
    await launcher.launch(request);
    await api.stop();
    await delay(50);
    await api.start();
    await expect.poll(() => api.watchesOpen(), { timeout: 15_000 }).toBe(2);
    heard.length = 0;
    setPod(running);
    await expect.poll(() => heard, { timeout: 10_000 }).toContain(ID);
  });

  it('only hints: without the right to watch, a launch is followed to its end all the same', async () => {
    const mayNot = { code: 403, reason: 'Forbidden', message: 'cannot watch' };
    api.refuse(mayNot, ({ query }) => query.get('watch') === 'true');
    const launcher = await open();
    launcher.onChange(() => undefined);
    await launcher.launch(request);
    setPod(succeeded);
    endJob('Complete');
    expect(await observeUntil(launcher, ID, ({ state }) => state === 'exited')).toMatchObject({ state: 'exited' });
  });

  it('ends when nobody listens any more', async () => {
    const launcher = await open();
    const stop = launcher.onChange(() => undefined);
    await expect.poll(() => api.watchesOpen()).toBe(2);
    stop();
    await expect.poll(() => api.watchesOpen()).toBe(0);
  });
});
