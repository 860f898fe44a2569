/**
 * In which version of its operator set an operator came to read differently what had been written for it before: an
 * attribute or input that moved or fell away, another default, a type no longer taken, the operator itself deprecated.
 * Versions that only took more types or added something optional are not among them.
 *
 * Of versions above 7. A test holds the list to the schemas of the onnx package, 1.23; what only their texts changed stands
 * at the end.
 */
const ONNX: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [9, 14],
  Clip: [11],
  DFT: [20],
  Dropout: [10, 12],
  Erf: [13],
  Gemm: [11],
  GridSample: [20],
  Hardmax: [13],
  LogSoftmax: [13],
  OptionalHasElement: [18],
  Pad: [11],
  ReduceL1: [18],
  ReduceL2: [18],
  ReduceLogSum: [18, 28],
  ReduceLogSumExp: [18, 28],
  ReduceMax: [18],
  ReduceMean: [18],
  ReduceMin: [18],
  ReduceProd: [18],
  ReduceSum: [13],
  ReduceSumSquare: [18],
  Resize: [11, 13],
  Scan: [9],
  Scatter: [11],
  Slice: [10],
  Softmax: [13],
  Split: [13],
  Squeeze: [13],
  TopK: [10],
  Unsqueeze: [13],
  Upsample: [9, 10],
  // Its padding counts differently; its scale and bias are of channels, no longer of groups.
  AveragePool: [19],
  GroupNormalization: [21],
};

const ONNX_ML: Readonly<Record<string, readonly number[]>> = {
  LabelEncoder: [2],
  TreeEnsembleClassifier: [5],
  TreeEnsembleRegressor: [5],
};

/** Below this version of ai.onnx most operators broadcast in another way. */
export const COMPARED_FROM = 7;

/** Whether a node means the same in version `to` of its operator set as in `from`, an earlier one. */
export function meansTheSame(domain: string, opType: string, from: number, to: number): boolean {
  if (from === to) return true;
  const changes = domain === '' ? ONNX : domain === 'ai.onnx.ml' ? ONNX_ML : undefined;
  if (changes === undefined || (domain === '' && from < COMPARED_FROM)) return false;
  return !(changes[opType] ?? []).some((version) => version > from && version <= to);
}
