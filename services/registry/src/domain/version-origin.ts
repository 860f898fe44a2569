/** How a version was made, as its package tells it: who wrote a package answers for it, nobody checks it. */
import type { LineageOrigin } from '@assay/contracts';
import type { AssayManifest } from '@assay/model-package';

export interface VersionInput {
  /** `version`: the version that it was made from, or is a copy of. */
  readonly kind: 'dataset' | 'file' | 'version';
  readonly digest: string;
  /** The dataset version that is meant, where several have this digest. */
  readonly namedId?: string;
}

/** What the package alone knows; the run is found by the version. */
export type PackageOrigin = Omit<LineageOrigin, 'run'>;

export interface VersionOrigin {
  readonly told: PackageOrigin;
  readonly inputs: readonly VersionInput[];
}

export const UNKNOWN_ORIGIN: VersionOrigin = { told: { code: {}, libraries: {} }, inputs: [] };

export function originOf({ producer, lineage }: Pick<AssayManifest, 'producer' | 'lineage'>): VersionOrigin {
  const {
    dataset,
    datasetSha256s,
    parents = [],
    specSha256,
    specSource,
    codeVersion,
    codeCommit,
    seed,
    jobId,
    origin,
    licence,
  } = lineage;
  return {
    told: {
      producer: { name: producer.name, version: producer.version },
      ...(jobId === undefined ? {} : { jobId }),
      ...(specSha256 === undefined ? {} : { specSha256 }),
      ...(specSource === undefined ? {} : { specSource: { name: specSource.name, revision: specSource.revision } }),
      code: {
        ...(codeVersion === undefined ? {} : { version: codeVersion }),
        ...(codeCommit === undefined ? {} : { commit: codeCommit }),
      },
      ...(seed === undefined ? {} : { seed }),
      libraries: lineage.libraries,
      ...(origin === undefined ? {} : { source: origin }),
      ...(licence === undefined ? {} : { licence }),
    },
    inputs: [
      // A table stands for its files.
      ...(dataset === undefined
        ? [...new Set(datasetSha256s)].map((digest) => ({ kind: 'file' as const, digest }))
        : [{ kind: 'dataset' as const, digest: dataset.digest, namedId: dataset.id }]),
      ...[...new Set(parents)].map((digest) => ({ kind: 'version' as const, digest })),
    ],
  };
}

const PINNED =
  /^([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9][A-Za-z0-9.!+*_-]{0,99})\s*(?:[;#].*)?$/;
/** More are no environment that somebody wrote down. */
const MAX_LIBRARIES = 1000;

/** The libraries that a requirements file of Python pins to one version. */
export function pinnedLibraries(requirements: string): Record<string, string> {
  const libraries: [string, string][] = [];
  for (const line of requirements.split(/\r?\n/)) {
    const [, name, version] = PINNED.exec(line.trim()) ?? [];
    if (name !== undefined && version !== undefined) libraries.push([name, version]);
    if (libraries.length === MAX_LIBRARIES) break;
  }
  return Object.fromEntries(libraries);
}
