/** Replicas that register versions of one model at once, by our door and by MLflow's, give out each number once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { UNKNOWN_ORIGIN } from '../domain/version-origin.ts';
import { reserveVersion } from '../mlflow/store/reserve-version.ts';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { verifyAudit } from './audit.ts';
import { NO_CLAIM } from './blob-claims.ts';
import type { Actor, Store } from './change.ts';
import { createModel, getModel } from './models.ts';
import { insertVersion } from './versions.ts';

const WRITERS = 8;
const VERSIONS_EACH = Number(process.env.SOAK_VERSIONS ?? 25);

it(`8 replicas that register ${VERSIONS_EACH} versions each get distinct, consecutive numbers`, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-at-once-'));
  try {
    await using opened = new AsyncDisposableStack();
    const stores: Store[] = [];
    for (let i = 0; i < WRITERS; i++) {
      const database = opened.use(await openRegistryDatabase(databaseUrlOf(dir)));
      stores.push({ database, onRerouted: () => {}, onRekeyed: () => {} });
    }
    const [first] = stores;
    if (first === undefined) throw new Error('there are writers');
    const { id } = await createModel(first, actor, { name: 'm' });

    const byWriter = await Promise.all(
      stores.map(async (store, writer) => {
        const numbers: number[] = [];
        for (let i = 0; i < VERSIONS_EACH; i++) {
          numbers.push(await (writer % 2 === 0 ? register(store, id) : registerByMlflow(store)));
        }
        return numbers;
      }),
    );

    for (const numbers of byWriter) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    const all = byWriter.flat().sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: WRITERS * VERSIONS_EACH }, (_, i) => i + 1));
    expect(await getModel(first.database.db, 'm')).toMatchObject({ latestVersion: all.length });
    const verdict = await verifyAudit(first.database.db, new AbortController().signal);
    expect(verdict).toMatchObject({ valid: true, entries: 1 + all.length });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

const actor: Actor = { principal: 'ada', keyId: null, requestId: 'req_1', traceparent: '' };

async function register(store: Store, modelId: string): Promise<number> {
  const made = { digest: 'd', files: [], signature: { features: [], outputs: [] }, metrics: {} };
  const about = { claim: NO_CLAIM, origin: UNKNOWN_ORIGIN, description: '', tags: {} };
  return (await insertVersion(store, actor, modelId, { ...made, ...about })).version.version;
}

async function registerByMlflow(store: Store): Promise<number> {
  const elsewhere = { source: 's3://elsewhere/model', runId: undefined, runLink: '', loggedModelId: undefined };
  return (await reserveVersion(store, actor, { name: 'm', ...elsewhere, description: '', tags: {} })).version;
}
