/**
 * Where versions stand, and stood: behind which alias and endpoint, with which weight, from when to when. Kept beside the
 * aliases and endpoints themselves, in the same change, so that a version is asked for its uses by an index.
 */
import type { AliasUse, EndpointUse, Variant } from '@assay/contracts';
import type { Change } from './change.ts';
import type { Queryable, VersionUsesTable } from './tables.ts';

/** The alias points at this version from now on; null: at none. */
export function aliasUsed(
  change: Change,
  of: { readonly modelId: string; readonly alias: string; readonly revision: number },
  versionId: string | null,
): Promise<void> {
  const held = versionId === null ? [] : [{ versionId, weight: 0 }];
  return used(change, { kind: 'alias', subject: `${of.modelId}/${of.alias}`, revision: of.revision }, held);
}

/** The endpoint serves these from now on. */
export function endpointUsed(
  change: Change,
  of: { readonly id: string; readonly revision: number },
  variants: readonly Variant[],
): Promise<void> {
  return used(change, { kind: 'endpoint', subject: of.id, revision: of.revision }, variants);
}

async function used(
  { trx, at, actor }: Change,
  subject: Pick<VersionUsesTable, 'kind' | 'subject' | 'revision'>,
  held: readonly Variant[],
): Promise<void> {
  const open = () =>
    trx
      .selectFrom('version_uses')
      .select(['version_id', 'weight'])
      .where('kind', '=', subject.kind)
      .where('subject', '=', subject.subject)
      .where('ended_at', 'is', null);
  const before = new Map((await open().execute()).map((use) => [use.version_id, use.weight]));
  const after = new Map(held.map(({ versionId, weight }) => [versionId, weight]));
  const ended = [...before].filter(([id, weight]) => after.get(id) !== weight).map(([id]) => id);
  if (ended.length > 0) {
    await trx
      .updateTable('version_uses')
      .set({ ended_at: at })
      .where('kind', '=', subject.kind)
      .where('subject', '=', subject.subject)
      .where('version_id', 'in', ended)
      .where('ended_at', 'is', null)
      .execute();
  }
  for (const [versionId, weight] of after) {
    if (before.get(versionId) === weight) continue;
    const row = {
      ...subject,
      ...{ version_id: versionId, weight, began_at: at, ended_at: null, principal: actor.principal },
    };
    await trx.insertInto('version_uses').values(row).execute();
  }
}

/** Those that hold, then those that ended, newest first; one more than `limit` where there are more. */
export async function aliasUses(db: Queryable, versionId: string, limit: number): Promise<AliasUse[]> {
  const rows = await usesOf(db, versionId, 'alias', limit).execute();
  return rows.map((row) => ({ alias: row.subject.slice(row.subject.indexOf('/') + 1), ...sinceOf(row) }));
}

export async function endpointUses(db: Queryable, versionId: string, limit: number): Promise<EndpointUse[]> {
  const rows = await usesOf(db, versionId, 'endpoint', limit)
    .innerJoin('endpoints', 'endpoints.id', 'version_uses.subject')
    .select('endpoints.name')
    .execute();
  return rows.map((row) => ({ endpointId: row.subject, endpoint: row.name, weight: row.weight, ...sinceOf(row) }));
}

function usesOf(db: Queryable, versionId: string, kind: 'alias' | 'endpoint', limit: number) {
  return db
    .selectFrom('version_uses')
    .selectAll('version_uses')
    .where('version_uses.version_id', '=', versionId)
    .where('version_uses.kind', '=', kind)
    .orderBy((eb) => eb.case().when('ended_at', 'is', null).then(0).else(1).end())
    .orderBy('began_at', 'desc')
    .orderBy('version_uses.revision', 'desc')
    .limit(limit + 1);
}

function sinceOf({ revision, began_at, ended_at, principal }: VersionUsesTable) {
  return { revision, from: began_at, ...(ended_at === null ? {} : { until: ended_at }), by: principal };
}
