/** What a job and its scoring threads say to each other. */
import type { ErrorCode } from '@assay/contracts';
import type { FeatureChunk } from '@assay/tables';
import type { OutputColumn } from '../domain/output-columns.ts';
import type { ScoredChunk } from './judge.ts';

export interface ScoringSetup {
  readonly packageDir: string;
  readonly digest: string;
  readonly maxBatchRows: number;
  readonly columns: readonly OutputColumn[];
  readonly selected: readonly string[];
}

export interface ScorerFacts {
  readonly batchInvariant: boolean;
  /** Results of one class are equal bit for bit. */
  readonly executionClass: string;
  readonly notes: readonly string[];
}

export type ToThread =
  | { readonly type: 'score'; readonly chunk: FeatureChunk; readonly logged: readonly number[] }
  | { readonly type: 'close' };
export type FromThread =
  | { readonly type: 'ready'; readonly facts: ScorerFacts }
  | { readonly type: 'scored'; readonly scored: ScoredChunk }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

/** The memory of typed arrays, to be handed over instead of copied: each is the whole of its own. */
export function buffersOf(values: readonly unknown[]): ArrayBuffer[] {
  return values.flatMap((value) =>
    ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer && value.byteLength === value.buffer.byteLength
      ? [value.buffer]
      : [],
  );
}
