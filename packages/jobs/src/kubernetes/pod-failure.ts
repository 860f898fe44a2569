/** Why a pod failed, from its status: in the words of the one who owns the job, not of the cluster. */
import type { JobFailure } from '@assay/contracts';
import { classifyProcessEnd } from '../failure.ts';
import { readLaunchWord } from '../launch-word.ts';
import { CONTAINER } from './names.ts';
import { conditionThatHolds, type PodObject, type Terminated } from './objects.ts';

export interface PodEnd {
  readonly pod: PodObject;
  /** As the launch was given it. */
  readonly timeoutMs: number | undefined;
  /** The last of its log; read where its last word says nothing. */
  readonly logTail: string;
}

/** Reasons of the kubelet and the control plane for ending a pod that did nothing wrong. Another node may take it. */
const LOST_WITH_ITS_NODE: ReadonlySet<string> = new Set([
  'NodeLost',
  'NodeShutdown',
  'NodeAffinity',
  'Shutdown',
  'Terminated',
  'Preempting',
  'PreemptionByScheduler',
  'DeletionByTaintManager',
  'DeletionByPodGC',
  'UnexpectedAdmissionError',
]);
/** The kubelet's refusal of a pod that no longer fits: `OutOfcpu`, `OutOfnvidia.com/gpu`. */
const OUT_OF = /^OutOf|^Outof/;
const OWN_LIMIT = /exceeds the (total )?limit|exceeds the limit/i;

export function terminatedOf(pod: PodObject): Terminated | undefined {
  return pod.status?.containerStatuses?.find(({ name }) => name === CONTAINER)?.state?.terminated;
}

/** Of a pod that has ended without success, or was removed. */
export function classifyPod({ pod, timeoutMs, logTail }: PodEnd): JobFailure {
  const { reason = '', message = '' } = pod.status ?? {};
  const terminated = terminatedOf(pod);
  if (reason === 'DeadlineExceeded') return deadline(timeoutMs);
  if (reason === 'Evicted') return evicted(pod, message);
  if (terminated?.reason === 'OOMKilled') return outOfMemory(pod);
  const disrupted = conditionThatHolds(pod.status?.conditions, 'DisruptionTarget');
  if (disrupted !== undefined) return lost(pod, `${disrupted.reason ?? ''}: ${disrupted.message ?? message}`);
  if (LOST_WITH_ITS_NODE.has(reason) || OUT_OF.test(reason)) return lost(pod, `${reason}: ${message}`);
  if (terminated === undefined) return lost(pod, message === '' ? 'its pod was removed before it had ended' : message);
  return classifyTerminated(pod, terminated, logTail);
}

function classifyTerminated(pod: PodObject, terminated: Terminated, logTail: string): JobFailure {
  const { exitCode, reason = '', message = '' } = terminated;
  const word = readLaunchWord(message);
  if (word?.outcome === 'failed') return word.failure;
  switch (reason) {
    case 'ContainerCannotRun':
    case 'StartError':
      return { kind: 'configuration', message: `its container cannot start: ${short(message)}`, retryable: false };
    case 'ContainerStatusUnknown':
      return lost(pod, message);
  }
  // Of a process that was killed for memory the reason above tells; so this one was not.
  return classifyProcessEnd({
    exitCode,
    signal: null,
    killedForMemory: 0,
    logTail: logTail === '' ? message : logTail,
  });
}

export function deadline(timeoutMs: number | undefined): JobFailure {
  const message =
    timeoutMs === undefined ? 'it took too long' : `it took longer than the ${timeoutMs} ms that it was given`;
  return { kind: 'deadline', message, retryable: false };
}

function outOfMemory(pod: PodObject): JobFailure {
  const limit = pod.spec?.containers?.find(({ name }) => name === CONTAINER)?.resources?.limits?.memory;
  const at = limit === undefined ? '' : ` at its limit of ${limit}`;
  const message = `memory ran out: its container was killed${at}; give the job more, or less data`;
  return { kind: 'out-of-memory', message, retryable: false };
}

function evicted(pod: PodObject, message: string): JobFailure {
  if (OWN_LIMIT.test(message)) {
    const advice = 'give the job more room (workSizeLimit, ephemeral-storage), or less data';
    return { kind: 'configuration', message: `it was evicted: ${short(message)}; ${advice}`, retryable: false };
  }
  return { kind: 'lost', message: `it was evicted from ${nodeOf(pod)}: ${short(message)}`, retryable: true };
}

function lost(pod: PodObject, why: string): JobFailure {
  return { kind: 'lost', message: `its pod on ${nodeOf(pod)} was lost: ${short(why)}`, retryable: true };
}

function nodeOf(pod: PodObject): string {
  return pod.spec?.nodeName === undefined ? 'no node' : `node ${pod.spec.nodeName}`;
}

const MAX_SHOWN = 1000;

function short(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, ' ').replace(/^: /, '');
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)} […]` : line;
}
