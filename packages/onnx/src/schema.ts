/**
 * The field numbers of ONNX's messages, each named once. Source: onnx/onnx-ml.proto of onnx 1.23 (IR version 14),
 * https://github.com/onnx/onnx/blob/main/onnx/onnx-ml.proto
 */

export const MODEL = {
  irVersion: 1,
  producerName: 2,
  producerVersion: 3,
  domain: 4,
  modelVersion: 5,
  docString: 6,
  graph: 7,
  opsetImport: 8,
  metadataProps: 14,
  trainingInfo: 20,
  functions: 25,
} as const;

export const OPERATOR_SET = { domain: 1, version: 2 } as const;

export const STRING_ENTRY = { key: 1, value: 2 } as const;

export const GRAPH = {
  node: 1,
  name: 2,
  initializer: 5,
  docString: 10,
  input: 11,
  output: 12,
  valueInfo: 13,
  quantizationAnnotation: 14,
  sparseInitializer: 15,
} as const;

export const FUNCTION = { name: 1, node: 7, domain: 10 } as const;

export const NODE = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, docString: 6, domain: 7 } as const;

export const ATTRIBUTE = {
  name: 1,
  float: 2,
  int: 3,
  string: 4,
  tensor: 5,
  graph: 6,
  floats: 7,
  ints: 8,
  strings: 9,
  tensors: 10,
  graphs: 11,
  type: 20,
  refAttrName: 21,
  sparseTensor: 22,
  sparseTensors: 23,
} as const;

/** AttributeProto.AttributeType */
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const;

export const VALUE_INFO = { name: 1, type: 2, docString: 3 } as const;

/** TypeProto; all but `denotation` are members of one oneof. */
export const TYPE = {
  tensor: 1,
  sequence: 4,
  map: 5,
  denotation: 6,
  opaque: 7,
  sparseTensor: 8,
  optional: 9,
} as const;

/** TypeProto.Tensor and TypeProto.SparseTensor */
export const TENSOR_TYPE = { elementType: 1, shape: 2 } as const;

/** TypeProto.Sequence and TypeProto.Optional */
export const CONTAINER_TYPE = { elementType: 1 } as const;

export const SHAPE = { dimension: 1 } as const;

/** TensorShapeProto.Dimension */
export const DIMENSION = { value: 1, parameter: 2 } as const;

export const TENSOR = {
  dims: 1,
  dataType: 2,
  stringData: 6,
  name: 8,
  rawData: 9,
  externalData: 13,
  dataLocation: 14,
} as const;

/** TensorProto.DataLocation */
export const DATA_LOCATION_EXTERNAL = 1n;

export const SPARSE_TENSOR = { values: 1, indices: 2 } as const;
