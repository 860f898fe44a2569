/**
 * Keys that come from a folder: one file a principal, named after it, with the text of its key, as a Kubernetes Secret is
 * mounted. The folder says what these keys are: a file that changes changes its key, one that goes revokes it. Keys that
 * were made by the API are not concerned.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError } from '@assay/contracts';
import { parseKeyText, secretSha256 } from '@assay/http';
import { childTrace, newId } from '@assay/runtime';
import { BOOTSTRAP, bootstrapRole } from '../domain/principals.ts';
import { type Change, change, type Store } from './change.ts';
import { hasAdmin, insertKey, markRevoked, touched } from './keys.ts';
import { ensurePrincipal } from './principals.ts';
import type { ApiKeysTable } from './tables.ts';

export interface BootstrapKey {
  /** The name of the file: a principal with a role. */
  readonly name: string;
  readonly id: string;
  readonly secretSha256: string;
}

const MAX_FILE_BYTES = 4096;

/**
 * The keys of a folder, by name. What begins with a dot is not looked at (Kubernetes keeps its own links there).
 * @throws AssayError FAILED_PRECONDITION naming the file; never what is in it
 */
export async function readBootstrapKeys(dir: string): Promise<BootstrapKey[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw unusable(`the folder of bootstrap keys ${dir} cannot be read`, cause);
  });
  const keys: BootstrapKey[] = [];
  for (const name of names.filter((one) => !one.startsWith('.')).sort()) {
    const path = join(dir, name);
    bootstrapRole(name);
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      throw unusable(`the bootstrap key ${path} cannot be read`, cause);
    });
    const key = text.length > MAX_FILE_BYTES ? undefined : parseKeyText(text.trim());
    if (key === undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `${path} does not hold the text of an API key; expected assay_ID_SECRET with 43 letters and digits of secret, as \`assay keys init\` writes it`,
      );
    }
    const twin = keys.find(({ id }) => id === key.id);
    if (twin !== undefined) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        `${path} and ${twin.name} hold the same key ${key.id}; each needs its own`,
      );
    }
    keys.push({ name, id: key.id, secretSha256: secretSha256(key.secret) });
  }
  return keys;
}

function unusable(what: string, cause: unknown): AssayError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AssayError('FAILED_PRECONDITION', `${what}: ${why}`, { cause });
}

/**
 * Makes the keys of the database those of the folder, in one change; nothing is written when they are already.
 * @returns the names whose key was revoked by somebody: it stays so until the file holds another
 * @throws AssayError FAILED_PRECONDITION when there would be no administrator, or an id is another's
 */
export function applyBootstrapKeys(store: Store, keys: readonly BootstrapKey[]): Promise<string[]> {
  const actor = {
    principal: BOOTSTRAP,
    requestId: newId('req'),
    ...childTrace(undefined),
    keyId: null,
  };
  return change(store, actor, async (change) => {
    const known = await change.trx.selectFrom('api_keys').selectAll().where('bootstrap', 'is not', null).execute();
    for (const row of known) {
      const isThere = keys.some(({ name, id }) => name === row.bootstrap && id === row.id);
      if (!isThere && row.revoked_at === null)
        await markRevoked(change, row, { reason: 'its file changed or is gone' });
    }
    const revoked: string[] = [];
    for (const key of keys) {
      const row = await change.trx.selectFrom('api_keys').selectAll().where('id', '=', key.id).executeTakeFirst();
      if (row === undefined) await insert(change, key);
      else if (row.bootstrap !== key.name) {
        throw new AssayError(
          'FAILED_PRECONDITION',
          `the bootstrap key of ${key.name} has the id ${key.id}, which is taken`,
        );
      } else if (row.secret_sha256 !== key.secretSha256) await rotate(change, row, key);
      else if (row.revoked_at !== null) revoked.push(key.name);
      else await rescope(change, row, key);
    }
    if (!(await hasAdmin(change.trx))) {
      throw new AssayError(
        'FAILED_PRECONDITION',
        'no key has the scope admin, so that nobody could make others; put one into the file `admin` of the bootstrap folder',
      );
    }
    return revoked;
  });
}

async function insert(change: Change, { name, id, secretSha256: digest }: BootstrapKey): Promise<void> {
  const { kind, scopes, description } = bootstrapRole(name);
  const principal = await ensurePrincipal(change, name, kind);
  await insertKey(change, principal, {
    id,
    secretSha256: digest,
    scopes,
    endpoints: undefined,
    description,
    bootstrap: name,
  });
}

/** The same id with another secret, as a chart may make it: the key goes on, and its old text is worth nothing. */
async function rotate(change: Change, row: ApiKeysTable, { name, secretSha256: digest }: BootstrapKey): Promise<void> {
  const scopes = JSON.stringify(bootstrapRole(name).scopes);
  await change.trx
    .updateTable('api_keys')
    .set({ secret_sha256: digest, scopes, revoked_at: null, revoked_by: null, ...touched(change, row) })
    .where('id', '=', row.id)
    .execute();
  change.record('key.rotate', `key/${row.id}`, { principalId: row.principal_id, wasRevoked: row.revoked_at !== null });
  change.rekeyed();
}

/** Another version of Assay may give a service more, or less. */
async function rescope(change: Change, row: ApiKeysTable, { name }: BootstrapKey): Promise<void> {
  const { scopes } = bootstrapRole(name);
  if (row.scopes === JSON.stringify(scopes)) return;
  await change.trx
    .updateTable('api_keys')
    .set({ scopes: JSON.stringify(scopes), ...touched(change, row) })
    .where('id', '=', row.id)
    .execute();
  change.record('key.rescope', `key/${row.id}`, { principalId: row.principal_id, from: row.scopes, to: scopes });
  change.rekeyed();
}
