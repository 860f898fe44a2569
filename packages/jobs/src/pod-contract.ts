/** Where a job finds what it is given when it runs as a pod (docs/jobs.md). Images in any language rely on it. */

export const POD_FOLDERS = {
  /** Read-only; holds LAUNCH_FILES. In memory, never on a disk. */
  launch: '/run/assay/launch',
  /** The job's own: empty at first, gone with the pod. */
  work: '/work',
  /** How it ended, written by the job. */
  word: '/dev/termination-log',
} as const;

export const LAUNCH_FILES = {
  /** The job's spec. */
  spec: 'spec.json',
  /** A JSON object of names and texts: its token, and what else is for this launch alone. */
  environment: 'environment.json',
} as const;

/** Variables of the container. None is secret. */
export const POD_ENVIRONMENT = {
  id: 'ASSAY_LAUNCH_ID',
  launchDir: 'ASSAY_LAUNCH_DIR',
  workDir: 'ASSAY_WORK_DIR',
  wordFile: 'ASSAY_WORD_FILE',
} as const;

/**
 * The token of a launch, by which its job reports and reaches its door. In the environment of its process, in a pod in the
 * file of the environment: never in a spec, an argument or a manifest.
 */
export const JOB_TOKEN_VARIABLE = 'ASSAY_JOB_TOKEN';
