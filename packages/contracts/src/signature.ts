/**
 * The signature: the named, typed features that a version takes and the outputs that it gives. It is the contract of an
 * endpoint, the source of the record encoder, of the JSON Schema of a request, and of the ONNX inputs (one a feature).
 */
import Type from 'typebox';

export const DTYPES = ['float32', 'float64', 'int64', 'string', 'bool', 'timestamp'] as const;
/**
 * `timestamp` is an instant: RFC 3339 with an offset in JSON records, int64 microseconds since 1970-01-01T00:00:00Z in
 * tensors and graphs. `int64` keeps its exact value through every door.
 */
export const Dtype = Type.Enum([...DTYPES], { $id: 'Dtype', description: 'The element type of a feature or output.' });
export type Dtype = Type.Static<typeof Dtype>;

export const AllowedValues = Type.Object(
  {
    set: Type.Enum(['closed', 'open'], {
      description: '`closed`: another value is an error. `open`: another value is taken as unknown.',
    }),
    values: Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean()]), { minItems: 1 }),
  },
  { additionalProperties: false, description: 'The values that the model knows.' },
);
export type AllowedValues = Type.Static<typeof AllowedValues>;

export const ValueRange = Type.Object(
  { min: Type.Optional(Type.Number()), max: Type.Optional(Type.Number()) },
  { additionalProperties: false, description: 'Inclusive bounds; a value outside is an error.' },
);
export type ValueRange = Type.Static<typeof ValueRange>;

export const Feature = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    dtype: Dtype,
    shape: Type.Array(Type.Integer({ minimum: 1 }), {
      default: [],
      maxItems: 7,
      description: 'Dimensions of one value, without the batch; `[]` is a scalar. `[30]` is a vector of thirty.',
    }),
    nullable: Type.Boolean({
      description: 'Whether the value may be null, NaN or absent; the graph then sees NaN, or "" for a string.',
    }),
    values: Type.Optional(AllowedValues),
    range: Type.Optional(ValueRange),
    unit: Type.Optional(Type.String({ maxLength: 64, description: 'UCUM or plain words: `km`, `minutes`.' })),
    description: Type.Optional(Type.String({ maxLength: 2000 })),
  },
  { $id: 'Feature', additionalProperties: false },
);
export type Feature = Type.Static<typeof Feature>;

export const Output = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    dtype: Dtype,
    shape: Type.Array(Type.Integer({ minimum: 1 }), {
      maxItems: 7,
      description: 'Dimensions for one record, without the batch; `[]` is a scalar.',
    }),
    classes: Type.Optional(
      Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        description: 'With a vector of class probabilities: the class of each position.',
      }),
    ),
    description: Type.Optional(Type.String({ maxLength: 2000 })),
  },
  { $id: 'Output', additionalProperties: false },
);
export type Output = Type.Static<typeof Output>;

export const Signature = Type.Object(
  {
    features: Type.Array(Feature, { minItems: 1, maxItems: 10_000 }),
    outputs: Type.Array(Output, { minItems: 1, maxItems: 1000 }),
  },
  { $id: 'Signature', additionalProperties: false, description: 'What a version takes and gives.' },
);
export type Signature = Type.Static<typeof Signature>;

/** Number of elements of one value of this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/**
 * Whether requests written for `contract` can be answered by `offered`, and why not. A version may take fewer
 * restrictions than the contract promises, never more, and must give every output that the contract names.
 */
export function incompatibilities(contract: Signature, offered: Signature): string[] {
  const problems: string[] = [];
  const promised = new Map(contract.features.map((feature) => [feature.name, feature]));
  const takes = new Map(offered.features.map((feature) => [feature.name, feature]));
  for (const feature of contract.features) {
    const other = takes.get(feature.name);
    if (other === undefined) problems.push(`feature "${feature.name}" is not taken`);
    else problems.push(...featureIncompatibilities(feature, other));
  }
  for (const feature of offered.features) {
    if (!promised.has(feature.name) && !feature.nullable) {
      problems.push(`feature "${feature.name}" is required and not part of the contract`);
    }
  }
  const gives = new Map(offered.outputs.map((output) => [output.name, output]));
  for (const output of contract.outputs) {
    const other = gives.get(output.name);
    if (other === undefined) problems.push(`output "${output.name}" is not given`);
    else if (other.dtype !== output.dtype || !sameShape(other.shape, output.shape)) {
      problems.push(`output "${output.name}" is ${describeType(other)}, the contract says ${describeType(output)}`);
    }
  }
  return problems;
}

function featureIncompatibilities(promised: Feature, taken: Feature): string[] {
  const problems: string[] = [];
  if (promised.dtype !== taken.dtype || !sameShape(promised.shape, taken.shape)) {
    problems.push(`feature "${promised.name}" is ${describeType(taken)}, the contract says ${describeType(promised)}`);
  }
  if (promised.nullable && !taken.nullable) problems.push(`feature "${promised.name}" may not be null`);
  if (taken.values?.set === 'closed') {
    const known = new Set(taken.values.values);
    const missing = promised.values?.set === 'closed' ? promised.values.values.filter((v) => !known.has(v)) : undefined;
    if (missing === undefined) problems.push(`feature "${promised.name}" takes a closed set, the contract does not`);
    else if (missing.length > 0) problems.push(`feature "${promised.name}" does not take ${missing.join(', ')}`);
  }
  const { min, max } = taken.range ?? {};
  if (min !== undefined && !((promised.range?.min ?? Number.NEGATIVE_INFINITY) >= min)) {
    problems.push(`feature "${promised.name}" must be at least ${min}, the contract allows less`);
  }
  if (max !== undefined && !((promised.range?.max ?? Number.POSITIVE_INFINITY) <= max)) {
    problems.push(`feature "${promised.name}" must be at most ${max}, the contract allows more`);
  }
  return problems;
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dimension, i) => dimension === b[i]);
}

/** As a reader would write it: `float32[2]`. */
export function describeType(of: { dtype: Dtype; shape: readonly number[] }): string {
  return of.shape.length === 0 ? of.dtype : `${of.dtype}[${of.shape.join(',')}]`;
}
