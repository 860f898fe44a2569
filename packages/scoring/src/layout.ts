/** Where each feature's values stand in the tensors that the graph takes. */
import { AssayError, elementCount, type Feature, type Signature } from '@assay/contracts';
import type { PackedColumn } from '@assay/onnx';
import type { ElementArray, ElementType, TensorInfo } from './session.ts';

/** One input tensor of the graph: the values of one feature, or of several side by side. */
export interface Slot {
  readonly inputName: string;
  readonly type: ElementType;
  /** Elements a row. */
  readonly width: number;
  /** Dimensions after the rows; `[]` for a tensor of rank 1. */
  readonly tail: readonly number[];
}

/** One feature's place: elements `at` to `at + width` of each row of a slot. */
export interface Column {
  readonly feature: Feature;
  readonly slot: number;
  readonly at: number;
  readonly width: number;
  /** The element type that the graph computes with; the slot's may be wider. */
  readonly graphType: ElementType;
}

export interface Layout {
  readonly slots: readonly Slot[];
  /** In the order of the signature. */
  readonly columns: readonly Column[];
  /** The graph takes exactly one row a run: its batch dimension is fixed to 1. */
  readonly oneRow: boolean;
}

/** The element types that a dtype may have in a graph. A nullable value needs one that has a missing value. */
const GRAPH_TYPES: Record<Feature['dtype'], readonly ElementType[]> = {
  float32: ['float32'],
  float64: ['float64'],
  int64: ['int64', 'int32', 'int16', 'int8', 'uint64', 'uint32', 'uint16', 'uint8', 'float64'],
  timestamp: ['int64', 'float64'],
  bool: ['bool', 'float64', 'float32'],
  string: ['string'],
};
const HAVE_A_MISSING_VALUE: readonly ElementType[] = ['float32', 'float64', 'string'];

/**
 * The layout of a graph with these inputs for records of this signature.
 * @throws AssayError UNPROCESSABLE_MODEL when the two do not fit, naming the feature or input
 */
export function layoutOf(
  signature: Signature,
  inputs: readonly TensorInfo[],
  packed: readonly PackedColumn[] = [],
): Layout {
  const slots = inputs.map(slotOf);
  const slotByName = new Map(slots.map((slot, i) => [slot.inputName, i]));
  const packedByName = new Map(packed.map((input) => [input.name, input]));
  const fed = new Set<string>();
  const columns = signature.features.map((feature): Column => {
    // As a key of an object it would set the prototype, here and in many a caller.
    if (feature.name === '__proto__') throw misfit('"__proto__" cannot be the name of a feature');
    const within = packedByName.get(feature.name);
    const inputName = within?.input ?? feature.name;
    const slot = slotByName.get(inputName);
    const target = slot === undefined ? undefined : slots[slot];
    if (slot === undefined || target === undefined) {
      throw misfit(`the graph has no input for feature ${JSON.stringify(feature.name)}; it has ${listed(inputs)}`);
    }
    fed.add(inputName);
    const column = {
      feature,
      slot,
      at: within?.offset ?? 0,
      width: within?.width ?? target.width,
      graphType: within?.elementType ?? target.type,
    };
    checkFit(column);
    return column;
  });
  const unfed = inputs.find(({ name }) => !fed.has(name));
  if (unfed !== undefined)
    throw misfit(`the graph's input ${JSON.stringify(unfed.name)} is no feature of the signature`);
  const rowDims = new Set(inputs.map(({ dims }) => (typeof dims[0] === 'number' ? dims[0] : 'any')));
  const oneRow = rowDims.has(1);
  if ([...rowDims].some((rows) => rows !== 'any' && rows !== 1) || (oneRow && rowDims.size > 1)) {
    throw misfit(
      `the graph takes a fixed number of rows (${[...rowDims].join(', ')}); its first dimension must be open`,
    );
  }
  return { slots, columns, oneRow };
}

function slotOf({ name, type, dims }: TensorInfo): Slot {
  const [rows, ...rest] = dims;
  if (rows === undefined)
    throw misfit(`the graph's input ${JSON.stringify(name)} is a scalar; it needs a dimension of rows`);
  const tail = rest.map((size) => {
    if (typeof size !== 'number' || size < 1) {
      throw misfit(
        `the graph's input ${JSON.stringify(name)} has an open dimension besides the rows: [${dims.join(', ')}]`,
      );
    }
    return size;
  });
  return { inputName: name, type, width: elementCount(tail), tail };
}

function checkFit({ feature, width, graphType }: Column): void {
  const { name, dtype, nullable, shape } = feature;
  if (elementCount(shape) !== width) {
    throw misfit(`feature ${JSON.stringify(name)} has ${elementCount(shape)} elements, its graph input ${width} a row`);
  }
  if (!GRAPH_TYPES[dtype].includes(graphType)) {
    throw misfit(
      `feature ${JSON.stringify(name)} is ${dtype}, its graph input ${graphType}; it may be ${GRAPH_TYPES[dtype].join(', ')}`,
    );
  }
  if (nullable && !HAVE_A_MISSING_VALUE.includes(graphType)) {
    throw misfit(
      `feature ${JSON.stringify(name)} is nullable, but ${graphType} has no missing value: give the graph a float64 input for it`,
    );
  }
}

function listed(inputs: readonly TensorInfo[]): string {
  const names = inputs.slice(0, 20).map(({ name }) => JSON.stringify(name));
  return inputs.length > 20 ? `${names.join(', ')}, … (${inputs.length} inputs)` : names.join(', ');
}

function misfit(message: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', message);
}

const CONSTRUCTORS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies Record<Exclude<ElementType, 'string'>, unknown>;

/** Room for `length` elements, in memory of its own from byte 0 on. */
export function newArray(type: ElementType, length: number): ElementArray {
  return type === 'string' ? new Array<string>(length).fill('') : new CONSTRUCTORS[type](length);
}

/** The same room, `shiftElements` further on in its memory: some kernels look at the address. */
export function newShiftedArray(type: ElementType, length: number, shiftElements: number): ElementArray {
  if (type === 'string') return newArray(type, length);
  const TypedArray = CONSTRUCTORS[type];
  const shiftBytes = shiftElements * TypedArray.BYTES_PER_ELEMENT;
  return new TypedArray(new ArrayBuffer(shiftBytes + length * TypedArray.BYTES_PER_ELEMENT), shiftBytes, length);
}

/** Copies elements between arrays of one type; ranges of one array may overlap. */
export function copyElements(from: ElementArray, start: number, end: number, to: ElementArray, at: number): void {
  if (from === to) {
    from.copyWithin(at, start, end);
  } else if (Array.isArray(from) && Array.isArray(to)) {
    for (let i = start; i < end; i++) to[at + i - start] = from[i] ?? '';
  } else if (!Array.isArray(from) && !Array.isArray(to)) {
    (to as Float64Array).set((from as Float64Array).subarray(start, end), at); // of one type, as the caller says
  }
}

/** Puts one value into an array of its type. */
export function storeElement(array: ElementArray, index: number, value: number | bigint | string): void {
  // The rules of values.ts give bigints for 64-bit integers, strings for strings, and numbers for all others.
  (array as (number | bigint | string)[])[index] = value;
}
