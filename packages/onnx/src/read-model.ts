/** Reads an ONNX file into typed views, and refuses what is damaged, hostile or of another format. */
import { AssayError } from '@assay/contracts';
import type { Attribute, Graph, ModelFunction, Node, OnnxModel } from './model.ts';
import { bytesOf, type Field, type ReadBudget, readMessage, textOf } from './protobuf.ts';
import { quote } from './quote.ts';
import {
  all,
  lastNumber,
  lastText,
  only,
  toSparseHeader,
  toTensorHeader,
  toValueInfo,
  unprocessable,
} from './read-values.ts';
import { ATTRIBUTE, FUNCTION, GRAPH, MODEL, NODE, OPERATOR_SET, STRING_ENTRY } from './schema.ts';

export interface ReadLimits {
  /** Bytes of the file. Default: protobuf's own limit of 2 GiB. */
  readonly maxBytes?: number;
  /** Fields of all messages that are looked into (a node has some ten). */
  readonly maxFields?: number;
}

const MAX_BYTES = 2 ** 31 - 1;
const MAX_FIELDS = 4_000_000;
/** Graphs within graphs and types within types; each graph is three messages deep, and protobuf's readers stop at 100. */
const MAX_DEPTH = 30;

/** What a file's first bytes say it is, when it is not ONNX. */
const OTHER_FORMATS: readonly { readonly at: number; readonly bytes: string; readonly format: string }[] = [
  { at: 4, bytes: 'ORTM', format: "ONNX Runtime's own format (.ort)" },
  { at: 0, bytes: 'PK\x03\x04', format: 'a zip archive (a PyTorch or Keras file?)' },
  { at: 0, bytes: '\x89HDF', format: 'HDF5 (a Keras file?)' },
  { at: 0, bytes: '\x80\x02', format: 'a Python pickle, which Assay never loads' },
  { at: 0, bytes: '\x80\x03', format: 'a Python pickle, which Assay never loads' },
  { at: 0, bytes: '\x80\x04', format: 'a Python pickle, which Assay never loads' },
  { at: 0, bytes: '\x80\x05', format: 'a Python pickle, which Assay never loads' },
];

/**
 * Reads an ONNX file. The bytes are not copied: leave them as they are while the model is in use.
 * @throws AssayError UNPROCESSABLE_MODEL when the file is no ONNX model, is damaged, or is over a limit
 */
export function readModel(bytes: Uint8Array, limits: ReadLimits = {}): OnnxModel {
  const maxBytes = Math.min(limits.maxBytes ?? MAX_BYTES, MAX_BYTES);
  if (bytes.length > maxBytes) throw unprocessable(`the model has ${bytes.length} bytes; at most ${maxBytes} are read`);
  const budget: ReadBudget = { fieldsLeft: limits.maxFields ?? MAX_FIELDS, maxDepth: MAX_DEPTH };
  try {
    return toModel(readMessage(bytes, 'the model', budget), budget);
  } catch (error) {
    const other = OTHER_FORMATS.find(({ at, bytes: magic }) => startsWith(bytes, at, magic));
    if (other === undefined) throw error;
    throw new AssayError('UNPROCESSABLE_MODEL', `the file is ${other.format}; export the model to ONNX`, {
      cause: error,
    });
  }
}

/** A model whose top-level fields are known: read from a file, or put together by an edit. */
export function modelOf(fields: readonly Field[]): OnnxModel {
  return toModel(fields, { fieldsLeft: MAX_FIELDS, maxDepth: MAX_DEPTH });
}

function startsWith(bytes: Uint8Array, at: number, magic: string): boolean {
  return [...magic].every((character, i) => bytes[at + i] === character.charCodeAt(0));
}

function toModel(fields: readonly Field[], budget: ReadBudget): OnnxModel {
  const what = 'the model';
  const graph = only(fields, MODEL.graph, what);
  if (graph === undefined) throw unprocessable('the file holds no graph; it is no ONNX model');
  const metadata = new Map<string, string>();
  for (const field of all(fields, MODEL.metadataProps)) {
    const entry = readMessage(bytesOf(field, what), 'metadata_props', budget);
    metadata.set(lastText(entry, STRING_ENTRY.key, what), lastText(entry, STRING_ENTRY.value, what));
  }
  return {
    fields,
    irVersion: lastNumber(fields, MODEL.irVersion, what) ?? 0,
    producer: [lastText(fields, MODEL.producerName, what), lastText(fields, MODEL.producerVersion, what)]
      .filter((part) => part !== '')
      .join(' '),
    opsets: all(fields, MODEL.opsetImport).map((field) => {
      const entry = readMessage(bytesOf(field, what), 'opset_import', budget);
      return {
        domain: canonicalDomain(lastText(entry, OPERATOR_SET.domain, what)),
        version: lastNumber(entry, OPERATOR_SET.version, what) ?? 0,
      };
    }),
    metadata,
    graph: toGraph(bytesOf(graph, what), 'the graph', budget, 0),
    functions: all(fields, MODEL.functions).map((field) => toFunction(bytesOf(field, what), budget)),
  };
}

function toFunction(bytes: Uint8Array, budget: ReadBudget): ModelFunction {
  const fields = readMessage(bytes, 'a function', budget);
  const name = lastText(fields, FUNCTION.name, 'a function');
  const what = `function ${quote(name)}`;
  return {
    domain: canonicalDomain(lastText(fields, FUNCTION.domain, what)),
    name,
    nodes: all(fields, FUNCTION.node).map((field) => toNode(field, what, budget, 0)),
  };
}

function toGraph(bytes: Uint8Array, what: string, budget: ReadBudget, depth: number): Graph {
  if (depth > budget.maxDepth) throw unprocessable(`graphs are nested more than ${budget.maxDepth} deep`);
  const fields = readMessage(bytes, what, budget);
  const values = (number: number) => all(fields, number).map((field) => toValueInfo(field, what, budget));
  return {
    fields,
    name: lastText(fields, GRAPH.name, what),
    nodes: all(fields, GRAPH.node).map((field) => toNode(field, what, budget, depth)),
    inputs: values(GRAPH.input),
    outputs: values(GRAPH.output),
    values: values(GRAPH.valueInfo),
    initializers: [
      ...all(fields, GRAPH.initializer).map((field) => toTensorHeader(bytesOf(field, what), what, budget)),
      ...all(fields, GRAPH.sparseInitializer).map((field) => toSparseHeader(bytesOf(field, what), what, budget)),
    ],
  };
}

function toNode(field: Field, what: string, budget: ReadBudget, depth: number): Node {
  const fields = readMessage(bytesOf(field, what), `a node of ${what}`, budget);
  const opType = lastText(fields, NODE.opType, what);
  const outputs = all(fields, NODE.output).map((output) => textOf(output, what));
  const place = `node ${quote(opType)} that makes ${quote(outputs[0] ?? '')}`;
  return {
    field,
    opType,
    domain: canonicalDomain(lastText(fields, NODE.domain, place)),
    name: lastText(fields, NODE.name, place),
    inputs: all(fields, NODE.input).map((input) => textOf(input, place)),
    outputs,
    attributes: all(fields, NODE.attribute).map((attribute) =>
      toAttribute(bytesOf(attribute, place), place, budget, depth),
    ),
  };
}

/** What of an attribute is looked into at once; lists of numbers, which may be millions, are left to who wants them. */
const EAGER_ATTRIBUTE_FIELDS: ReadonlySet<number> = new Set([
  ATTRIBUTE.name,
  ATTRIBUTE.tensor,
  ATTRIBUTE.graph,
  ATTRIBUTE.tensors,
  ATTRIBUTE.graphs,
  ATTRIBUTE.sparseTensor,
  ATTRIBUTE.sparseTensors,
]);

function toAttribute(bytes: Uint8Array, what: string, budget: ReadBudget, depth: number): Attribute {
  const fields = readMessage(bytes, `an attribute of ${what}`, budget, EAGER_ATTRIBUTE_FIELDS);
  const name = lastText(fields, ATTRIBUTE.name, what);
  const place = `attribute ${quote(name)} of ${what}`;
  // A message that stands twice would be merged by protobuf's readers, and would be another than the one seen here.
  only(fields, ATTRIBUTE.graph, place);
  only(fields, ATTRIBUTE.tensor, place);
  only(fields, ATTRIBUTE.sparseTensor, place);
  return {
    name,
    bytes,
    graphs: all(fields, ATTRIBUTE.graph, ATTRIBUTE.graphs).map((graph) =>
      toGraph(bytesOf(graph, place), place, budget, depth + 1),
    ),
    tensors: [
      ...all(fields, ATTRIBUTE.tensor, ATTRIBUTE.tensors).map((tensor) =>
        toTensorHeader(bytesOf(tensor, place), place, budget),
      ),
      ...all(fields, ATTRIBUTE.sparseTensor, ATTRIBUTE.sparseTensors).map((tensor) =>
        toSparseHeader(bytesOf(tensor, place), place, budget),
      ),
    ],
  };
}

/** ONNX's default operator set goes by two names. */
function canonicalDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}
