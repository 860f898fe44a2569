/**
 * An ONNX model as typed views over its own bytes: what readModel has checked once, within bounds, nested graphs and
 * functions included.
 */
import type { ElementType } from './element-types.ts';
import { type Field, writeMessage } from './protobuf.ts';

/** A dimension: a number, a symbol such as `N`, or null where the file says nothing. */
export type Dimension = number | string | null;

export type ValueType =
  | {
      readonly kind: 'tensor' | 'sparse-tensor';
      readonly elementType: ElementType | undefined;
      /** undefined: the rank is open. */
      readonly dims: readonly Dimension[] | undefined;
    }
  | { readonly kind: 'sequence' | 'optional'; readonly element: ValueType }
  | { readonly kind: 'map' | 'opaque' | 'unknown' };

/** A named and typed value: an input, an output, or something between. */
export interface ValueInfo {
  readonly field: Field;
  readonly name: string;
  readonly type: ValueType;
}

/** A tensor without its elements. */
export interface TensorHeader {
  readonly name: string;
  readonly elementType: ElementType | undefined;
  readonly dims: readonly bigint[];
  /** Its elements are in another file. */
  readonly external: boolean;
}

export interface Attribute {
  readonly name: string;
  /** The AttributeProto; read by the functions of attributes.ts. */
  readonly bytes: Uint8Array;
  readonly graphs: readonly Graph[];
  readonly tensors: readonly TensorHeader[];
}

export interface Node {
  readonly field: Field;
  readonly opType: string;
  /** `''` is ai.onnx. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly Attribute[];
}

export interface Graph {
  readonly fields: readonly Field[];
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** What the file says about values between inputs and outputs. */
  readonly values: readonly ValueInfo[];
  readonly initializers: readonly TensorHeader[];
}

/** A function of the model's own, which a node calls by domain and name. */
export interface ModelFunction {
  readonly domain: string;
  readonly name: string;
  readonly nodes: readonly Node[];
}

export interface Opset {
  /** `''` is ai.onnx. */
  readonly domain: string;
  readonly version: number;
}

export interface OnnxModel {
  readonly fields: readonly Field[];
  readonly irVersion: number;
  readonly producer: string;
  readonly opsets: readonly Opset[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly graph: Graph;
  readonly functions: readonly ModelFunction[];
}

/** The bytes of a model; those of the file it was read from where nothing was edited. */
export function writeModel(model: OnnxModel): Uint8Array {
  return writeMessage(model.fields);
}
