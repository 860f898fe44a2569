/** What was checked of a version before it was registered. Of parity its package tells: who wrote it answers for it. */
import type { AssayManifest, Lineage } from '@assay/model-package';

export interface VersionChecks {
  /** They were reproduced. `synthetic`: made by a generator, which proves the graph and nothing of its sense. */
  readonly golden: { readonly source: AssayManifest['golden']['source']; readonly records: number };
  /** The graph against its trainer's own predictions. */
  readonly parity?: NonNullable<Lineage['parity']>;
}

export function checksOf({ golden, lineage }: Pick<AssayManifest, 'golden' | 'lineage'>): VersionChecks {
  return {
    golden: { source: golden.source, records: golden.records.length },
    ...(lineage.parity === undefined ? {} : { parity: lineage.parity }),
  };
}
