/** For tests of gates: a registry with people and their keys, and models of four versions each. */
import type { AuditEntry, Gates, Version } from '@assay/contracts';
import { afterAll, beforeAll, expect } from 'vitest';
import { type KeyedRegistry, startKeyedRegistry } from '../keys-under-test.ts';
import { makePackage } from '../registry-under-test.ts';

const DATASET = 'd'.repeat(64);
/** Version 3 of each model says that it is of this job. */
export const JOB = `job_${'0'.repeat(26)}`;

export interface GatedRegistry {
  readonly registry: KeyedRegistry;
  /** Two of bob, and one each of the others. */
  readonly keys: Readonly<Record<'admin' | 'ada' | 'bob' | 'bob2' | 'cleo' | 'inference', string>>;
  /** Of ada. Version 1 is champion; 2 is worse and has no parity, 3 was measured on another dataset, 4 is better. */
  newModel(): Promise<{ name: string; versions: readonly Version[] }>;
  setGates(model: string, gates: Gates): Promise<void>;
  auditOf(action: string): Promise<AuditEntry[]>;
}

/** One for all tests of a file. @returns what there is once they run */
export function useGatedRegistry(): GatedRegistry {
  let running: GatedRegistry | undefined;
  beforeAll(async () => {
    running = await startGatedRegistry();
  });
  afterAll(() => running?.registry[Symbol.asyncDispose]());
  const started = (): GatedRegistry => {
    if (running === undefined) throw new Error('no registry before the tests run');
    return running;
  };
  return {
    get registry() {
      return started().registry;
    },
    get keys() {
      return started().keys;
    },
    newModel: () => started().newModel(),
    setGates: (model, gates) => started().setGates(model, gates),
    auditOf: (action) => started().auditOf(action),
  };
}

async function startGatedRegistry(): Promise<GatedRegistry> {
  const registry = await startKeyedRegistry();
  const key = async (principal: string) =>
    (await registry.makeKey({ principal, scopes: ['read', 'register', 'promote'] })).secret;
  const { admin = '', inference = '' } = registry.keys;
  const keys = {
    ...{ admin, inference, ada: await key('ada'), bob: await key('bob'), bob2: await key('bob') },
    cleo: await key('cleo'),
  };
  const parity = { rows: 100, maxDifference: 1e-8, tolerance: 1e-6 };
  const packages = await Promise.all(
    [
      { adds: 1, lineage: { metrics: { auc: 0.75 }, datasetSha256s: [DATASET], parity } },
      { adds: 2, lineage: { metrics: { auc: 0.7 }, datasetSha256s: [DATASET] } },
      { adds: 3, lineage: { metrics: { auc: 0.8 }, datasetSha256s: ['e'.repeat(64)], parity, jobId: JOB } },
      { adds: 4, lineage: { metrics: { auc: 0.8 }, datasetSha256s: [DATASET], parity } },
    ].map(makePackage),
  );
  for (const { files, contents } of packages) {
    for (const { path, sha256 } of files) {
      const stored = await fetch(`${registry.url}/v1/blobs/${sha256}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${keys.ada}`, 'content-type': 'application/octet-stream' },
        body: Buffer.from(contents.get(path) ?? ''),
      });
      expect(stored.ok).toBe(true);
    }
  }
  let models = 0;

  return {
    registry,
    keys,
    async newModel() {
      const name = `gated-${++models}`;
      await registry.call(keys.ada, 'POST', '/v1/models', { name });
      const versions: Version[] = [];
      for (const { files } of packages)
        versions.push((await registry.call(keys.ada, 'POST', `/v1/models/${name}/versions`, { files })).body);
      const first = await registry.call(keys.ada, 'PUT', aliasOf(name), { version: 1, expectedRevision: 0 });
      expect(first.status).toBe(200);
      return { name, versions };
    },
    async setGates(model, gates) {
      const path = `/v1/models/${model}/gates`;
      const { revision } = (await registry.call(keys.admin, 'GET', path)).body;
      const set = await registry.call(keys.admin, 'PUT', path, { expectedRevision: revision, gates });
      expect([set.status, set.body]).toEqual([200, expect.objectContaining({ gates, revision: revision + 1 })]);
    },
    async auditOf(action) {
      return (await registry.call(keys.admin, 'GET', `/v1/audit?action=${action}&limit=1000`)).body.items;
    },
  };
}

export const aliasOf = (model: string, alias = 'champion') => `/v1/models/${model}/aliases/${alias}`;
export const approvalsOf = (model: string, version: number) => `/v1/models/${model}/versions/${version}/approvals`;

interface Refused {
  readonly body: { readonly error: { readonly details: readonly { readonly place: string }[] } };
}
export const places = ({ body }: Refused) => body.error.details.map(({ place }) => place);
