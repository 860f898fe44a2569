/** The lineage of a version, put together from what its package, its run and the registry know of it. */
import type {
  AliasUse,
  EndpointUse,
  LineageDataset,
  LineageInput,
  LineageOrigin,
  LineageRun,
  LineageVersion,
  VersionLineage,
} from '@assay/contracts';
import type { Walk } from './lineage-walk.ts';
import type { PackageOrigin } from './version-origin.ts';

/** A list of a lineage holds so many; the newest, where they have an order. */
export const MAX_LINEAGE_ITEMS = 100;

/**
 * A digest of MLflow has 36 characters at most, a SHA-256 has 64: a run names a dataset version, or a file of one, by the
 * first 32 of its digest. They are 128 bits, so that no other has the same.
 */
export const MLFLOW_DIGEST_LENGTH = 32;

export interface RunDataset {
  readonly name: string;
  readonly digest: string;
  /** JSON: a list of `{key, value}`. */
  readonly tags: string;
}

/** What an MLflow run used a dataset for, if it says so. */
export function contextOf(tags: string): string | undefined {
  const list: unknown = JSON.parse(tags);
  const all: readonly { readonly key?: unknown; readonly value?: unknown }[] = Array.isArray(list) ? list : [];
  const value = all.find(({ key }) => key === 'mlflow.data.context')?.value;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The digest by which a run may mean something of this registry. */
export function registeredDigest(digest: string): string | undefined {
  return /^[0-9a-f]{32}$/.test(digest) ? digest : undefined;
}

/** The package speaks first; what it leaves out, the run and the tags of the version say. */
export function lineageOrigin(
  told: PackageOrigin,
  run: { readonly run: LineageRun; readonly tags: Readonly<Record<string, string>> } | undefined,
  versionTags: Readonly<Record<string, string>>,
): LineageOrigin {
  const tags = { ...versionTags, ...run?.tags };
  const code: LineageOrigin['code'] = { ...told.code };
  for (const [key, tag] of CODE_TAGS) {
    const value = code[key] ?? tags[tag];
    if (value !== undefined && value !== '') code[key] = value;
  }
  return { ...told, ...(run === undefined ? {} : { run: run.run }), code };
}

const CODE_TAGS = [
  ['commit', 'mlflow.source.git.commit'],
  ['repository', 'mlflow.source.git.repoURL'],
  ['branch', 'mlflow.source.git.branch'],
  ['entryPoint', 'mlflow.source.name'],
] as const;

export interface LineageFacts {
  readonly version: LineageVersion;
  readonly origin: LineageOrigin;
  /** These lists may hold one more than is shown. */
  readonly inputs: readonly LineageInput[];
  readonly parents: VersionLineage['parents'];
  readonly children: readonly LineageVersion[];
  readonly aliases: readonly AliasUse[];
  readonly endpoints: readonly EndpointUse[];
  readonly datasets: Walk<LineageDataset>;
  readonly isRead: boolean;
}

export function versionLineage(facts: LineageFacts): VersionLineage {
  const lists = [facts.inputs, facts.parents, facts.children, facts.aliases, facts.endpoints];
  const shown = <T>(list: readonly T[]): T[] => list.slice(0, MAX_LINEAGE_ITEMS);
  return {
    version: facts.version,
    origin: facts.origin,
    inputs: shown(facts.inputs),
    datasets: [...facts.datasets.nodes],
    parents: shown(facts.parents),
    children: shown(facts.children),
    aliases: shown(facts.aliases),
    endpoints: shown(facts.endpoints),
    truncated: facts.datasets.truncated || lists.some((list) => list.length > MAX_LINEAGE_ITEMS),
    unread: !facts.isRead,
  };
}
