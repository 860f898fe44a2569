/** `assay compose`: one version made of others. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { AssayError, Composition, type Version } from '@assay/contracts';
import { parseYaml } from '@assay/runtime';
import type { ComposeRequest, PartPackage } from '@assay/scoring';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { readUserFile } from '../user-files.ts';
import { moveAliasTo } from './alias.ts';
import { ensureModel, summary } from './register.ts';

export async function compose(io: Io, path: string, options: TargetOptions): Promise<void> {
  const composition = parseYaml(Composition, await readUserFile(io, path, 'spec'), path);
  const { model, description, register: { alias } = {} } = composition;
  const work = await mkdtemp(join(tmpdir(), 'assay-compose-'));
  try {
    await using registry = createRegistryClient(await peerOf('registry', io, options));
    const parts = await fetchParts(registry, composition, work, io.signal);
    const dir = join(work, 'package');
    const request: ComposeRequest = { composition, parts };
    const requestPath = join(work, 'request.json');
    await writeFile(requestPath, JSON.stringify(request));
    const { composeInChild } = await import('@assay/scoring');
    const { graphs, apart } = await composeInChild(requestPath, { dir, signal: io.signal });
    await ensureModel(registry, model, io.signal);
    const version = await registry.uploadPackage(model, dir, {
      ...(description === undefined ? {} : { description }),
      signal: io.signal,
    });
    if (alias !== undefined) await moveAliasTo(registry, model, alias, version.id, io.signal);
    if (options.json) io.out(json(version));
    else {
      for (const { step, model, version } of parts) io.err(`${step} is ${model} ${version}\n`);
      if (apart !== undefined) {
        io.err(`in ${graphs.length} graphs: ${graphs.map((steps) => steps.join(' + ')).join(', then ')}: ${apart}\n`);
      }
      io.out(summary(version, alias));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The packages of the versions that the steps name; one that two steps name is fetched once. */
async function fetchParts(
  registry: RegistryClient,
  { steps }: Composition,
  work: string,
  signal: AbortSignal,
): Promise<PartPackage[]> {
  const parts: PartPackage[] = [];
  for (const [step, what] of Object.entries(steps)) {
    if (!('version' in what)) continue;
    const version = await findVersion(registry, what.version, `steps.${step}.version`, signal);
    const dir = join(work, version.id);
    await registry.downloadPackage(version, dir, { signal });
    const { digest, modelName, id } = version;
    parts.push({ step, dir, digest, model: modelName, version: version.version, versionId: id });
  }
  return parts;
}

/** @param reference `MODEL`, `MODEL@NUMBER` or `MODEL@ALIAS` */
async function findVersion(
  registry: RegistryClient,
  reference: string,
  place: string,
  signal: AbortSignal,
): Promise<Version> {
  const [model = '', named = 'champion'] = reference.split('@');
  try {
    if (/^\d+$/.test(named)) return await registry.getVersion(model, Number(named), { signal });
    const { aliases } = await registry.getModel(model, { signal });
    const number = aliases[named];
    if (number !== undefined) return await registry.getVersion(model, number, { signal });
  } catch (cause) {
    const error = AssayError.from(cause);
    if (error.code !== 'NOT_FOUND') throw error;
    throw new AssayError('NOT_FOUND', `${place}: ${error.message}`, { cause });
  }
  throw new AssayError('NOT_FOUND', `${place}: model ${model} has no alias ${named}`);
}
