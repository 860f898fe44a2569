/**
 * MLmodel: MLflow's description of the package, so that `mlflow.pyfunc.load_model` scores a DataFrame with it.
 * https://mlflow.org/docs/latest/ml/model/ (format), `mlflow/onnx/__init__.py` (flavor)
 */
import type { Dtype, Feature, Output, Signature } from '@assay/contracts';
import { stringify } from 'yaml';

/** Element types of a graph's tensors, by their NumPy names (`str` for strings, which MLflow maps to objects). */
export type TensorType =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'str';

const DTYPE_TENSORS: Record<Dtype, TensorType> = {
  float32: 'float32',
  float64: 'float64',
  int64: 'int64',
  timestamp: 'int64',
  bool: 'bool',
  string: 'str',
};

/**
 * The element type that a feature's graph input has in packages that Assay makes. What has no missing value of its own
 * becomes float64 once it may be missing, since NaN in an integer tensor turns into a number in silence.
 */
export function graphTensorType(feature: Pick<Feature, 'dtype' | 'nullable'>): TensorType {
  const type = DTYPE_TENSORS[feature.dtype];
  return feature.nullable && (type === 'int64' || type === 'bool') ? 'float64' : type;
}

export interface MlModelOptions {
  readonly signature: Signature;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  /** Of graph inputs whose element type is not `graphTensorType` of their feature, as foreign graphs may have. */
  readonly inputTypes?: Readonly<Record<string, TensorType>>;
}

/**
 * The text of an MLmodel file. Each input is a tensor spec of its own, [-1, 1] for a scalar: MLflow then feeds the columns
 * of a DataFrame by name. Column specs and a missing signature do not work with graphs of one input a feature.
 */
export function writeMlModel({ signature, createdAt, inputTypes = {} }: MlModelOptions): string {
  const spec = (of: Feature | Output, dtype: TensorType) => ({
    name: of.name,
    type: 'tensor',
    'tensor-spec': { dtype, shape: [-1, ...(of.shape.length === 0 ? [1] : of.shape)] },
  });
  const inputs = signature.features.map((feature) =>
    spec(feature, inputTypes[feature.name] ?? graphTensorType(feature)),
  );
  const outputs = signature.outputs.map((output) => spec(output, DTYPE_TENSORS[output.dtype]));
  return stringify({
    flavors: {
      onnx: { data: 'model.onnx', providers: ['CPUExecutionProvider'], code: null },
      python_function: { loader_module: 'mlflow.onnx', data: 'model.onnx' },
    },
    // MLflow keeps both lists as JSON text inside the YAML.
    signature: { inputs: JSON.stringify(inputs), outputs: JSON.stringify(outputs), params: null },
    utc_time_created: createdAt.replace('T', ' ').replace('Z', ''),
  });
}
