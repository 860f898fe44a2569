/** `assay keys`: who may call, with what. The text of a key is printed once, when it is made. */
import { resolve } from 'node:path';
import { createRegistryClient } from '@assay/client';
import { type ApiKey, AssayError, nearest, type PrincipalKind, SCOPES, type Scope } from '@assay/contracts';
import type { Io } from '../io.ts';
import { facts, instant, json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { unwritable } from '../user-files.ts';

export interface CreateKeyOptions extends TargetOptions {
  readonly scopes: readonly string[];
  readonly endpoints?: readonly string[];
  readonly service?: boolean;
  readonly description?: string;
}

/** Prints the text alone on standard output, so that it can be piped to where it belongs; the rest on standard error. */
export async function create(io: Io, principal: string, options: CreateKeyOptions): Promise<void> {
  const kind: { kind?: PrincipalKind } = options.service ? { kind: 'service' } : {};
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const made = await registry.createKey(
    {
      principal,
      ...kind,
      scopes: options.scopes.map(scopeOf),
      ...(options.endpoints === undefined ? {} : { endpoints: [...options.endpoints] }),
      ...(options.description === undefined ? {} : { description: options.description }),
    },
    { signal: io.signal },
  );
  if (options.json) return io.out(json(made));
  io.err(`Key ${made.key.id} of ${principal} (${made.key.scopes.join(', ')}). It is shown this once:\n`);
  io.out(`${made.secret}\n`);
}

export interface ListKeysOptions extends TargetOptions {
  readonly principal?: string;
  readonly all?: boolean;
}

/** Keys that hold; revoked ones too with `--all`. */
export async function list(io: Io, options: ListKeysOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const keys: ApiKey[] = [];
  for (let after: string | undefined; ; ) {
    const page = await registry.listKeys(
      {
        ...(after === undefined ? {} : { after }),
        ...(options.principal === undefined ? {} : { principal: options.principal }),
      },
      { signal: io.signal },
    );
    keys.push(...page.items.filter((key) => options.all || key.revokedAt === null));
    after = page.next;
    if (after === undefined) break;
  }
  if (options.json) return io.out(json({ items: keys }));
  io.out(
    table(
      ['ID', 'PRINCIPAL', 'SCOPES', 'ENDPOINTS', 'CREATED', 'REVOKED', 'DESCRIPTION'],
      keys.map((key) => [
        key.id,
        key.principalName,
        key.scopes.join(','),
        key.endpoints?.join(',') ?? 'all',
        instant(key.createdAt),
        key.revokedAt === null ? '-' : instant(key.revokedAt),
        key.description,
      ]),
    ),
  );
}

export async function show(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const key = await registry.getKey(id, { signal: io.signal });
  if (options.json) return io.out(json(key));
  io.out(
    facts([
      ['id', key.id],
      ['principal', `${key.principalName} (${key.principalKind}, ${key.principalId})`],
      ['scopes', key.scopes.join(', ')],
      ['endpoints', key.endpoints?.join(', ') ?? 'all'],
      ['created', `${instant(key.createdAt)} by ${key.createdBy}`],
      ['revoked', key.revokedAt === null ? 'no' : `${instant(key.revokedAt)} by ${key.revokedBy}`],
      ['description', key.description],
    ]),
  );
}

export async function revoke(io: Io, id: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const key = await registry.revokeKey(id, { signal: io.signal });
  if (options.json) return io.out(json(key));
  io.out(`Key ${key.id} of ${key.principalName} is revoked. Services refuse it within 5 s.\n`);
}

/** Makes the files of a bootstrap folder, for a registry that is not there yet. */
export async function init(io: Io, dir: string, options: { readonly json?: boolean }): Promise<void> {
  const { ensureBootstrapFiles } = await import('@assay/standalone');
  const target = resolve(io.cwd, dir);
  const files = await ensureBootstrapFiles(target).catch((thrown: unknown) => {
    throw unwritable(dir, thrown);
  });
  if (options.json) return io.out(json({ dir: target, ...files }));
  if (files.made.length > 0) io.out(`Made in ${target}: ${files.made.join(', ')}\n`);
  if (files.kept.length > 0) io.out(`There already, and left as they are: ${files.kept.join(', ')}\n`);
  io.out(`Start the registry with ASSAY_REGISTRY_BOOTSTRAP_KEYS_DIR=${target}, and each service with its own:\n`);
  io.out(`  ASSAY_SERVICE_KEY_FILE=${target}/inference\n`);
}

/** @throws AssayError INVALID_ARGUMENT with the nearest scope */
function scopeOf(text: string): Scope {
  const scope = SCOPES.find((one) => one === text);
  if (scope !== undefined) return scope;
  const suggestion = nearest(text, SCOPES);
  throw new AssayError(
    'INVALID_ARGUMENT',
    `--scopes: there is no scope "${text}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}; expected ${SCOPES.join(', ')}`,
  );
}
