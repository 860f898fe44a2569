/** An encoder of features alone, as if a graph had an input for each. */
import type { Feature } from '@assay/contracts';
import { createEncoder, type Encoder } from '../encoder.ts';
import { layoutOf } from '../layout.ts';
import type { ElementType } from '../session.ts';

const GRAPH_TYPES: Record<Feature['dtype'], ElementType> = {
  float32: 'float32',
  float64: 'float64',
  int64: 'int64',
  string: 'string',
  bool: 'bool',
  timestamp: 'int64',
};

/** @param types of the inputs that have another type than their dtype's own */
export function encoderFor(
  features: readonly Feature[],
  types: Readonly<Record<string, ElementType>> = {},
  compiled = true,
): Encoder {
  const inputs = features.map(({ name, dtype, shape }) => ({
    name,
    type: (Object.hasOwn(types, name) ? types[name] : undefined) ?? GRAPH_TYPES[dtype],
    dims: ['N', ...(shape.length === 0 ? [1] : shape)],
  }));
  return createEncoder(layoutOf({ features: [...features], outputs: [] }, inputs), { compiled });
}
