/** Rows of tensors as named records: the form in which predictions of every door are logged and replayed. */
import { type Dtype, elementCount, type Signature } from '@assay/contracts';
import { formatTimestamp, type InputTensor, type TensorData } from '@assay/scoring';

/** Row `row` of tensors that were accepted; undefined where a value has no form in a record (an instant beyond year 9999). */
export function recordOfTensors(
  signature: Signature,
  inputs: readonly InputTensor[],
  row: number,
): Record<string, unknown> | undefined {
  const record: Record<string, unknown> = {};
  for (const { name, dtype, shape } of signature.features) {
    const input = inputs.find((each) => each.name === name);
    if (input === undefined) continue;
    let next = row * elementCount(shape);
    let isWhole = true;
    const nest = (depth: number): unknown => {
      const size = shape[depth];
      if (size !== undefined) {
        const list: unknown[] = [];
        for (let i = 0; i < size; i++) list.push(nest(depth + 1));
        return list;
      }
      const value = recordValue(dtype, elementOf(input.data, next++));
      if (value === undefined) isWhole = false;
      return value;
    };
    const value = nest(0);
    if (!isWhole) return undefined;
    record[name] = value;
  }
  return record;
}

function elementOf(data: TensorData, at: number): unknown {
  return 'dictionary' in data ? data.dictionary[data.codes[at] ?? -1] : data[at];
}

function recordValue(dtype: Dtype, element: unknown): unknown {
  if (element === null || element === undefined || Number.isNaN(element)) return null;
  switch (dtype) {
    case 'bool':
      return element === true || element === 1;
    case 'timestamp':
      if (typeof element === 'bigint' || Number.isInteger(element)) return formatTimestamp(BigInt(element as number));
      return element;
    default:
      return element;
  }
}
