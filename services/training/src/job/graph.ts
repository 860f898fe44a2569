/** The trained model as the graph that is served. */
import { buildTabularModel, type FeatureEncoding } from '@assay/onnx';
import type { PreparedFeature } from '../domain/prepared-rows.ts';
import type { TrainedModel } from '../trainers/trainer.ts';

export function buildGraph(features: readonly PreparedFeature[], model: TrainedModel): Uint8Array {
  return buildTabularModel({
    features: features.map((feature) => ({ name: feature.name, dtype: feature.dtype, encoding: encodingOf(feature) })),
    predictor: model.predictor,
    metadata: { producer: 'assay' },
  });
}

function encodingOf(feature: PreparedFeature): FeatureEncoding {
  if (feature.kind === 'number') return { kind: 'number' };
  return { kind: 'category', values: feature.values.slice(0, feature.knownCount) };
}
