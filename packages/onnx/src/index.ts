/** ONNX graphs: read, checked, described, rewritten and written. Nothing here runs them. */

export type { AttributeValue } from './attributes.ts';
export * as attribute from './attributes.ts';
export type { Calibration } from './calibration.ts';
export * from './element-types.ts';
export { type ExplainableTrees, explainableTrees } from './explainable-trees.ts';
export { nextDown, nextDownFloat32, nextUp } from './floating-point.ts';
export { DEFAULT_OPSETS, GraphBuilder, type GraphOptions, type NodeOptions } from './graph-builder.ts';
export {
  type InputDescription,
  inspect,
  type ModelDescription,
  type OperatorUse,
  type ValueDescription,
} from './inspect.ts';
export type { LinearPredictor, LinearTerm } from './linear.ts';
export type { MatrixColumn } from './matrix-columns.ts';
export { type AlignedOpsets, alignOpsets, type NamedModel } from './merge/align-opsets.ts';
export { type ChainLink, chainIn, chainOf, type DeclaredTensor, writeChain } from './merge/chain.ts';
export {
  addCalibration,
  addCast,
  addConcat,
  addLabel,
  addMean,
  addPick,
  addReshape,
  addVote,
  type FloatType,
  type ProbabilityMap,
} from './merge/combine.ts';
export { type Inclusion, includeModel, sharedFunctions } from './merge/include-model.ts';
export {
  type Attribute,
  type Dimension,
  type Graph,
  type ModelFunction,
  type Node,
  type OnnxModel,
  type Opset,
  type TensorHeader,
  type ValueInfo,
  type ValueType,
  writeModel,
} from './model.ts';
export { ORDERING_VERSION, orderCategories } from './order-categories.ts';
export {
  type LeftInput,
  PACKING_VERSION,
  type PackedColumn,
  type PackedInput,
  type Packing,
  packInputs,
} from './pack-inputs.ts';
export { type ReadLimits, readModel } from './read-model.ts';
export { BRANCH_LT, BRANCH_MEMBER, type TreeEnsemble } from './read-trees.ts';
export { type FeatureEncoding, MISSING_STRINGS, type TabularFeature } from './tabular-features.ts';
export { buildTabularModel, TABULAR_OUTPUTS, type TabularModel } from './tabular-model.ts';
export { type OutputRewrite, type TensorizedOutputs, tensorizeOutputs } from './tensorize-outputs.ts';
export {
  boolTensor,
  float32Tensor,
  float64Tensor,
  int64Tensor,
  stringTensor,
  type Tensor,
  uint8Tensor,
} from './tensors.ts';
export type { TreeCovers } from './tree-covers.ts';
export type { CategorySplit, NumberSplit, TreeLeaf, TreeNode, TreePredictor } from './trees.ts';
