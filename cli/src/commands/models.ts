/** `assay models`: what the registry holds. */
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { AssayError, type Model, nearest, type Version } from '@assay/contracts';
import type { Io } from '../io.ts';
import { byImportance, instant, json, metric, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';

export async function models(io: Io, name: string | undefined, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  if (name === undefined) {
    const found = await allModels(registry, io.signal);
    io.out(options.json ? json(found) : modelTable(found));
    return;
  }
  const model = await registry
    .getModel(name, io)
    .catch((error: unknown) => suggestModel(registry, name, error, io.signal));
  const versions = await allVersions(registry, model.id, io.signal);
  io.out(options.json ? json({ ...model, versions }) : versionTable(model, versions));
}

/** NOT_FOUND of a model with the name that was probably meant; anything else as it was. */
export async function suggestModel(
  registry: RegistryClient,
  name: string,
  error: unknown,
  signal: AbortSignal,
): Promise<never> {
  if (!(error instanceof AssayError) || error.code !== 'NOT_FOUND' || error.message.includes('did you mean'))
    throw error;
  const known = await allModels(registry, signal).catch(() => []);
  const names = known.map((model) => model.name);
  if (names.includes(name)) throw error; // something else of this model was not found
  throw new AssayError('NOT_FOUND', `there is no model "${name}"${orDidYouMean(name, names, 'models')}`, {
    cause: error,
  });
}

/** How a sentence about an unknown name ends. */
export function orDidYouMean(name: string, known: readonly string[], what: string): string {
  const suggestion = nearest(name, known);
  if (suggestion !== undefined) return `; did you mean "${suggestion}"?`;
  if (known.length === 0) return `; there are no ${what} yet`;
  return known.length > 10 ? '' : `; there are ${known.join(', ')}`;
}

/** A registry with more models than this is looked at in other ways. */
const MAX_PAGES = 100;

async function allModels(registry: RegistryClient, signal: AbortSignal): Promise<Model[]> {
  const all: Model[] = [];
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { items, next } = await registry.listModels(
      { limit: 1000, ...(after === undefined ? {} : { after }) },
      { signal },
    );
    all.push(...items);
    if (next === undefined) break;
    after = next;
  }
  return all;
}

async function allVersions(registry: RegistryClient, model: string, signal: AbortSignal): Promise<Version[]> {
  const all: Version[] = [];
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const query = { limit: 100, ...(after === undefined ? {} : { after }) };
    const { items, next } = await registry.listVersions(model, query, { signal });
    all.push(...items);
    if (next === undefined) break;
    after = next;
  }
  return all;
}

function modelTable(found: readonly Model[]): string {
  if (found.length === 0)
    return 'There are no models yet. `assay train SPEC` or `assay register NAME FILE.onnx` makes one.\n';
  return table(
    ['NAME', 'LATEST', 'ALIASES', 'UPDATED', 'ID'],
    found.map((model) => [
      model.name,
      model.latestVersion === null ? '-' : String(model.latestVersion),
      Object.entries(model.aliases)
        .map(([alias, version]) => `${alias}=${version}`)
        .join(' ') || '-',
      instant(model.updatedAt),
      model.id,
    ]),
  );
}

function versionTable(model: Model, versions: readonly Version[]): string {
  if (versions.length === 0) return `${model.name} has no versions yet.\n`;
  return table(
    ['VERSION', 'ALIASES', 'CREATED', 'METRICS', 'DIGEST', 'ID'],
    versions
      .toSorted((a, b) => b.version - a.version)
      .map((version) => [
        String(version.version),
        version.aliases.join(' ') || '-',
        instant(version.createdAt),
        byImportance(version.metrics)
          .slice(0, 3)
          .map(([name, value]) => `${name}=${metric(value)}`)
          .join(' ') || '-',
        version.digest.slice(0, 12),
        version.id,
      ]),
  );
}
