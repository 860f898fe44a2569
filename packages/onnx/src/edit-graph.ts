/** Edits of a model's graph that leave the rest of the file as it is. */
import type { OnnxModel } from './model.ts';
import { type Field, int64Field, messageField, textField } from './protobuf.ts';
import { modelOf } from './read-model.ts';
import { MODEL, OPERATOR_SET } from './schema.ts';

/** A change of a model's graph; new fields come before or after those that stay. */
export interface GraphEdit {
  readonly remove?: ReadonlySet<Field>;
  /** What stands in the place of a field. */
  readonly replace?: ReadonlyMap<Field, readonly Field[]>;
  readonly prepend?: readonly Field[];
  readonly append?: readonly Field[];
}

/** For a model that uses none of ai.onnx's operators, to which an edit adds some. */
const ADDED_OPSET = 17;

/** The version of ai.onnx that nodes added by an edit are of. */
export function editOpset(model: OnnxModel): number {
  return model.opsets.find((opset) => opset.domain === '')?.version ?? ADDED_OPSET;
}

/** The model with its graph edited; all else is kept byte for byte. */
export function editGraph(model: OnnxModel, edit: GraphEdit): OnnxModel {
  const kept = model.graph.fields.flatMap((field) =>
    edit.remove?.has(field) === true ? [] : (edit.replace?.get(field) ?? [field]),
  );
  const graph = messageField(MODEL.graph, [...(edit.prepend ?? []), ...kept, ...(edit.append ?? [])]);
  const fields = model.fields.map((field) => (field.number === MODEL.graph ? graph : field));
  if (model.opsets.every((opset) => opset.domain !== '')) {
    const version = int64Field(OPERATOR_SET.version, ADDED_OPSET);
    fields.push(messageField(MODEL.opsetImport, [textField(OPERATOR_SET.domain, ''), version]));
  }
  return modelOf(fields);
}
