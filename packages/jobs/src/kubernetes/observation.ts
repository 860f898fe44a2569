/** From a launch's Job and pods to what is known of it. Without I/O: what it needs is read before. */
import { type JobFailure, JobFailure as JobFailureSchema, matches } from '@assay/contracts';
import { readLaunchWord } from '../launch-word.ts';
import type { LaunchExit, Observation } from '../launcher.ts';
import { CONTAINER, TIMEOUT_ANNOTATION, VERDICT_ANNOTATION } from './names.ts';
import { conditionThatHolds, type JobObject, type PodObject, timeOf } from './objects.ts';
import { classifyPod, deadline, terminatedOf } from './pod-failure.ts';

/** The newest first: where a node was lost, a Job has had several. */
export function newestPod(pods: readonly PodObject[]): PodObject | undefined {
  const madeAtMs = (pod: PodObject): number => timeOf(pod.metadata?.creationTimestamp) ?? 0;
  return pods.toSorted((a, b) => madeAtMs(b) - madeAtMs(a)).at(0);
}

/** A Job ends when all its pods have; a pod that was disrupted is followed by another. */
export function hasEnded(job: JobObject): boolean {
  return conditionThatHolds(job.status?.conditions, 'Complete', 'Failed') !== undefined;
}

export function timeoutOf(job: JobObject): number | undefined {
  const timeoutMs = Number(job.metadata?.annotations?.[TIMEOUT_ANNOTATION] ?? Number.NaN);
  return Number.isFinite(timeoutMs) ? timeoutMs : undefined;
}

/** Why the launcher stopped it, if it did. */
export function verdictOf(job: JobObject): LaunchExit | undefined {
  const text = job.metadata?.annotations?.[VERDICT_ANNOTATION];
  if (text === undefined) return undefined;
  let value: { outcome?: unknown; endedAtMs?: unknown; failure?: unknown };
  try {
    value = Object(JSON.parse(text)); // an object: each key may be anything, or missing
  } catch {
    return undefined;
  }
  const { outcome, endedAtMs, failure } = value;
  if (typeof endedAtMs !== 'number') return undefined;
  if (outcome === 'cancelled') return { outcome, endedAtMs };
  return outcome === 'failed' && matches(JobFailureSchema, failure) ? { outcome, endedAtMs, failure } : undefined;
}

/** Whether the log is worth reading to say why it failed: its last word does not. */
export function isWordless(pod: PodObject): boolean {
  const terminated = terminatedOf(pod);
  return terminated !== undefined && terminated.exitCode !== 0 && readLaunchWord(terminated.message) === undefined;
}

/** How a launch ended whose Job has ended. */
export function exitOfJob(job: JobObject, pods: readonly PodObject[], logTail: string, nowMs: number): LaunchExit {
  const pod = newestPod(pods);
  const complete = conditionThatHolds(job.status?.conditions, 'Complete');
  const failed = conditionThatHolds(job.status?.conditions, 'Failed');
  const terminated = pod === undefined ? undefined : terminatedOf(pod);
  const endedAtMs =
    readLaunchWord(terminated?.message)?.endedAtMs ??
    timeOf(terminated?.finishedAt) ??
    timeOf(job.status?.completionTime) ??
    timeOf((complete ?? failed)?.lastTransitionTime) ??
    nowMs;
  // What had finished before it was stopped has succeeded.
  if (complete !== undefined || pod?.status?.phase === 'Succeeded') return { outcome: 'succeeded', endedAtMs };
  return verdictOf(job) ?? { outcome: 'failed', endedAtMs, failure: whyItFailed(job, pod, failed?.reason, logTail) };
}

function whyItFailed(
  job: JobObject,
  pod: PodObject | undefined,
  reason: string | undefined,
  logTail: string,
): JobFailure {
  const timeoutMs = timeoutOf(job);
  if (reason === 'DeadlineExceeded' && (pod === undefined || terminatedOf(pod) === undefined)) {
    const failure = deadline(timeoutMs);
    return { ...failure, message: `${failure.message}, the time that it waited for room included` };
  }
  if (pod === undefined) return { kind: 'lost', message: 'its pod was removed before it had ended', retryable: true };
  return classifyPod({ pod, timeoutMs, logTail });
}

/** Of a pod whose container has begun, also where it has just ended and the Job does not know yet. */
export function runningSince(pod: PodObject | undefined): Observation | undefined {
  const state = pod?.status?.containerStatuses?.find(({ name }) => name === CONTAINER)?.state;
  const startedAt = state?.running?.startedAt ?? state?.terminated?.startedAt;
  const startedAtMs = timeOf(startedAt);
  return startedAtMs === undefined ? undefined : { state: 'running', startedAtMs };
}
