/** Writes ONNX graphs, one node after another; the same calls give the same bytes. */
import { AssayError } from '@assay/contracts';
import { type AttributeValue, attributeFields } from './attributes.ts';
import { ELEMENT_TYPE_CODES, type ElementType } from './element-types.ts';
import type { Dimension } from './model.ts';
import { type Field, int64Field, messageField, textField, writeMessage } from './protobuf.ts';
import {
  DIMENSION,
  GRAPH,
  MODEL,
  NODE,
  OPERATOR_SET,
  SHAPE,
  STRING_ENTRY,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from './schema.ts';
import { type Tensor, tensorFields } from './tensors.ts';

/** The operator sets of the graphs that Assay makes. ai.onnx.ml 5 brought TreeEnsemble with sets and doubles. */
export const DEFAULT_OPSETS: Readonly<Record<string, number>> = { '': 21, 'ai.onnx.ml': 5 };
/** The IR version that goes with opset 21. */
const DEFAULT_IR_VERSION = 10;

export interface GraphOptions {
  /** Default `assay`. */
  readonly name?: string;
  /** Version by domain; `''` is ai.onnx. Default DEFAULT_OPSETS. */
  readonly opsets?: Readonly<Record<string, number>>;
  readonly irVersion?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface NodeOptions {
  /** Default `''`, ai.onnx. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  /** Names of the outputs. Default: one, named after the operator. */
  readonly outputs?: readonly string[];
}

export interface AdoptedNodes {
  readonly nodes: readonly Field[];
  readonly initializers: readonly Field[];
  readonly names: Iterable<string>;
}

/**
 * ```ts
 * const graph = new GraphBuilder();
 * const x = graph.input('x', 'float64', ['N', 1]);
 * graph.node('Mul', [x, graph.constant(float64Tensor([2]))], { outputs: ['twice'] });
 * graph.output('twice', 'float64', ['N', 1]);
 * const bytes = graph.build();
 * ```
 */
export class GraphBuilder {
  readonly #options: GraphOptions;
  readonly #nodes: Field[] = [];
  readonly #initializers: Field[] = [];
  readonly #inputs: Field[] = [];
  readonly #outputs: Field[] = [];
  readonly #functions: Field[] = [];
  readonly #names = new Set<string>();
  readonly #metadata: Record<string, string>;
  /** Where the search for a free name goes on, by stem: a graph of 10,000 features has as many casts. */
  readonly #nextSuffix = new Map<string, number>();

  constructor(options: GraphOptions = {}) {
    this.#options = options;
    this.#metadata = { ...options.metadata };
  }

  /** Adds to the metadata of the file. */
  metadata(key: string, value: string): void {
    this.#metadata[key] = value;
  }

  /** Declares an input. @returns its name */
  input(name: string, elementType: ElementType, dims: readonly Dimension[]): string {
    this.#claim(name);
    this.#inputs.push(messageField(GRAPH.input, valueInfoFields(name, elementType, dims)));
    return name;
  }

  /** Declares that the value of that name leaves the graph. */
  output(name: string, elementType: ElementType, dims: readonly Dimension[]): void {
    if (!this.#names.has(name)) {
      throw new AssayError('INVALID_ARGUMENT', `output "${name}" is made by no node of the graph`);
    }
    this.#outputs.push(messageField(GRAPH.output, valueInfoFields(name, elementType, dims)));
  }

  /** @returns the name of the constant */
  constant(tensor: Tensor, name?: string): string {
    const claimed = this.#nameFor(name, 'constant');
    this.#initializers.push(messageField(GRAPH.initializer, tensorFields(claimed, tensor)));
    return claimed;
  }

  /** Adds a node whose inputs exist already. @returns the name of its first output */
  node(opType: string, inputs: readonly string[], options: NodeOptions = {}): string {
    for (const input of inputs) {
      if (input !== '' && !this.#names.has(input)) {
        throw new AssayError('INVALID_ARGUMENT', `node ${opType} takes "${input}", which nothing before it makes`);
      }
    }
    const outputs = (options.outputs ?? [undefined]).map((name) => this.#nameFor(name, opType));
    const fields = nodeFields({ opType, inputs, outputs, domain: options.domain, attributes: options.attributes });
    this.#nodes.push(messageField(GRAPH.node, fields));
    return outputs[0] ?? '';
  }

  /**
   * Takes in nodes and initializers that were written elsewhere, whose inputs exist already or are among `names`.
   * @param names every name that they define
   */
  adopt({ nodes, initializers, names }: AdoptedNodes): void {
    for (const name of names) this.#claim(name);
    this.#nodes.push(...nodes);
    this.#initializers.push(...initializers);
  }

  /** Adds a function of the model's own. @param field of the model */
  adoptFunction(field: Field): void {
    this.#functions.push(field);
  }

  /** The bytes of the whole model. */
  build(): Uint8Array {
    const { name = 'assay', opsets = DEFAULT_OPSETS, irVersion = DEFAULT_IR_VERSION } = this.#options;
    return writeMessage([
      int64Field(MODEL.irVersion, irVersion),
      textField(MODEL.producerName, 'assay'),
      messageField(MODEL.graph, [
        ...this.#nodes,
        textField(GRAPH.name, name),
        ...this.#initializers,
        ...this.#inputs,
        ...this.#outputs,
      ]),
      ...Object.entries(opsets).map(([domain, version]) =>
        messageField(MODEL.opsetImport, [
          textField(OPERATOR_SET.domain, domain),
          int64Field(OPERATOR_SET.version, version),
        ]),
      ),
      ...Object.entries(this.#metadata).map(([key, value]) =>
        messageField(MODEL.metadataProps, [textField(STRING_ENTRY.key, key), textField(STRING_ENTRY.value, value)]),
      ),
      ...this.#functions,
    ]);
  }

  #nameFor(name: string | undefined, stem: string): string {
    const claimed = name ?? this.#freshName(stem);
    this.#claim(claimed);
    return claimed;
  }

  #freshName(stem: string): string {
    let suffix = this.#nextSuffix.get(stem) ?? 1;
    while (this.#names.has(`${stem}_${suffix}`)) suffix += 1;
    this.#nextSuffix.set(stem, suffix + 1);
    return `${stem}_${suffix}`;
  }

  #claim(name: string): void {
    if (name === '' || this.#names.has(name)) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `a graph needs distinct, non-empty names of its values; got "${name}" twice`,
      );
    }
    this.#names.add(name);
  }
}

/** The fields of a NodeProto. */
export function nodeFields(node: {
  readonly opType: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string | undefined;
  readonly attributes?: Readonly<Record<string, AttributeValue>> | undefined;
}): Field[] {
  return [
    ...node.inputs.map((input) => textField(NODE.input, input)),
    ...node.outputs.map((output) => textField(NODE.output, output)),
    textField(NODE.name, `${node.opType}:${node.outputs[0] ?? ''}`),
    textField(NODE.opType, node.opType),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
      messageField(NODE.attribute, attributeFields(name, value)),
    ),
    ...(node.domain === undefined || node.domain === '' ? [] : [textField(NODE.domain, node.domain)]),
  ];
}

/** The fields of a ValueInfoProto for a tensor. @param dims undefined leaves the shape to be inferred */
export function valueInfoFields(
  name: string,
  elementType: ElementType,
  dims: readonly Dimension[] | undefined,
): Field[] {
  const shape = (dims ?? []).map((dimension) => messageField(SHAPE.dimension, dimensionFields(dimension)));
  return [
    textField(VALUE_INFO.name, name),
    messageField(VALUE_INFO.type, [
      messageField(TYPE.tensor, [
        int64Field(TENSOR_TYPE.elementType, ELEMENT_TYPE_CODES[elementType]),
        ...(dims === undefined ? [] : [messageField(TENSOR_TYPE.shape, shape)]),
      ]),
    ]),
  ];
}

function dimensionFields(dimension: Dimension): Field[] {
  if (dimension === null) return [];
  return typeof dimension === 'string'
    ? [textField(DIMENSION.parameter, dimension)]
    : [int64Field(DIMENSION.value, dimension)];
}
