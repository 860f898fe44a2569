/** Approvals: a principal's word for a version. Two keys of one principal are one word; who made the version has none. */
import { type Approval, AssayError, type Page } from '@assay/contracts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { readAuthors } from './measured-versions.ts';
import { type ModelRow, requireModel } from './models.ts';
import type { Queryable, VersionApprovalsTable, VersionsTable } from './tables.ts';
import { requireVersion, toVersion } from './versions.ts';

/** By principal, ascending. */
export async function listApprovals(
  db: Queryable,
  modelNameOrId: string,
  numberOrId: string,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<Approval>> {
  const model = await requireModel(db, modelNameOrId);
  const version = await requireVersion(db, model, numberOrId);
  let query = db.selectFrom('version_approvals').selectAll().where('version_id', '=', version.id);
  if (page.after !== undefined) query = query.where('principal', '>', page.after);
  const rows = await query
    .orderBy('principal')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map((row) => approvalOf(row, model, version));
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.principal } : { items };
}

/**
 * `created` is false where the principal had approved it before; then nothing changes.
 * @throws AssayError PERMISSION_DENIED for who made the version; NOT_FOUND
 */
export function approve(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  numberOrId: string,
  comment: string,
): Promise<{ approval: Approval; created: boolean }> {
  return change(store, actor, async (change) => {
    const { principal } = change.actor;
    const model = await requireModel(change.trx, modelNameOrId);
    const version = await requireVersion(change.trx, model, numberOrId);
    if ((await readAuthors(change.trx, version)).includes(principal)) {
      throw new AssayError(
        'PERMISSION_DENIED',
        `${principal} made version ${version.version} of ${model.name}, and cannot approve it; another principal can`,
      );
    }
    const before = await find(change.trx, version.id, principal);
    if (before !== undefined) return { approval: approvalOf(before, model, version), created: false };
    const row = { version_id: version.id, principal, comment, at: change.at };
    await change.trx.insertInto('version_approvals').values(row).execute();
    change.record('approval.add', `version/${version.id}`, {
      ...{ modelName: model.name, version: version.version, digest: version.digest, comment },
    });
    await approvalsChanged(change, model, version);
    return { approval: approvalOf(row, model, version), created: true };
  });
}

/** The caller's own. @throws AssayError NOT_FOUND */
export function withdrawApproval(store: Store, actor: Actor, modelNameOrId: string, numberOrId: string): Promise<void> {
  return change(store, actor, async (change) => {
    const { principal } = change.actor;
    const model = await requireModel(change.trx, modelNameOrId);
    const version = await requireVersion(change.trx, model, numberOrId);
    const row = await find(change.trx, version.id, principal);
    if (row === undefined) {
      throw new AssayError(
        'NOT_FOUND',
        `${principal} has not approved version ${version.version} of ${model.name}; an approval is withdrawn by who gave it`,
      );
    }
    await change.trx
      .deleteFrom('version_approvals')
      .where('version_id', '=', version.id)
      .where('principal', '=', principal)
      .execute();
    change.record('approval.withdraw', `version/${version.id}`, {
      ...{ modelName: model.name, version: version.version, digest: version.digest, approvedAt: row.at },
    });
    await approvalsChanged(change, model, version);
  });
}

/** Counted as a change of the version, and announced with all of its approvals. */
async function approvalsChanged(change: Change, model: ModelRow, version: VersionsTable): Promise<void> {
  const changed = await change.trx
    .updateTable('versions')
    .set((eb) => ({ revision: eb('revision', '+', 1), updated_at: change.at }))
    .where('id', '=', version.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  const approvals = await change.trx
    .selectFrom('version_approvals')
    .select(['principal', 'comment', 'at'])
    .where('version_id', '=', version.id)
    .orderBy('principal')
    .execute();
  const resource = { ...(await toVersion(change.trx, changed, model.name)), approvals };
  change.announce('assay.version.approvals-changed.v1', version.id, changed.revision, resource);
}

function find(db: Queryable, versionId: string, principal: string): Promise<VersionApprovalsTable | undefined> {
  return db
    .selectFrom('version_approvals')
    .selectAll()
    .where('version_id', '=', versionId)
    .where('principal', '=', principal)
    .executeTakeFirst();
}

function approvalOf(row: VersionApprovalsTable, model: ModelRow, version: VersionsTable): Approval {
  return {
    modelId: model.id,
    modelName: model.name,
    versionId: version.id,
    version: version.version,
    principal: row.principal,
    comment: row.comment,
    at: row.at,
  };
}
