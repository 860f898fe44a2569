/** The log of a job: those of its attempts, one after the other. */
import { AssayError } from '@assay/contracts';
import { isFinished, type Launcher, launchId } from '@assay/jobs';
import type { JobWatch } from './job-watch.ts';
import type { JobTypes } from './kind.ts';
import type { Jobs } from './store/jobs.ts';

/** How long to wait for a change before looking again whether an attempt has begun. */
const LOOK_MS = 1000;

export async function* attemptLogs<T extends JobTypes>(
  { jobs, launcher, watch }: { readonly jobs: Jobs<T>; readonly launcher: Launcher; readonly watch: JobWatch },
  id: string,
  { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  let attempt = 1;
  for (;;) {
    signal.throwIfAborted();
    const job = await jobs.get(id);
    if (attempt <= job.attempts) {
      const wasRead = yield* logOf(launcher, launchId({ id, attempts: attempt }), { follow, signal });
      // The log of the newest attempt may not be there yet; that of an older one was removed long ago.
      if (wasRead || attempt < job.attempts || !follow || isFinished(job.state)) {
        attempt++;
        continue;
      }
    } else if (!follow || isFinished(job.state)) return;
    await watch.wait(id, LOOK_MS, signal);
  }
}

async function* logOf(
  launcher: Launcher,
  launch: string,
  options: { readonly follow: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, boolean> {
  try {
    yield* launcher.logs(launch, options);
    return true;
  } catch (error) {
    if (AssayError.from(error).code === 'NOT_FOUND') return false;
    throw error;
  }
}
