/**
 * The canonical graph of a binary classifier over a table: an input [N, 1] for each feature by its name and type, all
 * preprocessing inside, double arithmetic throughout; outputs `label` int64 [N] and `probabilities` float32 [N, 2].
 */
import { AssayError } from '@assay/contracts';
import { addBinaryOutputs, addProbability, type Calibration } from './calibration.ts';
import { GraphBuilder } from './graph-builder.ts';
import { addLinearModel, type LinearPredictor, linearTable } from './linear.ts';
import { addFeatureMatrix, type CategoryTable, type TabularFeature } from './tabular-features.ts';
import { int64Tensor } from './tensors.ts';
import { addTreeEnsemble, type TreePredictor } from './trees.ts';

export interface TabularModel {
  readonly features: readonly TabularFeature[];
  readonly predictor: TreePredictor | LinearPredictor;
  readonly calibration?: Calibration;
  /** Adds the output `raw_score` float64 [N], before calibration and sigmoid; each output costs some time of a run. */
  readonly withRawScore?: boolean;
  /** Becomes the metadata of the ONNX file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The names that a tabular model gives to its outputs; no feature may have one of them. */
export const TABULAR_OUTPUTS = ['label', 'probabilities', 'raw_score'] as const;

/**
 * Writes the graph; the same model gives the same bytes.
 * @throws AssayError INVALID_ARGUMENT for a model that contradicts itself
 */
export function buildTabularModel(model: TabularModel): Uint8Array {
  const taken = model.features.find(({ name }) => TABULAR_OUTPUTS.some((output) => output === name));
  if (taken !== undefined) {
    throw new AssayError('INVALID_ARGUMENT', `feature "${taken.name}" has the name of an output; rename the feature`);
  }
  const graph = new GraphBuilder({ name: 'tabular', metadata: model.metadata ?? {} });
  const rawScore = addPredictor(graph, model);
  addBinaryOutputs(graph, addProbability(graph, rawScore, model.calibration));
  if (model.withRawScore === true) {
    graph.node('Squeeze', [rawScore, graph.constant(int64Tensor([1]))], { outputs: ['raw_score'] });
    graph.output('raw_score', 'float64', ['N']);
  }
  return graph.build();
}

function addPredictor(graph: GraphBuilder, { features, predictor }: TabularModel): string {
  if (predictor.kind === 'linear') {
    const matrix = addFeatureMatrix(graph, features, (feature, i) => linearTable(predictor, feature, i));
    return addLinearModel(graph, matrix, features, predictor);
  }
  const unknown = predictor.unknownIsMissing === true ? Number.NaN : -1;
  const matrix = addFeatureMatrix(graph, features, (feature) => positions(feature, unknown));
  const splitFeatures = features.map(({ name, encoding }) => ({
    name,
    categories: encoding.kind === 'category' ? encoding.values.length : undefined,
  }));
  return addTreeEnsemble(graph, matrix.name, matrix.columns, splitFeatures, predictor);
}

/** Trees see a category as its position; an unknown one is in no set (−1) or missing (NaN), which has its own way. */
function positions({ encoding }: TabularFeature, unknown: number): CategoryTable {
  const values = encoding.kind === 'category' ? [...encoding.values.keys()] : [];
  return { values, missing: Number.NaN, unknown };
}
