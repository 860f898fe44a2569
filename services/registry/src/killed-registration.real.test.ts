import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type {
  Alias,
  AuditEntry,
  AuditVerification,
  Endpoint,
  Model,
  Page,
  RoutingSnapshot,
  Version,
} from '@assay/contracts';
import { nodeArguments } from '@assay/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { KILL_POINTS, type KillPoint } from './registry-to-kill.ts';
import {
  type MadePackage,
  makePackage,
  type RegistryUnderTest,
  sha256Of,
  startRegistry,
} from './registry-under-test.ts';

const MODEL = 'm';
const ROUNDS = 6;
/** Each round starts programs; a machine that does much else takes its time. */
const TIMEOUT_MS = 300_000;
const program = fileURLToPath(new URL('./registry-to-kill.ts', import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

interface Killable {
  readonly url: string;
  readonly ended: Promise<void>;
  kill(): void;
}

async function startToKill(dir: string, point: KillPoint): Promise<Killable> {
  const child = spawn(process.execPath, [...nodeArguments(), program, dir, point], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    ended.then(() => reject(new Error('the registry ended before it listened')));
  });
  return { url, ended, kill: () => void child.kill('SIGKILL') };
}

interface Attempt {
  readonly key: string;
  readonly made: MadePackage;
  /** What was acknowledged before the kill. */
  version?: Version;
}

/** Uploads, registers, and moves the alias, as far as the registry lives. */
async function registerUntilKilled(url: string, attempt: Attempt): Promise<void> {
  const json = (method: string, path: string, body: unknown) =>
    fetch(`${url}${path}`, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  try {
    await json('POST', '/v1/models', { name: MODEL });
    for (const bytes of attempt.made.contents.values()) {
      await fetch(`${url}/v1/blobs/${sha256Of(bytes)}`, { method: 'PUT', body: Buffer.from(bytes) });
    }
    const answer = await json('POST', `/v1/models/${MODEL}/versions`, {
      files: attempt.made.files,
      idempotencyKey: attempt.key,
    });
    if (!answer.ok) return;
    attempt.version = (await answer.json()) as Version; // as the route documents
    const alias = (await (await fetch(`${url}/v1/models/${MODEL}/aliases/champion`)).json()) as Partial<Alias>; // or an error
    await json('PUT', `/v1/models/${MODEL}/aliases/champion`, {
      version: attempt.version.version,
      expectedRevision: alias.revision ?? 0,
    });
  } catch {
    // The connection was cut: what was not acknowledged may be there or not.
  }
}

/** What must hold in a data folder whatever was killed in it. */
async function expectWhole(dir: string, attempts: readonly Attempt[]): Promise<void> {
  // What was killed checked its packages as it does in production; here they are only looked at again.
  await using registry: RegistryUnderTest = await startRegistry({ dir, deps: { checkPackage: async () => {} } });
  const get = async <T>(path: string): Promise<T> => {
    const answer = await registry.call<T>('GET', path);
    expect(answer.status, path).toBe(200);
    return answer.body;
  };
  expect(await readdir(join(dir, 'registry/staging'))).toEqual([]);
  const verdict = await get<AuditVerification>('/v1/audit/verify');
  expect(verdict).toMatchObject({ valid: true });

  const models = (await get<Page<Model>>('/v1/models')).items;
  const versions = models.length === 0 ? [] : (await get<Page<Version>>(`/v1/models/${MODEL}/versions`)).items;
  expect(models[0]?.latestVersion ?? 0).toBe(versions.length);
  expect(versions.map((version) => version.version)).toEqual(versions.map((_, i) => versions.length - i));
  for (const version of versions) {
    for (const file of version.files) {
      const answer = await fetch(`${registry.url}/v1/versions/${version.id}/files/${file.path}`);
      expect(sha256Of(new Uint8Array(await answer.arrayBuffer()))).toBe(file.sha256);
    }
  }
  for (const { version } of attempts)
    if (version !== undefined) expect(versions.map((one) => one.id)).toContain(version.id);

  const entries = (await get<Page<AuditEntry>>('/v1/audit?limit=1000')).items;
  const of = (action: string) => entries.filter((entry) => entry.action === action);
  expect(
    of('version.register')
      .map((entry) => entry.resource)
      .sort(),
  ).toEqual(versions.map((version) => `version/${version.id}`).sort());
  const aliases = models.length === 0 ? [] : (await get<Page<Alias>>(`/v1/models/${MODEL}/aliases`)).items;
  const endpoints = (await get<Page<Endpoint>>('/v1/endpoints')).items;
  expect(of('alias.move')).toHaveLength(aliases[0]?.revision ?? 0);
  expect([...of('endpoint.create'), ...of('endpoint.move')]).toHaveLength(endpoints[0]?.revision ?? 0);
  expect(endpoints.map((endpoint) => endpoint.variants[0]?.versionId)).toEqual(aliases.map((alias) => alias.versionId));
  expect((await get<RoutingSnapshot>('/v1/routing')).revision).toBe(endpoints[0]?.revision ?? 0);

  for (const { key, made, version } of attempts) {
    const again = await registry.register(MODEL, made, { idempotencyKey: key });
    expect([200, 201]).toContain(again.status);
    if (version !== undefined) expect(again.body.id).toBe(version.id);
  }
}

describe('a registry killed during a registration', { timeout: TIMEOUT_MS }, () => {
  it('leaves a whole version or none, at each chosen point', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-killed-'));
    try {
      const attempts: Attempt[] = [];
      for (const [i, point] of KILL_POINTS.entries()) {
        const registry = await startToKill(dir, point);
        const attempt: Attempt = { key: `chosen-${i}`, made: await makePackage({ adds: i + 1 }) };
        attempts.push(attempt);
        const work = registerUntilKilled(registry.url, attempt);
        if (point === 'never') {
          await work;
          registry.kill();
        }
        await registry.ended; // each other point is reached, or this waits for ever
        await work;
        expect(attempt.version === undefined, point).toBe(point !== 'never');
        const retried = attempts.map(({ key, made, version }) => ({
          key,
          made,
          ...(version === undefined ? {} : { version }),
        }));
        await expectWhole(dir, retried.slice(-2));
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('leaves a whole version or none, at random moments', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'assay-killed-'));
    try {
      const attempts: Attempt[] = [];
      let wholeMs = Number.POSITIVE_INFINITY; // how long it takes when nothing is killed: the first round measures it
      for (let round = 0; round <= ROUNDS; round++) {
        const registry = await startToKill(dir, 'never');
        const made = await Promise.all([0, 1].map((i) => makePackage({ adds: round * 10 + i })));
        const now = made.map((one, i): Attempt => ({ key: `random-${round}-${i}`, made: one }));
        attempts.push(...now);
        const began = performance.now();
        // One moment in each of as many parts of the time, so that early and late ones are both among them.
        if (round > 0) setTimeout(() => registry.kill(), ((round - 1 + Math.random()) / ROUNDS) * wholeMs);
        await Promise.all(now.map((attempt) => registerUntilKilled(registry.url, attempt)));
        if (round === 0) wholeMs = performance.now() - began;
        registry.kill();
        await registry.ended;
        await expectWhole(dir, now);
      }
      expect(attempts.some((attempt) => attempt.version === undefined)).toBe(true);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
