/** `assay promote`: moves an alias to a version, through the gates or, with a reason, past them. */
import { createRegistryClient } from '@assay/client';
import { AssayError, type Force } from '@assay/contracts';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf } from '../targets.ts';
import { type AliasOptions, moveAliasTo } from './alias.ts';
import { suggestModel } from './models.ts';

export interface PromoteOptions extends AliasOptions {
  readonly alias: string;
  readonly force?: boolean;
  readonly reason?: string;
}

export async function promote(io: Io, model: string, version: string, options: PromoteOptions): Promise<void> {
  const force = forceOf(options);
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const target = /^[1-9]\d*$/.test(version) ? Number(version) : version;
  const { alias, expect: expectedRevision } = options;
  const moved = await (expectedRevision === undefined
    ? moveAliasTo(registry, model, alias, target, io.signal, force)
    : registry.moveAlias(
        model,
        alias,
        { version: target, expectedRevision, ...(force === undefined ? {} : { force }) },
        { signal: io.signal },
      )
  ).catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  if (options.json) io.out(json(moved));
  else io.out(`${moved.modelName} ${moved.alias} → version ${moved.version} (revision ${moved.revision})\n`);
}

/** @throws AssayError INVALID_ARGUMENT where one of the two options stands without the other */
function forceOf({ force = false, reason }: PromoteOptions): Force | undefined {
  if (!force && reason === undefined) return undefined;
  if (!force) throw new AssayError('INVALID_ARGUMENT', '--reason: nothing is forced; it goes with --force');
  if (reason === undefined || reason.trim() === '') {
    throw new AssayError('INVALID_ARGUMENT', '--force: needs --reason; it stands in the audit trail');
  }
  return { reason };
}
