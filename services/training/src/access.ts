/** Who may call: keys from the registry, with the last ones on disk, so that a start without it lets the same callers in. */
import { join } from 'node:path';
import { createRegistryClient } from '@assay/client';
import { type Access, createAccess, followKeys } from '@assay/http';
import type { Logger, Registry } from '@assay/runtime';
import type { TrainingConfig } from './config.ts';

export interface OpenAccess {
  readonly access: Access;
  /** Before the service listens. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** With a key of the service's own all callers need one; without, whoever is on this machine is let in. */
export function openAccess(config: TrainingConfig, log: Logger, registry: Registry): OpenAccess {
  if (config.serviceKey === undefined) {
    return { access: createAccess({ log, registry }), async start() {}, async close() {} };
  }
  const client = createRegistryClient({
    url: config.registryUrl,
    bearerToken: config.serviceKey.reveal(),
    retry: { maxAttempts: 1 }, // the follower has a rhythm of its own
  });
  const keys = followKeys({
    fetch: (query, signal) => client.keySnapshot(query, { signal }),
    cacheFile: join(config.dataDir, 'training', 'keys.json'),
    stalenessMaxMs: config.keyStalenessMaxMs,
    log,
  });
  return {
    access: createAccess({ log, registry, keys }),
    start: () => keys.start(),
    async close() {
      await keys.close();
      await client.close();
    },
  };
}
