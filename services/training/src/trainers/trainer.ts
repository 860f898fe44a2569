/** A trainer turns rows into a model that predicts, and that can be written down as a graph. */
import type { TrainingSpec } from '@assay/contracts';
import type { LinearPredictor, TreePredictor } from '@assay/onnx';
import type { Part, PreparedFeature } from '../domain/prepared-rows.ts';

export type TrainerSpec = TrainingSpec['trainer'];

export interface TrainingRequest {
  readonly features: readonly PreparedFeature[];
  readonly train: Part;
  readonly validation: Part;
  readonly seed: number;
  readonly threads: number;
  readonly signal: AbortSignal;
  /** Told after each round or iteration. `value` is the validation metric, or the training loss. */
  readonly onStep: (step: {
    readonly done: number;
    readonly of: number;
    readonly metric: string;
    readonly value: number;
  }) => void;
}

export interface TrainedModel {
  readonly predictor: TreePredictor | LinearPredictor;
  /** What the trainer itself says the probabilities are: the reference that the exported graph is held against. */
  predict(part: Part): Float64Array;
  /** Library → version, for the lineage. */
  readonly libraries: Readonly<Record<string, string>>;
  /** What came of it, for a person. */
  readonly summary: string;
  close(): void;
}
