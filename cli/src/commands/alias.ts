/** `assay alias`: moves an alias by compare-and-set. */
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { type Alias, AssayError, type Force } from '@assay/contracts';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { suggestModel } from './models.ts';

export interface AliasOptions extends TargetOptions {
  readonly expect?: number;
}

export async function alias(
  io: Io,
  model: string,
  name: string,
  version: string,
  options: AliasOptions,
): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const target = /^[1-9]\d*$/.test(version) ? Number(version) : version;
  const moved = await (options.expect === undefined
    ? moveAliasTo(registry, model, name, target, io.signal)
    : registry.moveAlias(model, name, { version: target, expectedRevision: options.expect }, { signal: io.signal })
  ).catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  if (options.json) io.out(json(moved));
  else io.out(`${moved.modelName} ${moved.alias} → version ${moved.version} (revision ${moved.revision})\n`);
}

/** Moves the alias from wherever it is now. Another who moves it in between wins: STALE_REVISION. */
export async function moveAliasTo(
  registry: RegistryClient,
  model: string,
  name: string,
  version: number | string,
  signal: AbortSignal,
  force?: Force,
): Promise<Alias> {
  const { aliases } = await registry.getModel(model, { signal });
  const expectedRevision = Object.hasOwn(aliases, name) ? await revisionOf(registry, model, name, signal) : 0;
  const body = { version, expectedRevision, ...(force === undefined ? {} : { force }) };
  return registry.moveAlias(model, name, body, { signal });
}

async function revisionOf(registry: RegistryClient, model: string, name: string, signal: AbortSignal): Promise<number> {
  try {
    return (await registry.getAlias(model, name, { signal })).revision;
  } catch (error) {
    if (error instanceof AssayError && error.code === 'NOT_FOUND') return 0; // deleted since
    throw error;
  }
}
