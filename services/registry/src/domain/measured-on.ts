/** Which datasets the metrics of a version were measured on: only on the same ones are two versions compared. */
import { contextOf, MLFLOW_DIGEST_LENGTH, type RunDataset } from './version-lineage.ts';

/** What MLflow's users and its own loggers call the data that a model was fitted on. */
const FITTED_ON: readonly string[] = ['train', 'training'];

/**
 * What the run names beside its training data, where it says what it used them for; else everything that the package
 * and the run name: a version is then measured on a part of what it was made from.
 * @returns digests. A run has room for the first digits of a SHA-256: they stand for it
 */
export function measuredOn(inputs: readonly string[], ofRun: readonly RunDataset[]): string[] {
  const heldOut = ofRun.filter(({ tags }) => {
    const context = contextOf(tags)?.toLowerCase();
    return context !== undefined && !FITTED_ON.includes(context);
  });
  if (heldOut.length > 0) return heldOut.map(({ digest }) => digest);
  return [...inputs.map((digest) => digest.slice(0, MLFLOW_DIGEST_LENGTH)), ...ofRun.map(({ digest }) => digest)];
}
