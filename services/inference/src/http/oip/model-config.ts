/** Triton's description of a model. */
import type { ServedEndpoint } from '../../domain/routing-table.ts';
import { DATATYPE_OF, type Datatype } from './datatypes.ts';
import { variantsOf } from './statistics.ts';

/** In the words of Triton's model configuration, as far as they are true of a version. */
const CONFIG_TYPE = {
  BOOL: 'TYPE_BOOL',
  UINT8: 'TYPE_UINT8',
  UINT16: 'TYPE_UINT16',
  UINT32: 'TYPE_UINT32',
  UINT64: 'TYPE_UINT64',
  INT8: 'TYPE_INT8',
  INT16: 'TYPE_INT16',
  INT32: 'TYPE_INT32',
  INT64: 'TYPE_INT64',
  FP16: 'TYPE_FP16',
  FP32: 'TYPE_FP32',
  FP64: 'TYPE_FP64',
  BYTES: 'TYPE_STRING',
} as const satisfies Readonly<Record<Datatype, string>>;

export function configOf(served: ServedEndpoint, version: string | undefined) {
  const [main] = variantsOf(served, version).toSorted((a, b) => b.weight - a.weight);
  const loaded = main?.live?.loaded;
  const { features, outputs } =
    version === undefined ? served.endpoint.contract : (loaded?.signature ?? served.endpoint.contract);
  const scalar = (shape: readonly number[]) => (shape.length === 0 ? [1] : [...shape]);
  return {
    name: served.endpoint.name,
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    max_batch_size: loaded?.maxBatchRows ?? 0,
    input: features.map(({ name, dtype, shape }) => ({
      name,
      data_type: CONFIG_TYPE[DATATYPE_OF[dtype]],
      dims: scalar(shape),
    })),
    output: outputs.map(({ name, dtype, shape }) => ({
      name,
      data_type: CONFIG_TYPE[DATATYPE_OF[dtype]],
      dims: scalar(shape),
    })),
  };
}
