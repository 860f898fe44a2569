/**
 * How much of the training data came to each node of an ensemble, which the attributes of TreeEnsemble have no place for:
 * its nodes_hitrates leave the leaves out. They are kept in the metadata of the file, which costs a run nothing.
 */
import type { OnnxModel } from './model.ts';

/** Base64 of float32, little-endian: of the splits in their order, then of the leaves. */
export const COVERS_KEY = 'assay.tree_covers';

/** float32 holds counts up to 2^24 exactly, and Hessians as XGBoost has them. */
export function writeCovers(covers: readonly number[]): string {
  const { buffer } = Float32Array.from(covers);
  return Buffer.from(buffer).toString('base64');
}

export interface TreeCovers {
  readonly splits: Float32Array;
  readonly leaves: Float32Array;
}

/** undefined where the model has none, or others than of so many nodes. */
export function readCovers(model: OnnxModel, splits: number, leaves: number): TreeCovers | undefined {
  const text = model.metadata.get(COVERS_KEY);
  if (text === undefined) return undefined;
  const bytes = Uint8Array.from(Buffer.from(text, 'base64')); // in memory of its own, so that it begins at byte 0
  if (bytes.length !== 4 * (splits + leaves)) return undefined;
  const covers = new Float32Array(bytes.buffer);
  if (!covers.every((cover) => cover > 0 && Number.isFinite(cover))) return undefined;
  return { splits: covers.subarray(0, splits), leaves: covers.subarray(splits) };
}
