/** What a launch that does not run yet waits for, in Kubernetes' own words; and whether waiting is any use. */
import type { JobFailure } from '@assay/contracts';
import { CONTAINER, QUEUE_LABEL } from './names.ts';
import { conditionThatHolds, type EventObject, type JobObject, type PodObject, timeOf } from './objects.ts';

export interface Waiting {
  readonly reason: string;
  /** Set where it has no prospect: what the launch is to fail with. */
  readonly hopeless?: JobFailure;
}

export interface WaitingFacts {
  readonly job: JobObject;
  /** The newest one. */
  readonly pod: PodObject | undefined;
  /** Of the pod, or of the Job while it has none. */
  readonly events: readonly EventObject[];
  readonly nowMs: number;
  readonly maxStartMs: number;
}

/** What does not mend by itself: nobody changes the image's name, or loads one. */
const NEVER_MENDS: ReadonlySet<string> = new Set(['InvalidImageName', 'ErrImageNeverPull']);
/** What may mend: a registry that is away, a Secret that comes. Given up after `maxStartMs`. */
const MAY_MEND: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'ImageInspectError',
  'RegistryUnavailable',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
]);

export function whatItWaitsFor(facts: WaitingFacts): Waiting {
  const { job, pod } = facts;
  if (job.spec?.suspend === true) {
    const queue = job.metadata?.labels?.[QUEUE_LABEL];
    return { reason: queue === undefined ? 'its Job is suspended' : `held by the queue ${queue} until there is room` };
  }
  if (pod === undefined) {
    const refused = newestWarning(facts.events, 'FailedCreate');
    return { reason: refused === undefined ? 'its pod is being made' : `no pod can be made: ${refused}` };
  }
  if (pod.metadata?.deletionTimestamp !== undefined) return { reason: 'its pod is being removed; another follows' };
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (pod.spec?.nodeName === undefined && scheduled?.status !== 'True') {
    const words = scheduled?.message ?? '';
    return { reason: words === '' ? 'a node is being chosen' : `no node can take it: ${words}` };
  }
  return containerWaits(facts, pod);
}

function containerWaits({ events, nowMs, maxStartMs }: WaitingFacts, pod: PodObject): Waiting {
  const status = pod.status?.containerStatuses?.find(({ name }) => name === CONTAINER);
  const { reason = '', message = '' } = status?.state?.waiting ?? {};
  const image = status?.image ?? pod.spec?.containers?.[0]?.image ?? '';
  if (!NEVER_MENDS.has(reason) && !MAY_MEND.has(reason)) {
    const trouble = newestWarning(events);
    return { reason: trouble === undefined ? 'its image is pulled and its container made' : trouble };
  }
  const isImage = /Image|Registry/.test(reason);
  const words = `${isImage ? `the image ${image} cannot be had` : 'its container cannot be made'}: ${reason}: ${message}`;
  const sinceMs = timeOf(
    conditionThatHolds(pod.status?.conditions, 'PodScheduled')?.lastTransitionTime ?? pod.metadata?.creationTimestamp,
  );
  const isOver = NEVER_MENDS.has(reason) || (sinceMs !== undefined && nowMs - sinceMs > maxStartMs);
  if (!isOver) return { reason: words };
  return { reason: words, hopeless: { kind: 'configuration', message: words, retryable: false } };
}

function newestWarning(events: readonly EventObject[], reason?: string): string | undefined {
  const timeMs = (event: EventObject): number =>
    timeOf(event.lastTimestamp) ?? timeOf(event.eventTime) ?? timeOf(event.metadata?.creationTimestamp) ?? 0;
  return events
    .filter((event) => event.type === 'Warning' && (reason === undefined || event.reason === reason))
    .toSorted((a, b) => timeMs(b) - timeMs(a))
    .at(0)?.message;
}
