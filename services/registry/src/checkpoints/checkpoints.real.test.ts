/** Who can write the whole database cannot make it agree with the checkpoints that left it. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBlobStore } from '@assay/blobs';
import { AuditCheckpoints, type AuditVerification, matches, signCheckpoint } from '@assay/contracts';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RegistryUnderTest, startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { appendAudit } from '../store/audit.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { putCheckpoint } from './checkpoint-blobs.ts';

const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();

let dir: string;
let keyFile: string;
let key: { publicKey: KeyObject; privateKey: KeyObject };
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-checkpoints-'));
  keyFile = join(dir, 'key.pem');
  key = generateKeyPairSync('ed25519');
  await writeFile(keyFile, pem(key.privateKey));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const start = (flags: Record<string, unknown> = {}) =>
  startRegistry({ dir, flags: { auditKeyFile: keyFile, ...flags } });

/** A registry with five entries that was stopped: its last checkpoint names the fifth. */
async function stopped(): Promise<void> {
  await using registry = await start();
  for (const name of ['a', 'b', 'c', 'd', 'e']) await registry.call('POST', '/v1/models', { name });
}

async function inDatabase(...statements: string[]): Promise<void> {
  await using database = await openRegistryDatabase(databaseUrlOf(dir));
  for (const statement of statements) await sql.raw(statement).execute(database.db);
}

const TRUNCATE = [
  'delete from audit where sequence > 3',
  'update audit_head set sequence = 3, hash = (select hash from audit where sequence = 3)',
];

async function verdict(registry: RegistryUnderTest): Promise<AuditVerification> {
  return (await registry.call<AuditVerification>('GET', '/v1/audit/verify')).body;
}

describe('audit checkpoints', () => {
  it('are written when the registry stops, listed with their public key, and agree with the chain', async () => {
    await stopped();
    await using registry = await start();
    expect(await verdict(registry)).toMatchObject({ valid: true, entries: 5, checkpoints: 1 });
    const { body } = await registry.call<AuditCheckpoints>('GET', '/v1/audit/checkpoints');
    expect(matches(AuditCheckpoints, body)).toBe(true);
    expect(body.items).toEqual([expect.objectContaining({ sequence: 5 })]);
    expect(body.keys[0]?.publicKey).toBe(key.publicKey.export({ type: 'spki', format: 'pem' }));
  });

  it('are written while it runs, after so many entries', async () => {
    await using registry = await start({ auditCheckpointEntries: 1 });
    await registry.call('POST', '/v1/models', { name: 'a' });
    const listed = async () => (await registry.call<AuditCheckpoints>('GET', '/v1/audit/checkpoints')).body.items;
    await expect.poll(async () => (await listed()).length, { timeout: 10_000 }).toBe(1);
  });

  it('find an end that was removed together with its head', async () => {
    await stopped();
    await inDatabase(...TRUNCATE);
    await using registry = await start();
    expect(await verdict(registry)).toMatchObject({
      valid: false,
      firstBadSequence: 4,
      reason: expect.stringContaining('entries 4 to 5 were removed from the end'),
    });
  });

  it('find an end that was written anew', async () => {
    await stopped();
    await inDatabase(...TRUNCATE);
    await using database = await openRegistryDatabase(databaseUrlOf(dir));
    const fact = { at: 1, principal: 'eve', action: 'alias.move', resource: 'model/m', requestId: 'r', details: {} };
    await database.transaction((trx) =>
      appendAudit(
        trx,
        [1, 2, 3].map((i) => ({ ...fact, id: `aud_${i}` })),
      ),
    );
    await database.close();
    await using registry = await start();
    expect(await verdict(registry)).toMatchObject({
      valid: false,
      firstBadSequence: 5,
      reason: expect.stringContaining('a signed checkpoint has another hash'),
    });
  });

  it('of a key that was replaced hold as long as its public key is named', async () => {
    await stopped();
    await writeFile(keyFile, pem(generateKeyPairSync('ed25519').privateKey));
    {
      await using registry = await start();
      expect(await verdict(registry)).toMatchObject({ valid: false, firstBadSequence: 5 });
    }
    const auditFormerKeysFile = join(dir, 'former.pem');
    await writeFile(auditFormerKeysFile, key.publicKey.export({ type: 'spki', format: 'pem' }));
    await using registry = await start({ auditFormerKeysFile });
    expect(await verdict(registry)).toMatchObject({ valid: true, checkpoints: 1 });
  });

  it('that somebody else signed are told', async () => {
    await stopped();
    const forged = signCheckpoint({ sequence: 9, hash: 'a'.repeat(64) }, 1, generateKeyPairSync('ed25519').privateKey);
    await putCheckpoint(await openBlobStore(`file:${join(dir, 'registry', 'blobs')}`), forged);
    await using registry = await start();
    expect(await verdict(registry)).toMatchObject({ valid: false, reason: expect.stringContaining('not signed') });
  });

  it('need a key that is one', async () => {
    await writeFile(keyFile, 'no key');
    await expect(start()).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
