import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditVerification } from '@assay/contracts';
import type { Database } from '@assay/database';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { type AuditFilter, appendAudit, listAudit, verifyAudit } from './audit.ts';
import type { RegistryTables } from './tables.ts';

const ENTRIES = 1200; // more than are read at once, so that pages meet
const never = new AbortController().signal;

let dir: string;
let database: Database<RegistryTables>;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-audit-'));
  database = await openRegistryDatabase(databaseUrlOf(dir));
  const facts = Array.from({ length: ENTRIES }, (_, i) => ({
    id: `aud_${i}`,
    at: 1_700_000_000_000 + i,
    principal: i % 2 === 0 ? 'even' : 'odd',
    action: 'alias.move',
    resource: `model/mdl_${i % 3}`,
    requestId: 'req_1',
    details: { i },
  }));
  await database.transaction((trx) => appendAudit(trx, facts));
});
afterAll(async () => {
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

const verify = () => verifyAudit(database.db, never);
const run = (statement: string) => sql.raw(statement).execute(database.db);

/** Changes the tables behind the registry's back, asks for the verdict, and puts everything back. */
async function tampered(...statements: string[]): Promise<AuditVerification> {
  await run('create table kept as select * from audit');
  await run('create table kept_head as select * from audit_head');
  try {
    for (const statement of statements) await run(statement);
    return await verify();
  } finally {
    await run('delete from audit');
    await run('insert into audit select * from kept');
    await run('delete from audit_head');
    await run('insert into audit_head select * from kept_head');
    await run('drop table kept');
    await run('drop table kept_head');
  }
}

describe('walking the audit chain in the database', () => {
  it('finds nothing wrong with what the registry wrote', async () => {
    expect(await verify()).toMatchObject({ valid: true, entries: ENTRIES });
  });

  it('allows details to be erased', async () => {
    expect(await tampered('update audit set details = null where sequence in (3, 700)')).toMatchObject({ valid: true });
  });

  it.each([
    ['a changed principal', 700, ["update audit set principal = 'mallory' where sequence = 700"]],
    ['changed details', 501, ["update audit set details = '{}' where sequence = 501"]],
    ['details that are no JSON any more', 501, ["update audit set details = 'x' where sequence = 501"]],
    ['a removed entry', 500, ['delete from audit where sequence = 500']],
    ['a removed first entry', 1, ['delete from audit where sequence = 1']],
    ['removed last entries', 1199, ['delete from audit where sequence > 1198']],
    ['everything removed', 1, ['delete from audit']],
    [
      'two entries that changed places',
      10,
      [
        'update audit set sequence = -1 where sequence = 10',
        'update audit set sequence = 10 where sequence = 11',
        'update audit set sequence = 11 where sequence = -1',
      ],
    ],
    [
      'an entry added at the end',
      1201,
      [
        "insert into audit select 1201, 'aud_x', at, principal, action, resource, request_id, details_sha256, hash, hash, details from audit where sequence = 1200",
      ],
    ],
    [
      'an entry added before the beginning',
      1,
      [
        "insert into audit select 0, 'aud_x', at, principal, action, resource, request_id, details_sha256, previous_hash, hash, details from audit where sequence = 1",
      ],
    ],
    [
      'a head that was moved back',
      1200,
      ['update audit_head set sequence = 1199, hash = (select hash from audit where sequence = 1199)'],
    ],
    ['a head that was removed', 1, ['delete from audit_head']],
  ])('finds %s', async (_what, firstBadSequence, statements) => {
    const found = await tampered(...statements);
    expect(found).toMatchObject({ valid: false, firstBadSequence, reason: expect.any(String) });
    expect(await verify()).toMatchObject({ valid: true });
  });

  it('can be given up', async () => {
    await expect(verifyAudit(database.db, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });
});

describe('reading the audit chain', () => {
  it('goes by pages, each entry once', async () => {
    const seen: number[] = [];
    let after = 0;
    for (;;) {
      const page = await listAudit(database.db, { after, limit: 500 });
      seen.push(...page.items.map((entry) => entry.sequence));
      if (page.next === undefined) break;
      after = Number(page.next);
    }
    expect(seen).toEqual(Array.from({ length: ENTRIES }, (_, i) => i + 1));
  });

  it('filters by principal, action and resource', async () => {
    const page = await listAudit(database.db, { after: 0, limit: 1000, principal: 'odd', resource: 'model/mdl_1' });
    expect(page.items.length).toBe(ENTRIES / 6);
    expect(page.items.every((entry) => entry.principal === 'odd' && entry.resource === 'model/mdl_1')).toBe(true);
    expect((await listAudit(database.db, { after: 0, limit: 10, action: 'none' })).items).toEqual([]);
  });

  it('filters by type of resource, by time and by sequence, bounds included', async () => {
    const sequences = async (filter: AuditFilter, after = 0) =>
      (await listAudit(database.db, { after, limit: 1000, ...filter })).items.map(({ sequence }) => sequence);
    expect(await sequences({ resourceType: 'model' })).toHaveLength(1000);
    expect(await sequences({ resourceType: 'mode' })).toEqual([]);
    const at = 1_700_000_000_000; // of entry 1
    expect(await sequences({ from: at + 4, to: at + 6 })).toEqual([5, 6, 7]);
    expect(await sequences({ from: at + 4, to: at + 6 }, 5)).toEqual([6, 7]);
    expect(await sequences({ to: at, principal: 'odd' })).toEqual([]);
    expect(await sequences({ until: 12 }, 10)).toEqual([11, 12]);
  });
});
