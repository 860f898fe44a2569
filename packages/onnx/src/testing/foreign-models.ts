/** Graphs as other programs write them, for tests: outputs that are no tensors, nested graphs, odd types. */
import { type AttributeValue, attributeFields } from '../attributes.ts';
import { editGraph } from '../edit-graph.ts';
import { ELEMENT_TYPE_CODES, type ElementType } from '../element-types.ts';
import { nodeFields } from '../graph-builder.ts';
import { type Dimension, type OnnxModel, writeModel } from '../model.ts';
import { type Field, int64Field, messageField, textField } from '../protobuf.ts';
import { readModel } from '../read-model.ts';
import { ATTRIBUTE, DIMENSION, GRAPH, NODE, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from '../schema.ts';

export function tensorType(elementType: ElementType, dims?: readonly Dimension[]): Field {
  const shape = (dims ?? []).map((dimension) =>
    messageField(SHAPE.dimension, [
      ...(typeof dimension === 'string' ? [textField(DIMENSION.parameter, dimension)] : []),
      ...(typeof dimension === 'number' ? [int64Field(DIMENSION.value, dimension)] : []),
    ]),
  );
  return messageField(TYPE.tensor, [
    int64Field(TENSOR_TYPE.elementType, ELEMENT_TYPE_CODES[elementType]),
    ...(dims === undefined ? [] : [messageField(TENSOR_TYPE.shape, shape)]),
  ]);
}

/** map(key, tensor(float32)) */
export function mapType(key: 'string' | 'int64'): Field {
  const value = messageField(2, [tensorType('float32')]);
  return messageField(TYPE.map, [int64Field(1, ELEMENT_TYPE_CODES[key]), value]);
}

export function sequenceOf(type: Field): Field {
  return messageField(TYPE.sequence, [messageField(1, [type])]);
}

export function optionalOf(type: Field): Field {
  return messageField(TYPE.optional, [messageField(1, [type])]);
}

export function valueInfo(role: 'input' | 'output', name: string, type: Field): Field {
  return messageField(GRAPH[role], [textField(VALUE_INFO.name, name), messageField(VALUE_INFO.type, [type])]);
}

export function nodeOf(node: Parameters<typeof nodeFields>[0]): Field {
  return messageField(GRAPH.node, nodeFields(node));
}

/** A node with graphs as attributes: If, Loop. */
export function nodeWithGraphs(
  node: Parameters<typeof nodeFields>[0],
  graphs: Readonly<Record<string, readonly Field[]>>,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Field {
  return messageField(GRAPH.node, [
    ...nodeFields(node),
    ...Object.entries(attributes).map(([name, value]) => messageField(NODE.attribute, attributeFields(name, value))),
    ...Object.entries(graphs).map(([name, fields]) =>
      messageField(NODE.attribute, [
        textField(ATTRIBUTE.name, name),
        messageField(ATTRIBUTE.graph, fields),
        int64Field(ATTRIBUTE.type, 5),
      ]),
    ),
  ]);
}

/** The model with fields added to its graph, written and read again. */
export function extended(bytes: Uint8Array, ...fields: readonly Field[]): OnnxModel {
  return readModel(writeModel(editGraph(readModel(bytes), { append: fields })));
}
