export { EXIT_CODES, JobError, toJobFailure } from './failure.ts';
export type { JobContext, JobEntry } from './job-entry.ts';
export {
  eventOfExit,
  type JobRunner,
  type JobRunnerOptions,
  type JobStore,
  launchId,
  type StoredJob,
  startJobRunner,
} from './job-runner.ts';
export { KubernetesJobSettings, readKubernetesJobSettings } from './kubernetes/settings.ts';
export {
  type KubernetesLauncher,
  type KubernetesLauncherOptions,
  openKubernetesLauncher,
} from './kubernetes-launcher.ts';
export type { LaunchExit, Launcher, LaunchRequest, LaunchResources, Observation } from './launcher.ts';
export { JOB_TOKEN_VARIABLE } from './pod-contract.ts';
export { type ProcessLauncher, type ProcessLauncherOptions, processLauncher } from './process-launcher.ts';
export { canTake, isFinished, type JobEvent, type Lifecycle, NEW_JOB, nextLifecycle } from './state-machine.ts';
