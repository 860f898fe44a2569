export { sameBits } from './batch-invariance.ts';
export { createBatcher } from './batcher.ts';
export type { PartPackage } from './compose/compose-package.ts';
export { exactJson, exactOutputs } from './exact-outputs.ts';
export { probeProvider } from './execution-provider.ts';
export { createExplainer, type Explainer, type Explanation } from './explain/explainer.ts';
export { type GoldenReport, plainRecord, verifyGolden } from './golden-records.ts';
export type {
  Batcher,
  BatcherOptions,
  Batching,
  DictionaryData,
  ExecutionClass,
  ExecutionProvider,
  FloatColumn,
  GpuProvider,
  GraphOptimization,
  InputBatch,
  InputTensor,
  OutputBatch,
  OutputData,
  OutputTensor,
  PendingCount,
  ScoredRows,
  Scorer,
  ScorerFindings,
  ScorerOptions,
  SubmitOptions,
  TensorData,
} from './interfaces.ts';
export { describeSignatureAsJsonSchema, type JsonSchema } from './json-schema.ts';
export {
  type ComposeRequest,
  composeInChild,
  type LoadReport,
  loadInChild,
  packageOnnxInChild,
} from './load-in-child.ts';
export { type PackageFromOnnxOptions, packageFromOnnx } from './package-from-onnx.ts';
export type { ChildLimits } from './run-in-child.ts';
export { scanFloats } from './scan-floats.ts';
export { createScorer } from './scorer.ts';
export { RUNTIME_VERSION } from './session.ts';
export { syntheticRecords } from './synthetic-records.ts';
export { formatTimestamp, parseTimestamp } from './timestamp.ts';
