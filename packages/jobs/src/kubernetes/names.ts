/** The names by which a launcher finds again what it, or an earlier process of its service, has made. */
import { createHash } from 'node:crypto';

/** Which service's launcher made it: `training`. Watches and lists select by it. */
export const LAUNCHER_LABEL = 'assay.dev/launcher';
/** The launch's id, as it is (a label could not hold every id). */
export const LAUNCH_ANNOTATION = 'assay.dev/launch';
/** Set when everything that the launch needs is there; a Job without it is half made, and `launch` goes on with it. */
export const LAUNCHED_ANNOTATION = 'assay.dev/launched-at';
/** The time limit in milliseconds, as it was given (Kubernetes counts whole seconds). */
export const TIMEOUT_ANNOTATION = 'assay.dev/timeout-ms';
/** Why the launcher stopped it: a LaunchExit as JSON. Final, unless it had succeeded before it noticed. */
export const VERDICT_ANNOTATION = 'assay.dev/verdict';
/** Kueue admits Jobs by the queue that this label names. */
export const QUEUE_LABEL = 'kueue.x-k8s.io/queue-name';
/** Set by the Job controller on the pods of a Job. */
export const JOB_UID_LABEL = 'batch.kubernetes.io/controller-uid';

export const CONTAINER = 'job';

const READABLE_LENGTH = 40;
const HASH_LENGTH = 12;

/**
 * The Job's name: what is readable of the id, and a digest that keeps two ids apart. A name of a Job is also a label's
 * value and the beginning of its pods' names: at most 63 of a-z 0-9 -.
 */
export function jobName(launcher: string, launchId: string): string {
  const readable = launchId
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, READABLE_LENGTH)
    .replace(/-+$/, '');
  const digest = createHash('sha256').update(`${launcher}\n${launchId}`).digest('hex').slice(0, HASH_LENGTH);
  return readable === '' ? `launch-${digest}` : `${readable}-${digest}`;
}
