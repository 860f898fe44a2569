/**
 * Uploads, registrations, alias moves, deletions and collections at once, over few contents so that they meet, in a registry
 * that is killed again and again. CI kills a few times; `make soak` more often (SOAK_KILLS).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openBlobStore } from '@assay/blobs';
import type { Alias, AuditVerification, Collection, Dataset, DatasetVersion, Page, Version } from '@assay/contracts';
import { type Postgres, startPostgres } from '@assay/database/testing';
import { nodeArguments } from '@assay/runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type MadePackage, makePackage, sha256Of } from '../registry-under-test.ts';
import { databaseUrlIn, openRegistryDatabase } from '../service.ts';
import { namedKeys } from './named-keys.ts';

const KILLS = Number(process.env.SOAK_KILLS ?? 2);
const WORK_MS = { least: 200, most: 1200 };
const MAX_PAUSE_MS = 100;
const NAMES = ['a', 'b', 'c'];
const TABLES = Array.from({ length: 4 }, (_, i) => Buffer.from(`a\n${i}\n`));
const program = fileURLToPath(new URL('./collecting-registry.ts', import.meta.url));

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

let packages: MadePackage[];
let server: Postgres;
beforeAll(async () => {
  packages = await Promise.all([1, 2, 3].map((adds) => makePackage({ adds })));
  server = await startPostgres();
});
afterAll(() => server?.[Symbol.asyncDispose]());

interface Killable {
  readonly url: string;
  kill(): Promise<void>;
}

async function start(dir: string, databaseUrl: string): Promise<Killable> {
  const child = spawn(process.execPath, [...nodeArguments(), program, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ASSAY_REGISTRY_DATABASE_URL: databaseUrl },
  });
  started.push(child);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    ended.then(() => reject(new Error('the registry ended before it listened')));
  });
  return {
    url,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

interface Answer<T> {
  readonly status: number;
  readonly body: T;
}
async function call<T>(url: string, method: string, path: string, body?: unknown): Promise<Answer<T>> {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as T }; // what the route answers
}
const put = (url: string, bytes: Uint8Array) =>
  fetch(`${url}/v1/blobs/${sha256Of(bytes)}`, { method: 'PUT', body: Buffer.from(bytes) });
const one = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T; // none of the lists is empty

/** What was acknowledged, and what may have been deleted since. */
interface Known {
  readonly registered: Set<string>;
  readonly mayBeGone: Set<string>;
  counts: { registered: number; deleted: number; collected: number; moved: number };
}

/** Each works until the connection is cut. */
const WORK: readonly ((url: string, known: Known) => Promise<void>)[] = [
  async function registerTables(url, known) {
    const bytes = one(TABLES);
    const more = Buffer.from(`a\n${Math.random()}\n`);
    for (const each of [bytes, more]) await put(url, each);
    const files = [bytes, more].map((each, i) => ({
      name: `${i}.csv`,
      sha256: sha256Of(each),
      sizeBytes: each.length,
    }));
    const { status, body } = await call<DatasetVersion>(url, 'POST', `/v1/datasets/${one(NAMES)}/versions`, {
      ...{ format: 'csv', files, rows: 2, schema: [{ name: 'a', type: 'BIGINT', nullable: false }], changes: 'more' },
    });
    if (status === 201) {
      known.registered.add(body.id);
      known.counts.registered += 1;
    } else expect([412, 503]).toContain(status); // collected meanwhile, or being collected
  },
  async function registerVersions(url, known) {
    const { contents, files } = one(packages);
    for (const bytes of contents.values()) await put(url, bytes);
    const { status, body } = await call<Version>(url, 'POST', '/v1/models/m/versions', { files });
    if (status !== 201) return expect([412, 503]).toContain(status);
    known.registered.add(body.id);
    known.counts.registered += 1;
    const alias = await call<Partial<Alias>>(url, 'GET', '/v1/models/m/aliases/candidate');
    const move = { version: body.version, expectedRevision: alias.body.revision ?? 0 };
    const { status: moved } = await call(url, 'PUT', '/v1/models/m/aliases/candidate', move);
    if (moved === 200) known.counts.moved += 1;
    else expect([404, 409]).toContain(moved); // deleted meanwhile, or another was first
  },
  async function uploadArtifacts(url) {
    const path = `/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/${one(NAMES)}.txt`;
    await fetch(`${url}${path}`, { method: 'PUT', body: `${Math.random()}` });
  },
  async function deleteSome(url, known) {
    const { body } = await call<Page<Version>>(url, 'GET', '/v1/models/m/versions?limit=5');
    if (body.items.length > 0) {
      const { id, version } = one(body.items);
      known.mayBeGone.add(id);
      const { status } = await call(url, 'DELETE', `/v1/models/m/versions/${version}`);
      if (status === 204) known.counts.deleted += 1;
      else expect([404, 412]).toContain(status); // an alias points at it
    }
    const versions = await call<Page<DatasetVersion>>(url, 'GET', `/v1/datasets/${one(NAMES)}/versions?limit=5`);
    if (versions.status !== 200 || versions.body.items.length < 2) return;
    const { id, datasetName, version } = one(versions.body.items);
    known.mayBeGone.add(id);
    const { status } = await call(url, 'DELETE', `/v1/datasets/${datasetName}/versions/${version}`);
    if (status === 204) known.counts.deleted += 1;
  },
  async function collect(url, known) {
    await delay(Math.random() * MAX_PAUSE_MS); // else hardly a content lives long enough to be registered
    const { status, body } = await call<Collection>(url, 'POST', '/v1/collect', { delete: true });
    if (status === 200) known.counts.collected += body.blobs.count;
    else expect(status).toBe(503); // another is under way, or the lease of one that was killed runs yet
  },
];

async function workUntilKilled(registry: Killable, known: Known, until: () => Promise<unknown>): Promise<void> {
  await call(registry.url, 'POST', '/v1/models', { name: 'm' });
  let killed = false;
  const workers = WORK.map(async (work) => {
    while (!killed) {
      try {
        await work(registry.url, known);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // what fetch throws where the connection was cut
        if (!killed) await delay(1);
      }
    }
  });
  await until();
  killed = true;
  await registry.kill();
  await Promise.all(workers);
}

/** Whatever was killed: the chain holds, all that is listed has its files, and all that was acknowledged is listed. */
async function expectWhole(url: string, known: Known): Promise<void> {
  const get = async <T>(path: string): Promise<T> => {
    const { status, body } = await call<T>(url, 'GET', path);
    expect(status, path).toBe(200);
    return body;
  };
  expect(await get<AuditVerification>('/v1/audit/verify')).toMatchObject({ valid: true });
  const there = new Set<string>();
  const expectFile = async (path: string, sha256: string): Promise<void> => {
    const answer = await fetch(`${url}${path}`);
    expect([path, answer.status]).toEqual([path, 200]);
    expect(sha256Of(new Uint8Array(await answer.arrayBuffer()))).toBe(sha256);
  };
  for (const version of (await get<Page<Version>>('/v1/models/m/versions?limit=1000')).items) {
    there.add(version.id);
    for (const { path, sha256 } of version.files) await expectFile(`/v1/versions/${version.id}/files/${path}`, sha256);
  }
  for (const { name } of (await get<Page<Dataset>>('/v1/datasets')).items) {
    for (const { id, version } of (await get<Page<DatasetVersion>>(`/v1/datasets/${name}/versions?limit=1000`)).items) {
      there.add(id);
      const whole = await get<DatasetVersion>(`/v1/datasets/${name}/versions/${version}`);
      for (const file of whole.files)
        await expectFile(`/v1/datasets/${name}/versions/${version}/files/${file.name}`, file.sha256);
    }
  }
  for (const alias of (await get<Page<Alias>>('/v1/models/m/aliases')).items) expect(there).toContain(alias.versionId);
  for (const id of known.registered) if (!known.mayBeGone.has(id)) expect(there).toContain(id);
}

/** What is in the store is named, or held by a registration that was killed, for as long as it might have taken. */
async function expectNothingLeft(dir: string, databaseUrl: string): Promise<void> {
  await using database = await openRegistryDatabase(databaseUrl);
  const { signal } = new AbortController();
  const named = await namedKeys(database.db, { ids: new Set(), folders: new Set() }, signal);
  const claims = await database.db.selectFrom('blob_claims').select('blob_key').execute();
  const held = new Set(claims.map(({ blob_key }) => blob_key));
  const blobs = await openBlobStore(`file:${join(dir, 'registry', 'blobs')}`);
  const stored = new Set<string>();
  for (const prefix of ['sha256/', 'artifacts/']) for await (const { key } of blobs.list(prefix)) stored.add(key);
  expect([...stored].filter((key) => !named.has(key) && !held.has(key))).toEqual([]);
  expect([...named].filter((key) => !stored.has(key))).toEqual([]);
}

describe.each([
  ['SQLite', (dir: string) => databaseUrlIn(join(dir, 'registry'))],
  ['PostgreSQL', () => server.url('killed_collection')],
])('on %s', { timeout: 120_000 + KILLS * 20_000 }, (_, urlOf) => {
  it('a registry killed while it collects has every content that is named, and no other is left in the end', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-killed-'));
    const databaseUrl = urlOf(dir);
    const counts = { registered: 0, deleted: 0, collected: 0, moved: 0 };
    const allWasDone = () =>
      expect.poll(() => Math.min(...Object.values(counts)), { timeout: 60_000 }).toBeGreaterThan(0);
    const someTime = () => delay(WORK_MS.least + Math.random() * (WORK_MS.most - WORK_MS.least));
    const known: Known = { registered: new Set(), mayBeGone: new Set(), counts };
    try {
      let registry = await start(dir, databaseUrl);
      for (let kill = 0; kill < KILLS; kill += 1) {
        await workUntilKilled(registry, known, kill === 0 ? allWasDone : someTime);
        registry = await start(dir, databaseUrl);
        await expectWhole(registry.url, known);
      }
      // The lease of the collection that was killed last, if there was one, runs out first.
      const collectAll = () => call<Collection>(registry.url, 'POST', '/v1/collect', { delete: true });
      await expect.poll(async () => (await collectAll()).status, { timeout: 60_000 }).toBe(200);
      await expectWhole(registry.url, known);
      await registry.kill();
      await expectNothingLeft(dir, databaseUrl);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
