import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { AuditEntry, AuditVerification, CreateDatasetVersion, DatasetVersion, Page } from '@assay/contracts';
import { nodeArguments } from '@assay/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import type { KillPoint } from './registry-to-kill.ts';
import { sha256Of, startRegistry } from './registry-under-test.ts';

const program = fileURLToPath(new URL('./registry-to-kill.ts', import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

async function startToKill(dir: string, point: KillPoint): Promise<{ url: string; ended: Promise<void> }> {
  const child = spawn(process.execPath, [...nodeArguments(), program, dir, point], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    ended.then(() => reject(new Error('the registry ended before it listened')));
  });
  return { url, ended };
}

const CONTENTS = ['a\n1\n', 'a\n2\n'].map((text) => Buffer.from(text));
const TABLE: CreateDatasetVersion = {
  format: 'csv',
  files: CONTENTS.map((bytes, i) => ({ name: `${i}.csv`, sha256: sha256Of(bytes), sizeBytes: bytes.length })),
  rows: 2,
  schema: [{ name: 'a', type: 'BIGINT', nullable: false }],
  idempotencyKey: 'one',
};

/** Puts the contents and registers the dataset `d`, as far as the registry lives. */
async function registerUntilKilled(url: string): Promise<void> {
  try {
    for (const bytes of CONTENTS) await fetch(`${url}/v1/blobs/${sha256Of(bytes)}`, { method: 'PUT', body: bytes });
    const headers = { 'content-type': 'application/json' };
    await fetch(`${url}/v1/datasets/d/versions`, { method: 'POST', headers, body: JSON.stringify(TABLE) });
  } catch {
    // The connection was cut, as it must be.
  }
}

describe('a registry killed while a dataset is registered', { timeout: 120_000 }, () => {
  it.each([
    ['while a content arrives', 0],
    ['when a content is stored and not acknowledged', 0],
    ['in the transaction, before its end', 0],
    ['after the transaction, before the answer', 1],
  ] satisfies [KillPoint, number][])(
    '%s has %i versions of it, whole, and one after a retry',
    async (point, expected) => {
      const dir = await mkdtemp(join(tmpdir(), 'assay-killed-'));
      try {
        const killed = await startToKill(dir, point);
        await registerUntilKilled(killed.url);
        await killed.ended; // the point is reached, or this waits for ever

        await using registry = await startRegistry({ dir });
        const list = () => registry.call<Page<DatasetVersion>>('GET', '/v1/datasets/d/versions');
        const before = await list();
        expect(before.status === 404 ? 0 : before.body.items.length).toBe(expected);

        for (const bytes of CONTENTS) expect([200, 201]).toContain((await registry.put(bytes)).status);
        const again = await registry.call<DatasetVersion>('POST', '/v1/datasets/d/versions', TABLE);
        expect(again.status).toBe(expected === 0 ? 201 : 200);
        expect((await list()).body.items.map(({ id }) => id)).toEqual([again.body.id]);
        for (const { name, sha256 } of again.body.files) {
          const answer = await fetch(`${registry.url}/v1/datasets/d/versions/1/files/${name}`);
          expect(sha256Of(new Uint8Array(await answer.arrayBuffer()))).toBe(sha256);
        }
        const { items } = (await registry.call<Page<AuditEntry>>('GET', '/v1/audit')).body;
        expect(items.map(({ resource }) => resource)).toEqual([`dataset-version/${again.body.id}`]);
        expect((await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body.valid).toBe(true);
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
  );
});
