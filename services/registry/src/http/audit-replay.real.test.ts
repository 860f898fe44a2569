import type { Alias, AuditEntry, AuditVerification, Endpoint, Page, Variant } from '@assay/contracts';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePackage, type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';

const ALIASES = ['champion', 'challenger'];
const ENDPOINTS = ['m', 'canary', 'shadow'];
const AT_ONCE = 5;
const ROUNDS = 60;

let registry: RegistryUnderTest;
const versions: string[] = [];
beforeAll(async () => {
  registry = await startRegistry({ deps: { checkPackage: async () => {} } });
  await registry.call('POST', '/v1/models', { name: 'm' });
  for (const made of [await makePackage(), await makePackage({ adds: 2 }), await makePackage({ feature: 'z' })]) {
    versions.push((await registry.register('m', made)).body.id);
  }
});
afterAll(() => registry[Symbol.asyncDispose]());

/** A write, tried with the revision that there is now, or (as two writers at once do) with one that has passed. */
interface Write {
  readonly path: string;
  readonly body?: Record<string, unknown>;
  readonly stale: boolean;
}

const stale = fc.integer({ min: 0, max: 4 }).map((n) => n === 0);
const aliasPath = fc.constantFrom(...ALIASES).map((alias) => `/v1/models/m/aliases/${alias}`);
const endpointPath = fc.constantFrom(...ENDPOINTS).map((name) => `/v1/endpoints/${name}`);
const version = fc.integer({ min: 0, max: 2 });
const weight = fc.integer({ min: 0, max: 10_000 });
const target = fc.oneof(
  fc.tuple(version, version, weight).map(([a, b, share]) => ({
    variants: [
      { versionId: versions[a], weight: share },
      { versionId: versions[b], weight: 10_000 - share },
    ],
  })),
  fc.constantFrom(...ALIASES).map((alias) => ({ follow: { model: 'm', alias } })),
  fc.integer({ min: 1, max: 9 }).map((defaultTimeoutMs) => ({ defaultTimeoutMs })),
);
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ path: aliasPath, body: version.map((v) => ({ version: v + 1 })), stale }) },
  { weight: 5, arbitrary: fc.record({ path: endpointPath, body: target, stale }) },
  { weight: 1, arbitrary: fc.record({ path: fc.oneof(aliasPath, endpointPath), stale }) },
);

async function attempt({ path, body, stale }: Write): Promise<number> {
  const current = await registry.call<Partial<Alias>>('GET', path);
  const expectedRevision = Math.max(0, (current.body.revision ?? 0) - (stale ? 1 : 0));
  const answer =
    body === undefined
      ? await registry.call('DELETE', `${path}?expectedRevision=${expectedRevision}`)
      : await registry.call('PUT', path, { ...body, expectedRevision });
  return answer.status;
}

interface Replayed {
  readonly revision: number;
  readonly target: unknown;
}

/** What aliases and endpoints are, by the audit chain alone. */
async function replay(): Promise<{ aliases: Map<string, Replayed>; endpoints: Map<string, Replayed> }> {
  const entries: AuditEntry[] = [];
  for (let after = '0'; ; ) {
    const { body } = await registry.call<Page<AuditEntry>>('GET', `/v1/audit?limit=1000&after=${after}`);
    entries.push(...body.items);
    if (body.next === undefined) break;
    after = body.next;
  }
  const aliases = new Map<string, Replayed>();
  const endpoints = new Map<string, Replayed>();
  const revisions = new Map<string, number>();
  for (const { action, details } of entries) {
    if (details === null || !/^(alias|endpoint)\./.test(action)) continue;
    const kind = action.startsWith('alias') ? aliases : endpoints;
    const name = String(details.alias ?? details.name);
    const revision = Number(details.revision);
    // No revision without its entry, and none twice.
    expect(revision, `${action} of ${name}`).toBe((revisions.get(`${kind === aliases}${name}`) ?? 0) + 1);
    revisions.set(`${kind === aliases}${name}`, revision);
    const to = details.to as { variants?: Variant[] } | string | undefined; // as the store records it
    if (action.endsWith('.delete')) kind.delete(name);
    else kind.set(name, { revision, target: typeof to === 'object' ? to.variants : (to ?? details.variants) });
  }
  return { aliases, endpoints };
}

describe('whatever is written, by several at once', () => {
  it('the audit chain alone gives the same aliases and endpoints as the registry', async () => {
    const seed = Date.now();
    const rounds = fc.array(write, { minLength: AT_ONCE, maxLength: AT_ONCE });
    const seen = { done: 0, refused: 0 };
    for (const writes of fc.sample(rounds, { numRuns: ROUNDS, seed })) {
      for (const status of await Promise.all(writes.map(attempt))) {
        if (status < 300) seen.done += 1;
        else {
          expect([400, 404, 409, 412]).toContain(status);
          seen.refused += 1;
        }
      }
    }
    expect(seen.done).toBeGreaterThan(30);
    expect(seen.refused).toBeGreaterThan(30);

    const replayed = await replay();
    const from = `writes of seed ${seed}`;
    const aliases = (await registry.call<Page<Alias>>('GET', '/v1/models/m/aliases')).body.items;
    const endpoints = (await registry.call<Page<Endpoint>>('GET', '/v1/endpoints')).body.items;
    expect(new Map(aliases.map((a) => [a.alias, { revision: a.revision, target: a.versionId }])), from).toEqual(
      replayed.aliases,
    );
    expect(new Map(endpoints.map((e) => [e.name, { revision: e.revision, target: e.variants }])), from).toEqual(
      replayed.endpoints,
    );
    for (const { follow, variants } of endpoints) {
      if (follow === undefined) continue;
      expect(variants).toEqual([
        { versionId: aliases.find((a) => a.alias === follow.alias)?.versionId, weight: 10_000 },
      ]);
    }
    expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
  });
});
