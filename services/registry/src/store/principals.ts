/** Principals: a person or a service, with any number of keys. They are made and never change. */
import { AssayError, type CreatePrincipal, type Page, type Principal, type PrincipalKind } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { checkPrincipalName } from '../domain/principals.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import type { PrincipalsTable, Queryable } from './tables.ts';

/** @throws AssayError ALREADY_EXISTS; INVALID_ARGUMENT for a reserved name */
export function createPrincipal(store: Store, actor: Actor, { name, kind }: CreatePrincipal): Promise<Principal> {
  checkPrincipalName(name);
  return change(store, actor, async (change) => {
    const found = await findPrincipal(change.trx, name);
    if (found !== undefined) {
      throw new AssayError('ALREADY_EXISTS', `there is a ${found.kind} ${name} already (${found.id})`);
    }
    return principalOf(await ensurePrincipal(change, name, kind));
  });
}

/** @throws AssayError NOT_FOUND */
export async function getPrincipal(db: Queryable, name: string): Promise<Principal> {
  const found = await findPrincipal(db, name);
  if (found === undefined) throw new AssayError('NOT_FOUND', `there is no principal "${name}"`);
  return principalOf(found);
}

function findPrincipal(db: Queryable, name: string): Promise<PrincipalsTable | undefined> {
  return db.selectFrom('principals').selectAll().where('name', '=', name).executeTakeFirst();
}

/** By name, ascending. */
export async function listPrincipals(
  db: Queryable,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<Principal>> {
  let query = db.selectFrom('principals').selectAll();
  if (page.after !== undefined) query = query.where('name', '>', page.after);
  const rows = await query
    .orderBy('name')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map(principalOf);
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.name } : { items };
}

export async function ensurePrincipal(
  change: Change,
  name: string,
  kind: PrincipalKind | undefined,
): Promise<PrincipalsTable> {
  const found = await findPrincipal(change.trx, name);
  if (found !== undefined) {
    if (kind === undefined || kind === found.kind) return found;
    throw new AssayError('FAILED_PRECONDITION', `kind: ${name} is a ${found.kind} already, not a ${kind}`);
  }
  const row: PrincipalsTable = {
    id: newId('prn'),
    name,
    kind: kind ?? 'person',
    created_at: change.at,
    created_by: change.actor.principal,
  };
  await change.trx.insertInto('principals').values(row).execute();
  change.record('principal.create', `principal/${row.id}`, { name, kind: row.kind });
  return row;
}

function principalOf(row: PrincipalsTable): Principal {
  return { id: row.id, name: row.name, kind: row.kind, createdAt: row.created_at, createdBy: row.created_by };
}
