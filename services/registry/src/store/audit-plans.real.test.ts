/** Each filter of the audit trail is answered from its index: the trail only grows, and is never walked for a page. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompiledQuery, type RootOperationNode } from 'kysely';
import { expect, it } from 'vitest';
import { databaseUrlIn, openRegistryDatabase } from '../service.ts';
import { type AuditFilter, listAudit } from './audit.ts';

const FILTERS: readonly (readonly [AuditFilter, string])[] = [
  [{}, '(sequence>?)'],
  [{ until: 9 }, '(sequence>? AND sequence<?)'],
  [{ principal: 'ada' }, 'audit_by_principal (principal=? AND sequence>?)'],
  [{ action: 'alias.move' }, 'audit_by_action (action=? AND sequence>?)'],
  [{ resource: 'model/mdl_1' }, 'audit_by_resource (resource=? AND sequence>?)'],
  [{ resourceType: 'model' }, 'audit_by_resource (resource>? AND resource<?)'],
  [{ from: 1, to: 2 }, 'audit_by_time (at>? AND at<?)'],
];

it.each(FILTERS)('%j is read by %s', async (filter, index) => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-audit-'));
  try {
    await using database = await openRegistryDatabase(databaseUrlIn(dir));
    const { db } = database;
    const asked: RootOperationNode[] = [];
    const watched = db.withPlugin({
      transformQuery({ node }) {
        asked.push(node);
        return node;
      },
      transformResult: async ({ result }) => result,
    });
    await listAudit(watched, { after: 0, limit: 100, ...filter });
    expect(asked).toHaveLength(1);
    for (const node of asked) {
      const { sql, parameters } = db.getExecutor().compileQuery(node, { queryId: 'plan' });
      const plan = CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]);
      const { rows } = await db.executeQuery<{ detail: string }>(plan);
      const details = rows.map(({ detail }) => detail);
      expect(details[0]).toContain(index);
      expect(details.filter((detail) => detail.startsWith('SCAN'))).toEqual([]);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
