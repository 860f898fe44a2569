/** Who may call: keys from the registry, with the last ones on disk, so that a start without it lets the same callers in. */
import { createRegistryClient } from '@assay/client';
import { type Access, createAccess, followKeys } from '@assay/http';
import type { Logger, Registry, Secret } from '@assay/runtime';

/** What `accessSettings` and the address of the registry are in a service's settings. */
export interface AccessConfig {
  readonly registryUrl: string;
  readonly serviceKey: Secret | undefined;
  readonly keyStalenessMaxMs: number;
}

export interface OpenAccessOptions {
  /** Where the last keys are kept. */
  readonly cacheFile: string;
  readonly log: Logger;
  /** Of the service's metrics. */
  readonly registry: Registry;
}

export interface OpenAccess {
  readonly access: Access;
  /** Before the service listens. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** With a key of the service's own all callers need one; without, whoever is on this machine is let in. */
export function openAccess(config: AccessConfig, { cacheFile, log, registry }: OpenAccessOptions): OpenAccess {
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
    cacheFile,
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
