/** Gives the values of a graph other names, those of nested graphs included; all else is kept as it stands. */
import type { Graph, Node } from '../model.ts';
import {
  bytesField,
  bytesOf,
  type Field,
  messageField,
  readMessage,
  textField,
  textOf,
  writeMessage,
} from '../protobuf.ts';
import { ATTRIBUTE, GRAPH, NODE, SPARSE_TENSOR, TENSOR, VALUE_INFO } from '../schema.ts';

/** New names. The empty name, which a node may have and which says that an input is left out, is never asked for. */
export interface Renaming {
  readonly value: (name: string) => string;
  /** The runtime refuses two nodes of one name. */
  readonly node: (name: string) => string;
}

/** As many as readModel has let through already. */
const budget = () => ({ fieldsLeft: 4_000_000, maxDepth: 30 });

/** @returns the node as a field of its graph */
export function renamedNode(node: Node, rename: Renaming): Field {
  let attribute = 0;
  const fields = readMessage(bytesOf(node.field, 'a node'), 'a node', budget()).map((field) => {
    switch (field.number) {
      case NODE.input:
      case NODE.output: {
        const name = textOf(field, 'a node');
        return name === '' ? field : textField(field.number, rename.value(name));
      }
      case NODE.name:
        return textField(NODE.name, rename.node(textOf(field, 'a node')));
      case NODE.attribute:
        return renamedAttribute(field, node.attributes[attribute++]?.graphs ?? [], rename);
      default:
        return field;
    }
  });
  return messageField(GRAPH.node, fields);
}

function renamedAttribute(attribute: Field, graphs: readonly Graph[], rename: Renaming): Field {
  if (graphs.length === 0) return attribute;
  const fields = readMessage(bytesOf(attribute, 'an attribute'), 'an attribute', budget());
  const own = fields.filter(({ number }) => number !== ATTRIBUTE.graph && number !== ATTRIBUTE.graphs);
  const isList = fields.some(({ number }) => number === ATTRIBUTE.graphs);
  const nested = graphs.map((graph) =>
    messageField(isList ? ATTRIBUTE.graphs : ATTRIBUTE.graph, renamedGraph(graph, rename)),
  );
  return messageField(NODE.attribute, [...own, ...nested]);
}

/** The fields of a nested graph. Its annotations for quantization, which name values too, are left out. */
function renamedGraph(graph: Graph, rename: Renaming): Field[] {
  let node = 0;
  return graph.fields.flatMap((field) => {
    switch (field.number) {
      case GRAPH.node: {
        const own = graph.nodes[node++];
        return own === undefined ? [] : [renamedNode(own, rename)];
      }
      case GRAPH.input:
      case GRAPH.output:
      case GRAPH.valueInfo:
        return [renamedMember(field, VALUE_INFO.name, rename.value)];
      case GRAPH.quantizationAnnotation:
        return [];
      default:
        return [renamedInitializer(field, rename) ?? field];
    }
  });
}

/** The initializer under its new name; undefined where the field is none. */
export function renamedInitializer(field: Field, rename: Renaming): Field | undefined {
  if (field.number === GRAPH.initializer) return renamedMember(field, TENSOR.name, rename.value);
  if (field.number !== GRAPH.sparseInitializer) return undefined;
  // A sparse tensor is named by its values.
  const fields = readMessage(bytesOf(field, 'a sparse tensor'), 'a sparse tensor', budget());
  return messageField(
    field.number,
    fields.map((part) =>
      part.number === SPARSE_TENSOR.values ? renamedMember(part, TENSOR.name, rename.value) : part,
    ),
  );
}

/** A message whose name stands in its field `nameField`. */
function renamedMember(field: Field, nameField: number, rename: (name: string) => string): Field {
  const fields = readMessage(bytesOf(field, 'a value'), 'a value', budget()).map((part) =>
    part.number === nameField ? textField(nameField, rename(textOf(part, 'a value'))) : part,
  );
  return bytesField(field.number, writeMessage(fields));
}
