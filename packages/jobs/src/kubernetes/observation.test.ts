/** What a launch's Job and pods say, as a real API server had them (recorded by test/kubernetes), and as others do. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EventObject, JobObject, PodObject } from './objects.ts';
import { exitOfJob, hasEnded, isWordless, newestPod, runningSince, verdictOf } from './observation.ts';
import { classifyPod } from './pod-failure.ts';
import { whatItWaitsFor } from './waiting.ts';

interface Recorded {
  readonly job: JobObject;
  readonly pods: readonly PodObject[];
  readonly events: readonly EventObject[];
}

const file = new URL('../fixtures/recorded-statuses.json', import.meta.url);
const recordings: Readonly<Record<string, Recorded>> = JSON.parse(readFileSync(file, 'utf8'));
const NOW_MS = 1_800_000_000_000;

function recorded(name: string): Recorded {
  const found = recordings[name];
  if (found === undefined) throw new Error(`nothing is recorded as ${name}`);
  return found;
}

const exitOf = (name: string, logTail = '') => {
  const { job, pods } = recorded(name);
  expect(hasEnded(job)).toBe(true);
  return exitOfJob(job, pods, logTail, NOW_MS);
};

describe('a launch that has ended', () => {
  it('has succeeded, with the time of its last word', () => {
    const exit = exitOf('succeeded');
    expect(exit.outcome).toBe('succeeded');
    expect(exit.endedAtMs % 1000).not.toBe(0); // Kubernetes counts whole seconds
  });

  it.each([
    ['configuration', 'configuration', false, 'did you mean "model"?'],
    ['data', 'data', false, 'flights.csv:7: expected 5 columns'],
    ['code', 'internal', false, 'TypeError: x is not a function'],
    ['exit-3', 'internal', false, 'exit code 3'],
    ['crash', 'crash', false, 'SIGSEGV'],
    ['killed', 'lost', true, 'SIGKILL'],
    ['out-of-memory', 'out-of-memory', false, 'at its limit of 128Mi'],
    ['deadline', 'deadline', false, 'longer than the 3000 ms'],
    ['evicted-own-limit', 'configuration', false, 'evicted'],
    ['pod-removed', 'lost', true, ''],
  ] as const)('says why it failed: %s', (name, kind, retryable, words) => {
    const exit = exitOf(name);
    expect(exit).toMatchObject({ outcome: 'failed', failure: { kind, retryable } });
    expect(exit).toHaveProperty('failure.message', expect.stringContaining(words));
  });

  it('has filled its heap when its log says so, which is then worth reading', () => {
    const [pod] = recorded('heap-full').pods;
    expect(pod).toBeDefined();
    expect(isWordless(pod ?? {})).toBe(true);
    const log = 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory';
    expect(exitOf('heap-full', log)).toMatchObject({ outcome: 'failed', failure: { kind: 'out-of-memory' } });
    expect(recorded('code').pods.map(isWordless)).toEqual([false]);
  });

  it('is cancelled when the launcher stopped it, unless it had succeeded before it noticed', () => {
    const { job, pods } = recorded('killed');
    const verdict = JSON.stringify({ outcome: 'cancelled', endedAtMs: 5 });
    const stopped = { ...job, metadata: { ...job.metadata, annotations: { 'assay.dev/verdict': verdict } } };
    expect(exitOfJob(stopped, pods, '', NOW_MS)).toEqual({ outcome: 'cancelled', endedAtMs: 5 });
    expect(exitOfJob(stopped, recorded('succeeded').pods, '', NOW_MS).outcome).toBe('succeeded');
  });

  it('is not taken for stopped by what it cannot read', () => {
    for (const text of ['', 'null', '{}', '{"outcome":"failed","endedAtMs":1}', '[1]']) {
      expect(verdictOf({ metadata: { annotations: { 'assay.dev/verdict': text } } })).toBe(undefined);
    }
  });

  it('is lost when nothing is left of its pod, and took too long when it never had one', () => {
    const failed = (reason: string): JobObject => ({
      metadata: { annotations: { 'assay.dev/timeout-ms': '5000' } },
      status: { conditions: [{ type: 'Failed', status: 'True', reason, lastTransitionTime: '2026-11-25T10:00:00Z' }] },
    });
    expect(exitOfJob(failed('BackoffLimitExceeded'), [], '', NOW_MS)).toMatchObject({
      endedAtMs: Date.parse('2026-11-25T10:00:00Z'),
      failure: { kind: 'lost', retryable: true },
    });
    const waited = exitOfJob(failed('DeadlineExceeded'), [], '', NOW_MS);
    expect(waited).toMatchObject({ failure: { kind: 'deadline' } });
    expect(waited).toHaveProperty('failure.message', expect.stringContaining('waited for room'));
  });
});

/** What no cluster of one node does on demand; the texts are those of the kubelet and the controllers. */
describe('a pod that failed', () => {
  const terminated = (exitCode: number, reason = 'Error', message = '') => ({
    containerStatuses: [{ name: 'job', state: { terminated: { exitCode, reason, message } } }],
  });
  const classify = (status: PodObject['status'] & object) =>
    classifyPod({ pod: { spec: { nodeName: 'node-7' }, status }, timeoutMs: undefined, logTail: '' });

  it.each([
    ['Evicted', 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi.', 'lost', true],
    ['Evicted', 'Usage of EmptyDir volume "work" exceeds the limit "10Mi".', 'configuration', false],
    ['Evicted', 'Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.', 'configuration', false],
    ['NodeLost', 'Node node-7 which was running pod is unresponsive', 'lost', true],
    ['NodeShutdown', 'Pod was rejected as the node is shutting down.', 'lost', true],
    ['Terminated', 'Pod was terminated in response to imminent node shutdown.', 'lost', true],
    ['OutOfcpu', "Node didn't have enough resource: cpu, requested: 4000", 'lost', true],
    [
      'UnexpectedAdmissionError',
      'Allocate failed due to no healthy devices present; cannot allocate nvidia.com/gpu',
      'lost',
      true,
    ],
  ] as const)('with %s: %s', (reason, message, kind, retryable) => {
    const failure = classify({ phase: 'Failed', reason, message });
    expect(failure).toMatchObject({ kind, retryable });
    expect(failure.message).toContain(message);
  });

  it('because its node was taken is lost, on the node that it names', () => {
    const conditions = [
      {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: 'preempting to accommodate a higher priority pod',
      },
    ];
    const failure = classify({ phase: 'Failed', conditions, ...terminated(143) });
    expect(failure).toMatchObject({ kind: 'lost', retryable: true });
    expect(failure.message).toMatch(/node-7.*PreemptionByScheduler: preempting/);
  });

  it.each([
    [
      terminated(127, 'StartError', 'exec: "nodee": executable file not found in $PATH'),
      'configuration',
      'executable file not found',
    ],
    [terminated(128, 'ContainerCannotRun', 'no such file or directory'), 'configuration', 'no such file'],
    [
      terminated(137, 'ContainerStatusUnknown', 'The container could not be located when the pod was terminated'),
      'lost',
      'could not be located',
    ],
    [terminated(64, 'Error', 'unknown key'), 'configuration', 'its log tells more'],
    [terminated(65), 'data', 'its log tells more'],
    [terminated(139), 'crash', 'SIGSEGV'],
    [terminated(1, 'Error', 'Traceback (most recent call last)'), 'internal', 'exit code 1'],
  ])('as its container says: %j', (status, kind, words) => {
    const failure = classify({ phase: 'Failed', ...status });
    expect(failure.kind).toBe(kind);
    expect(failure.message).toContain(words);
  });

  it('says with its last word why, before its exit code', () => {
    const failure = { kind: 'data', message: 'no rows', retryable: false } as const;
    const word = JSON.stringify({ outcome: 'failed', failure });
    expect(classify({ phase: 'Failed', ...terminated(1, 'Error', word) })).toEqual(failure);
  });

  it('at its memory limit is out of memory, whatever its last word', () => {
    const word = '{"outcome":"succeeded"}';
    expect(classify({ phase: 'Failed', ...terminated(137, 'OOMKilled', word) })).toMatchObject({
      kind: 'out-of-memory',
    });
  });
});

describe('a launch that waits', () => {
  const waits = (name: string, nowMs: number, maxStartMs = 300_000) => {
    const { job, pods, events } = recorded(name);
    return whatItWaitsFor({ job, pod: newestPod(pods), events, nowMs, maxStartMs });
  };

  it("says so in the scheduler's own words", () => {
    expect(waits('unschedulable', NOW_MS).reason).toMatch(/^no node can take it: .*Insufficient nvidia\.com\/gpu/);
  });

  it('says that a quota keeps its pod from being made', () => {
    expect(waits('quota', NOW_MS).reason).toMatch(/^no pod can be made: .*exceeded quota/);
  });

  it('is given up when its image was missing for too long, not before', () => {
    const { pods } = recorded('image-missing');
    const madeAtMs = Date.parse(newestPod(pods)?.metadata?.creationTimestamp ?? '');
    const soon = waits('image-missing', madeAtMs + 1000);
    expect(soon.reason).toContain('the image localhost/assay/nothing:1 cannot be had');
    expect(soon.hopeless).toBeUndefined();
    const late = waits('image-missing', madeAtMs + 400_000);
    expect(late.hopeless).toMatchObject({ kind: 'configuration', retryable: false });
  });

  const containerWaits = (reason: string, message: string, events: readonly EventObject[] = []) =>
    whatItWaitsFor({
      job: {},
      pod: {
        metadata: { creationTimestamp: '2026-11-25T10:00:00Z' },
        spec: { nodeName: 'node-7', containers: [{ name: 'job', image: 'x:1' }] },
        status: { containerStatuses: [{ name: 'job', state: { waiting: { reason, message } } }] },
      },
      events,
      nowMs: Date.parse('2026-11-25T10:00:01Z'),
      maxStartMs: 1_000_000,
    });

  it.each(['InvalidImageName', 'ErrImageNeverPull'])('is given up at once where it never mends: %s', (reason) => {
    expect(containerWaits(reason, 'x').hopeless).toMatchObject({ kind: 'configuration' });
  });

  it('says what the kubelet has trouble with', () => {
    const event = (message: string, lastTimestamp: string) => ({
      type: 'Warning',
      reason: 'FailedMount',
      message,
      lastTimestamp,
    });
    const events = [
      event('secret "a" not found', '2026-11-25T10:00:05Z'),
      event('an older one', '2026-11-25T10:00:01Z'),
      { type: 'Normal', reason: 'Scheduled', message: 'assigned', lastTimestamp: '2026-11-25T11:00:00Z' },
    ];
    expect(containerWaits('ContainerCreating', '', events).reason).toBe('secret "a" not found');
    expect(containerWaits('ContainerCreating', '').reason).toBe('its image is pulled and its container made');
  });
});

describe('a launch whose node was drained', () => {
  it('runs in its newest pod', () => {
    const { job, pods } = recorded('evicted-and-replaced');
    expect(hasEnded(job)).toBe(false);
    expect(runningSince(newestPod(pods))).toMatchObject({ state: 'running', startedAtMs: expect.any(Number) });
  });
});
