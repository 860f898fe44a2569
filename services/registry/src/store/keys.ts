/**
 * API keys of principals. A key's secret is not here, only its SHA-256. Every change raises the revision of the key
 * snapshot, so that whoever checks keys learns of it.
 */
import {
  type ApiKey,
  AssayError,
  type CreateKey,
  type KeySnapshot,
  type Page,
  type PrincipalKind,
  type Scope,
  type UpdateKey,
} from '@assay/contracts';
import type { Database } from '@assay/database';
import { checkPrincipalName } from '../domain/principals.ts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { ensurePrincipal } from './principals.ts';
import { checkRevision } from './stale.ts';
import { type ApiKeysTable, fromJson, type PrincipalsTable, type Queryable, type RegistryTables } from './tables.ts';

/** A row of a key with what is shown of its principal. */
type KeyRow = ApiKeysTable & { readonly principal_name: string; readonly principal_kind: PrincipalKind };

/** What becomes a key, its secret digested already. */
export interface NewKey {
  readonly id: string;
  readonly secretSha256: string;
  readonly scopes: readonly Scope[];
  readonly endpoints: readonly string[] | undefined;
  readonly description: string;
  /** The file of the bootstrap folder that it comes from. */
  readonly bootstrap: string | null;
}

/**
 * Makes a key, and its principal where there is none of that name.
 * @throws AssayError INVALID_ARGUMENT for a reserved name, FAILED_PRECONDITION for a principal of another kind
 */
export function createKey(
  store: Store,
  actor: Actor,
  body: CreateKey,
  made: { readonly id: string; readonly secretSha256: string },
): Promise<ApiKey> {
  checkPrincipalName(body.principal);
  return change(store, actor, async (change) => {
    const principal = await ensurePrincipal(change, body.principal, body.kind);
    const row = await insertKey(change, principal, {
      ...made,
      scopes: body.scopes,
      endpoints: body.endpoints,
      description: body.description ?? '',
      bootstrap: null,
    });
    return keyOf({ ...row, principal_name: principal.name, principal_kind: principal.kind });
  });
}

/**
 * Revokes a key for good; one that is revoked stays as it is.
 * @throws AssayError NOT_FOUND; FAILED_PRECONDITION for the last key of an administrator
 */
export function revokeKey(store: Store, actor: Actor, id: string): Promise<ApiKey> {
  return change(store, actor, async (change) => {
    const row = await requireKey(change.trx, id);
    if (row.revoked_at !== null) return keyOf(row);
    await refuseLastAdmin(change.trx, row);
    await markRevoked(change, row, {});
    return getKey(change.trx, id);
  });
}

/**
 * Changes what a key may do. Whose it is, and its secret, stay.
 * @throws AssayError STALE_REVISION, NOT_FOUND; FAILED_PRECONDITION for one that is revoked, for one of the bootstrap
 *   folder, and for the last key of an administrator
 */
export function updateKey(store: Store, actor: Actor, id: string, body: UpdateKey): Promise<ApiKey> {
  return change(store, actor, async (change) => {
    const row = await requireKey(change.trx, id);
    checkRevision({
      what: `key ${id}`,
      expectedRevision: body.expectedRevision,
      currentRevision: row.revision,
      last: {
        by: row.updated_by ?? row.created_by,
        at: row.updated_at ?? row.created_at,
        state: row.revoked_at === null ? `with the scopes ${fromJson<Scope[]>(row.scopes).join(', ')}` : 'revoked',
      },
    });
    if (row.revoked_at !== null)
      throw new AssayError('FAILED_PRECONDITION', `${id} is revoked, for good; make another`);
    const scopes = body.scopes === undefined ? row.scopes : JSON.stringify([...new Set(body.scopes)]);
    const endpoints = body.endpoints === undefined ? row.endpoints : endpointsColumn(body.endpoints);
    const description = body.description ?? row.description;
    if (scopes === row.scopes && endpoints === row.endpoints && description === row.description) return keyOf(row);
    if (row.bootstrap !== null) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `${id} comes from the file ${row.bootstrap} of the bootstrap folder, which says what it may do; make a key by \`assay keys create\` instead`,
      );
    }
    if (!isAdmin({ scopes })) await refuseLastAdmin(change.trx, row);
    await change.trx
      .updateTable('api_keys')
      .set({ scopes, endpoints, description, ...touched(change, row) })
      .where('id', '=', id)
      .execute();
    change.record('key.update', `key/${id}`, {
      principalId: row.principal_id,
      from: permissionsOf(row),
      to: permissionsOf({ scopes, endpoints, description }),
    });
    change.rekeyed();
    return getKey(change.trx, id);
  });
}

/** @throws AssayError NOT_FOUND */
export async function getKey(db: Queryable, id: string): Promise<ApiKey> {
  return keyOf(await requireKey(db, id));
}

/** Revoked ones too; oldest first. */
export async function listKeys(
  db: Queryable,
  page: { readonly after?: string; readonly limit: number; readonly principal?: string },
): Promise<Page<ApiKey>> {
  let query = selectKeys(db);
  if (page.after !== undefined) query = query.where('api_keys.id', '>', page.after);
  if (page.principal !== undefined) query = query.where('principals.name', '=', page.principal);
  const rows = await query
    .orderBy('api_keys.id')
    .limit(page.limit + 1)
    .execute();
  const items = rows.slice(0, page.limit).map(keyOf);
  const last = items.at(-1);
  return rows.length > page.limit && last !== undefined ? { items, next: last.id } : { items };
}

export async function readKeyRevision(db: Queryable): Promise<number> {
  const row = await db.selectFrom('key_snapshot').select('revision').executeTakeFirstOrThrow();
  return row.revision;
}

/** The keys that hold, in one transaction with their revision. */
export function readKeySnapshot(database: Database<RegistryTables>): Promise<KeySnapshot> {
  return database.transaction(async (trx) => {
    const rows = await selectKeys(trx).where('api_keys.revoked_at', 'is', null).orderBy('api_keys.id').execute();
    return {
      revision: await readKeyRevision(trx),
      keys: rows.map((row) => {
        const { id, scopes, endpoints, principalId, principalName, principalKind } = keyOf(row);
        return {
          id,
          secretSha256: row.secret_sha256,
          principalId,
          principalName,
          principalKind,
          scopes,
          ...(endpoints === undefined ? {} : { endpoints }),
        };
      }),
    };
  });
}

/** Whether any key holds. */
export async function hasKeys(db: Queryable): Promise<boolean> {
  const row = await db.selectFrom('api_keys').select('id').where('revoked_at', 'is', null).limit(1).executeTakeFirst();
  return row !== undefined;
}

/** Whether a key with the scope `admin` holds, other than this one. */
export async function hasAdmin(db: Queryable, otherThan = ''): Promise<boolean> {
  const rows = await db
    .selectFrom('api_keys')
    .select('scopes')
    .where('revoked_at', 'is', null)
    .where('id', '!=', otherThan)
    .execute();
  return rows.some(isAdmin);
}

export async function insertKey(change: Change, principal: PrincipalsTable, key: NewKey): Promise<ApiKeysTable> {
  const row: ApiKeysTable = {
    id: key.id,
    principal_id: principal.id,
    secret_sha256: key.secretSha256,
    scopes: JSON.stringify([...new Set(key.scopes)]),
    endpoints: endpointsColumn(key.endpoints ?? []),
    description: key.description,
    bootstrap: key.bootstrap,
    revision: 1,
    updated_at: null,
    updated_by: null,
    created_at: change.at,
    created_by: change.actor.principal,
    revoked_at: null,
    revoked_by: null,
  };
  await change.trx.insertInto('api_keys').values(row).execute();
  change.record('key.create', `key/${row.id}`, {
    principalId: principal.id,
    principal: principal.name,
    scopes: fromJson<Scope[]>(row.scopes),
    endpoints: key.endpoints ?? null,
    description: row.description,
  });
  change.rekeyed();
  return row;
}

export async function markRevoked(
  change: Change,
  row: ApiKeysTable,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  await change.trx
    .updateTable('api_keys')
    .set({ revoked_at: change.at, revoked_by: change.actor.principal, ...touched(change, row) })
    .where('id', '=', row.id)
    .execute();
  change.record('key.revoke', `key/${row.id}`, { principalId: row.principal_id, ...details });
  change.rekeyed();
}

/** What every change of a key writes beside. */
export function touched(change: Change, row: ApiKeysTable) {
  return { revision: row.revision + 1, updated_at: change.at, updated_by: change.actor.principal };
}

async function requireKey(db: Queryable, id: string): Promise<KeyRow> {
  const row = await selectKeys(db).where('api_keys.id', '=', id).executeTakeFirst();
  if (row === undefined) throw new AssayError('NOT_FOUND', `there is no key "${id}"`);
  return row;
}

function selectKeys(db: Queryable) {
  return db
    .selectFrom('api_keys')
    .innerJoin('principals', 'principals.id', 'api_keys.principal_id')
    .selectAll('api_keys')
    .select(['principals.name as principal_name', 'principals.kind as principal_kind']);
}

/** Nobody could make another. @throws AssayError FAILED_PRECONDITION */
async function refuseLastAdmin(db: Queryable, row: ApiKeysTable): Promise<void> {
  if (!isAdmin(row) || (await hasAdmin(db, row.id))) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `${row.id} is the last key with the scope admin; without one nobody could make another. Make one first`,
  );
}

/** None named: all of them. */
function endpointsColumn(names: readonly string[]): string | null {
  return names.length === 0 ? null : JSON.stringify([...new Set(names)]);
}

function permissionsOf({ scopes, endpoints, description }: Pick<ApiKeysTable, 'scopes' | 'endpoints' | 'description'>) {
  return {
    scopes: fromJson<Scope[]>(scopes),
    endpoints: endpoints === null ? null : fromJson<string[]>(endpoints),
    description,
  };
}

function isAdmin(row: { readonly scopes: string }): boolean {
  return fromJson<Scope[]>(row.scopes).includes('admin');
}

function keyOf(row: KeyRow): ApiKey {
  return {
    id: row.id,
    principalId: row.principal_id,
    principalName: row.principal_name,
    principalKind: row.principal_kind,
    scopes: fromJson<Scope[]>(row.scopes),
    ...(row.endpoints === null ? {} : { endpoints: fromJson<string[]>(row.endpoints) }),
    description: row.description,
    revision: row.revision,
    createdAt: row.created_at,
    createdBy: row.created_by,
    revokedAt: row.revoked_at,
    revokedBy: row.revoked_by,
  };
}
