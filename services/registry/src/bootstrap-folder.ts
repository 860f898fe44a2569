/** The folder of bootstrap keys, followed: Kubernetes changes the files of a mounted Secret under the running process. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@assay/runtime';
import { applyBootstrapKeys, type BootstrapKey, readBootstrapKeys } from './store/bootstrap-keys.ts';
import type { Store } from './store/change.ts';

export interface BootstrapFolder {
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 5000;

/**
 * Takes over the keys of the folder, and goes on looking for changes. What cannot be used later is said in the log, and
 * the keys stay as they are.
 * @throws AssayError FAILED_PRECONDITION when the folder cannot be used at the start
 */
export async function openBootstrapFolder(dir: string, store: Store, log: Logger): Promise<BootstrapFolder> {
  const closing = new AbortController();
  let applied = '';

  async function look(): Promise<void> {
    const keys = await readBootstrapKeys(dir);
    const seen = JSON.stringify(keys);
    if (seen === applied) return;
    const revoked = await applyBootstrapKeys(store, keys);
    applied = seen;
    log.info({ dir, names: keys.map(({ name }: BootstrapKey) => name) }, 'bootstrap keys are in place');
    for (const name of revoked) {
      log.warn({ dir, name }, 'the bootstrap key was revoked and stays so; put another into its file');
    }
  }

  async function follow(): Promise<void> {
    let problem = '';
    while (!closing.signal.aborted) {
      await delay(LOOK_EVERY_MS, undefined, { signal: closing.signal }).catch(() => undefined);
      if (closing.signal.aborted) return;
      try {
        await look();
        problem = '';
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (message !== problem) log.warn({ err: error, dir }, 'bootstrap keys stay as they were');
        problem = message;
      }
    }
  }

  await look();
  const following = follow();
  return {
    async close() {
      closing.abort();
      await following;
    },
  };
}
