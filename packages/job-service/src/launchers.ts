/** The launcher that the settings choose; a driver is loaded only then. */
import { join, resolve } from 'node:path';
import { type Launcher, openKubernetesLauncher, processLauncher, readKubernetesJobSettings } from '@assay/jobs';
import type { Logger } from '@assay/runtime';
import { launcherChoice } from './config.ts';
import type { JobKind, JobTypes } from './kind.ts';

export interface ChosenLauncher {
  readonly launcher: Launcher;
  /** The address of the service for its jobs, where it is another than the one that it listens on. */
  readonly serviceUrl: string | undefined;
  readonly sharedDir: (name: string) => string;
  /** How often to look at each job where nothing tells of a change. */
  readonly pollMs: number;
  close(): Promise<void>;
}

/** A look is some files of this machine. */
export const PROCESS_POLL_MS = 1000;
/** A look is some calls of the API server, whose watches tell of nearly every change. */
const KUBERNETES_POLL_MS = 5000;
/** Of child processes of a service that stops. */
const STOP_GRACE_MS = 2000;

/**
 * @param dir the folder of the service
 * @throws AssayError FAILED_PRECONDITION, INVALID_ARGUMENT for settings that are missing or wrong
 */
export async function openLauncher<T extends JobTypes>(
  kind: JobKind<T>,
  config: T['config'],
  { dir, log }: { readonly dir: string; readonly log: Logger },
): Promise<ChosenLauncher> {
  const choice = launcherChoice(kind.config, config);
  if (choice.launcher === 'kubernetes') {
    const settings = await readKubernetesJobSettings(choice.jobsFile);
    const launcher = await openKubernetesLauncher({ name: kind.name, settings, entry: kind.entry, log });
    return {
      launcher,
      serviceUrl: choice.publicUrl,
      sharedDir: (name) => name,
      pollMs: KUBERNETES_POLL_MS,
      // Jobs go on: the next start of the service finds them.
      close: () => launcher.close(),
    };
  }
  const launcher = processLauncher({
    dir: join(dir, 'launches'),
    entry: kind.entry,
    environmentNames: kind.environmentNames ?? [],
    niceness: config.jobNiceness,
    log,
  });
  return {
    launcher,
    serviceUrl: undefined,
    sharedDir: (name) => resolve(dir, name),
    pollMs: PROCESS_POLL_MS,
    // Jobs do not outlive the service; the next start finds them lost and begins them again.
    close: () => launcher.close({ graceMs: STOP_GRACE_MS }),
  };
}
