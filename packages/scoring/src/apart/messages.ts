/** What goes between a session that runs apart, in a thread or a process of its own, and whoever asks it. */
import type { ErrorCode } from '@assay/contracts';
import type { ElementArray, ElementType, SessionOptions, TensorInfo } from '../session.ts';

/** A tensor without the runtime's own object around it. */
export interface PlainTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: ElementArray;
}
export type PlainTensors = Readonly<Record<string, PlainTensor>>;

export type ToHost =
  /** Once, first. */
  | { readonly type: 'open'; readonly model: Uint8Array; readonly options: SessionOptions }
  | {
      readonly type: 'run';
      readonly number: number;
      readonly feeds: PlainTensors;
      readonly outputNames: readonly string[];
    }
  /** Frees the session and ends, after the runs before it. */
  | { readonly type: 'close' };

export type FromHost =
  | { readonly type: 'opened'; readonly inputs: readonly TensorInfo[]; readonly outputs: readonly TensorInfo[] }
  | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'ran'; readonly number: number; readonly results: PlainTensors }
  /** The runtime failed on these rows. */
  | { readonly type: 'failed'; readonly number: number; readonly reason: string };

/** Memory of which the message may take possession: a copy less. */
export function buffersOf(tensors: PlainTensors): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = [];
  for (const { data } of Object.values(tensors)) {
    if (!Array.isArray(data) && data.buffer instanceof ArrayBuffer) buffers.push(data.buffer);
  }
  return buffers;
}
