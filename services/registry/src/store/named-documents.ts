/**
 * Documents that are kept under a name, whole, by compare-and-set: pipelines and training specs. Who owns a kind says what
 * may stand in it.
 */
import { isDeepStrictEqual } from 'node:util';
import { AssayError, nearest, type Page } from '@assay/contracts';
import type { Change } from './change.ts';
import { checkRevision } from './stale.ts';
import { fromJson, type NamedDocumentsTable, type Queryable } from './tables.ts';

/** Its audit entries are `KIND.set` and `KIND.delete`, of the resource `KIND/NAME`. */
export interface DocumentKind {
  readonly kind: 'pipeline' | 'training-spec';
  /** As a message calls it: `pipeline`. */
  readonly noun: string;
}

export interface NamedDocument<Content> {
  readonly name: string;
  readonly content: Content;
  readonly revision: number;
  readonly updatedAt: number;
  readonly updatedBy: string;
}

/** @throws AssayError NOT_FOUND with the nearest name */
export async function requireDocument<Content>(
  db: Queryable,
  { kind, noun }: DocumentKind,
  name: string,
): Promise<NamedDocument<Content>> {
  const row = await findRow(db, kind, name);
  const found = row === undefined ? undefined : documentOf<Content>(row);
  if (found !== undefined) return found;
  const rows = await db
    .selectFrom('named_documents')
    .select('name')
    .where('kind', '=', kind)
    .where('content', 'is not', null)
    .execute();
  const meant = nearest(
    name,
    rows.map((each) => each.name),
  );
  const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
  throw new AssayError('NOT_FOUND', `there is no ${noun} "${name}"${hint}`);
}

/** By name, ascending. */
export async function listDocuments<Content>(
  db: Queryable,
  { kind }: DocumentKind,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<NamedDocument<Content>>> {
  let query = db.selectFrom('named_documents').selectAll().where('kind', '=', kind).where('content', 'is not', null);
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  const rows = await query
    .orderBy('name')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).flatMap((row) => documentOf<Content>(row) ?? []);
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.name } : { items };
}

/** @throws AssayError STALE_REVISION */
export async function setDocument<Content>(
  change: Change,
  owner: DocumentKind,
  name: string,
  expectedRevision: number,
  content: Content,
  details: Readonly<Record<string, unknown>>,
): Promise<NamedDocument<Content>> {
  const current = await checkedRow(change, owner, name, expectedRevision);
  const before = current === undefined ? undefined : documentOf<Content>(current);
  if (before !== undefined && isDeepStrictEqual(before.content, content)) return before;
  const row = rowAfter(change, owner, name, current, JSON.stringify(content));
  await change.trx
    .insertInto('named_documents')
    .values(row)
    .onConflict((conflict) => conflict.columns(['kind', 'name']).doUpdateSet(row))
    .execute();
  change.record(`${owner.kind}.set`, `${owner.kind}/${name}`, {
    name,
    revision: row.revision,
    from: before?.content ?? null,
    to: content,
    ...details,
  });
  const { revision, updated_at: updatedAt, updated_by: updatedBy } = row;
  return { name, content, revision, updatedAt, updatedBy };
}

/** @throws AssayError NOT_FOUND, STALE_REVISION */
export async function deleteDocument(
  change: Change,
  owner: DocumentKind,
  name: string,
  expectedRevision: number,
): Promise<void> {
  const { content } = await requireDocument<unknown>(change.trx, owner, name);
  const current = await checkedRow(change, owner, name, expectedRevision);
  const row = rowAfter(change, owner, name, current, null);
  await change.trx
    .updateTable('named_documents')
    .set(row)
    .where('kind', '=', owner.kind)
    .where('name', '=', name)
    .execute();
  const details = { name, revision: row.revision, from: content };
  change.record(`${owner.kind}.delete`, `${owner.kind}/${name}`, details);
}

async function checkedRow(
  { trx }: Change,
  { kind, noun }: DocumentKind,
  name: string,
  expectedRevision: number,
): Promise<NamedDocumentsTable | undefined> {
  const current = await findRow(trx, kind, name);
  const exists = current !== undefined && current.content !== null;
  checkRevision({
    what: `${noun} ${name}`,
    expectedRevision,
    currentRevision: exists ? current.revision : 0,
    ...(exists ? { last: { by: current.updated_by, at: current.updated_at, state: 'changed' } } : {}),
  });
  return current;
}

/** Revisions count on over a deletion. */
function rowAfter(
  { at, actor }: Change,
  { kind }: DocumentKind,
  name: string,
  current: NamedDocumentsTable | undefined,
  content: string | null,
): NamedDocumentsTable {
  const revision = (current?.revision ?? 0) + 1;
  return { kind, name, content, revision, updated_at: at, updated_by: actor.principal };
}

function findRow(db: Queryable, kind: string, name: string): Promise<NamedDocumentsTable | undefined> {
  return db
    .selectFrom('named_documents')
    .selectAll()
    .where('kind', '=', kind)
    .where('name', '=', name)
    .executeTakeFirst();
}

function documentOf<Content>(row: NamedDocumentsTable): NamedDocument<Content> | undefined {
  if (row.content === null) return undefined;
  const { name, revision, updated_at: updatedAt, updated_by: updatedBy } = row;
  return { name, content: fromJson<Content>(row.content), revision, updatedAt, updatedBy };
}
