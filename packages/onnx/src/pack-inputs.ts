/**
 * Each input tensor of a run costs some 2 µs, whatever its size, so a graph with an input per feature is derived into
 * one with an input per element type, which it splits into the old ones inside. The rest of the file stays as it is,
 * and so do its results, bit for bit.
 */
import { type AttributeValue, elementType as elementTypeAttribute, int, ints, tensor } from './attributes.ts';
import { editGraph, editOpset } from './edit-graph.ts';
import { isServed, type ServedElementType } from './element-types.ts';
import { nodeFields, valueInfoFields } from './graph-builder.ts';
import type { Dimension, OnnxModel, ValueInfo } from './model.ts';
import { type Field, messageField } from './protobuf.ts';
import { GRAPH } from './schema.ts';
import { int64Tensor } from './tensors.ts';
import { freshNames } from './traversal.ts';

/** Where the values of one of the original inputs go. */
export interface PackedColumn {
  /** The original input. */
  readonly name: string;
  readonly elementType: ServedElementType;
  /** The input of the packed graph that takes them. */
  readonly input: string;
  /** First column within that input. */
  readonly offset: number;
  /** Columns; 1 for a scalar feature. */
  readonly width: number;
}

/** An input of the packed graph, of shape [N, width]. */
export interface PackedInput {
  readonly name: string;
  /** float64 also takes float32 columns: each value is rounded to float32 inside, as the original input would have. */
  readonly elementType: ServedElementType;
  readonly width: number;
  readonly columns: readonly PackedColumn[];
}

/** An input that is in the packed graph as it was, and why. */
export interface LeftInput {
  readonly name: string;
  readonly reason: string;
}

export interface Packing {
  /** The model that was given when there is nothing to pack. */
  readonly model: OnnxModel;
  readonly inputs: readonly PackedInput[];
  /** All columns of all packed inputs. */
  readonly columns: readonly PackedColumn[];
  readonly left: readonly LeftInput[];
}

/** Names this way of packing in the key of a cache: raise it when the derived graph changes. */
export const PACKING_VERSION = 1;

interface Candidate {
  readonly field: Field;
  readonly name: string;
  readonly elementType: ServedElementType;
  readonly batch: Dimension;
  readonly width: number;
  /** Shape [N]: the column loses its second dimension inside. */
  readonly isVector: boolean;
}

interface Group {
  readonly elementType: ServedElementType;
  readonly members: readonly Candidate[];
}

/** Columns of one packed input; more are not packed, to stay far from any limit of a shape. */
const MAX_WIDTH = 1_000_000;
/** Split takes the sizes in a way that can be written since opset 2. */
const MIN_OPSET = 2;
/** Since opset 13 Split and Squeeze take sizes and axes as inputs, before as attributes. */
const SIZES_ARE_INPUTS_SINCE = 13;

/**
 * Packs the inputs by element type: float64 and float32 together (a float32 survives a float64 exactly), every other type
 * for itself. int64 is never widened into a double, which would lose values beyond 2^53. Left as they are: inputs that
 * are alone in their type, have a default, another batch dimension, an open or third dimension, or a type that is not
 * served. Run it after tensorizeOutputs, on a model that inspect has no problems with.
 */
export function packInputs(model: OnnxModel): Packing {
  const left: LeftInput[] = [];
  const leave = (name: string, reason: string) => void left.push({ name, reason });

  const opset = editOpset(model);
  const defaults = new Set(model.graph.initializers.map(({ name }) => name));
  const candidates = model.graph.inputs.flatMap((input) => {
    const judged = opset < MIN_OPSET ? `the model is of opset ${opset}` : toCandidate(input, defaults);
    if (typeof judged !== 'string') return [judged];
    leave(input.name, judged);
    return [];
  });
  const batch = commonBatch(candidates);
  const sameBatch = candidates.filter((candidate) => {
    const matches = isBatch(candidate, batch);
    if (!matches) leave(candidate.name, `its first dimension is ${candidate.batch ?? 'open'}, that of others ${batch}`);
    return matches;
  });
  const groups = groupByType(sameBatch).filter(({ elementType, members }) => {
    const reason =
      members.length < 2
        ? `it is the only input of type ${elementType}`
        : widthOf(members) > MAX_WIDTH && `the inputs of type ${elementType} have more than ${MAX_WIDTH} columns`;
    if (reason !== false) for (const { name } of members) leave(name, reason);
    return reason === false;
  });
  if (groups.length === 0) return { model, inputs: [], columns: [], left };

  const fresh = freshNames(model);
  const packed = groups.map((group) => packGroup(group, batch, opset, fresh));
  const inputs = packed.map(({ input }) => input);
  return {
    model: editGraph(model, {
      remove: new Set(groups.flatMap(({ members }) => members.map(({ field }) => field))),
      prepend: packed.flatMap(({ nodes }) => nodes),
      append: packed.map(({ declaration }) => declaration),
    }),
    inputs,
    columns: inputs.flatMap(({ columns }) => columns),
    left,
  };
}

/** The input as something to pack, or why it is not. */
function toCandidate({ field, name, type }: ValueInfo, defaults: ReadonlySet<string>): Candidate | string {
  if (defaults.has(name)) return 'it has a default';
  if (type.kind !== 'tensor') return `it is of kind ${type.kind}`;
  if (!isServed(type.elementType)) return `its element type ${type.elementType ?? 'undefined'} is not served`;
  if (type.dims === undefined) return 'its rank is open';
  const [batch, width = 1, ...more] = type.dims;
  if (batch === undefined) return 'it is a scalar for the whole batch';
  if (more.length > 0) return `it has ${type.dims.length} dimensions`;
  if (typeof width !== 'number') return 'its second dimension is open';
  if (width === 0) return 'it has no columns';
  return { field, name, elementType: type.elementType, batch, width, isVector: type.dims.length === 1 };
}

/** The first dimension that most inputs have; an unnamed one (null) goes with any symbol. */
function commonBatch(candidates: readonly Candidate[]): Dimension {
  const counts = new Map<Dimension, number>();
  for (const { batch } of candidates) if (batch !== null) counts.set(batch, (counts.get(batch) ?? 0) + 1);
  let common: Dimension = null;
  for (const [batch, count] of counts) if (count > (counts.get(common) ?? 0)) common = batch;
  return common;
}

function isBatch({ batch }: Candidate, common: Dimension): boolean {
  return batch === common || (batch === null && typeof common === 'string');
}

/** By element type in the order of their first input; float32 with float64 when there are both. */
function groupByType(candidates: readonly Candidate[]): Group[] {
  const byType = Map.groupBy(candidates, ({ elementType }) => elementType);
  const doubles = byType.get('float64');
  const floats = byType.get('float32');
  if (doubles !== undefined && floats !== undefined) {
    byType.set('float64', [...doubles, ...floats]);
    byType.delete('float32');
  }
  return [...byType].map(([elementType, members]) => ({ elementType, members }));
}

function widthOf(members: readonly Candidate[]): number {
  return members.reduce((total, { width }) => total + width, 0);
}

interface PackedGroup {
  readonly input: PackedInput;
  readonly nodes: readonly Field[];
  readonly declaration: Field;
}

function packGroup(group: Group, batch: Dimension, opset: number, fresh: (stem: string) => string): PackedGroup {
  const { elementType, members } = group;
  const name = fresh(`packed_${elementType}`);
  const width = widthOf(members);
  let offset = 0;
  const columns = members.map((member) => {
    const column = { name: member.name, elementType: member.elementType, input: name, offset, width: member.width };
    offset += member.width;
    return column;
  });

  // The float32 members of a float64 group stand last, so that one Cast serves them all.
  const nodes = new NodeList(opset, fresh);
  const own = members.filter((member) => member.elementType === elementType);
  const narrow = members.filter((member) => member.elementType !== elementType);
  if (narrow.length === 0) {
    nodes.split(name, own);
  } else {
    const block = fresh(`${name}_narrow`);
    const cast = fresh(`${name}_float32`);
    nodes.split(name, own, { name: block, width: widthOf(narrow) });
    nodes.add('Cast', [block], [cast], { to: elementTypeAttribute('float32') });
    nodes.split(cast, narrow);
  }
  return {
    input: { name, elementType, width, columns },
    nodes: nodes.fields,
    declaration: messageField(GRAPH.input, valueInfoFields(name, elementType, [batch ?? 'N', width])),
  };
}

/** The nodes of one group, in the words of the model's opset. */
class NodeList {
  readonly fields: Field[] = [];
  readonly #opset: number;
  readonly #fresh: (stem: string) => string;

  constructor(opset: number, fresh: (stem: string) => string) {
    this.#opset = opset;
    this.#fresh = fresh;
  }

  add(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
  ): void {
    this.fields.push(messageField(GRAPH.node, nodeFields({ opType, inputs, outputs, attributes })));
  }

  /** Splits the columns of `from` into the members under their old names, and what is left into `rest`. */
  split(from: string, members: readonly Candidate[], rest?: { readonly name: string; readonly width: number }): void {
    const pieces = members.map((member) => ({
      member,
      name: member.isVector ? this.#fresh(`${member.name}_column`) : member.name,
    }));
    const outputs = [...pieces.map(({ name }) => name), ...(rest === undefined ? [] : [rest.name])];
    const sizes = [...members.map(({ width }) => width), ...(rest === undefined ? [] : [rest.width])];
    this.#withSizes('Split', from, outputs, { axis: int(1) }, 'split', sizes);
    for (const { member, name } of pieces) {
      if (member.isVector) this.#withSizes('Squeeze', name, [member.name], {}, 'axes', [1]);
    }
  }

  #withSizes(
    opType: string,
    from: string,
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
    sizesName: string,
    sizes: readonly number[],
  ): void {
    if (this.#opset < SIZES_ARE_INPUTS_SINCE) {
      this.add(opType, [from], outputs, { ...attributes, [sizesName]: ints(sizes) });
      return;
    }
    // A Constant node, not an initializer: before IR version 4 an initializer had to be an input too.
    const constant = this.#fresh(`${from}_${sizesName}`);
    this.add('Constant', [], [constant], { value: tensor(int64Tensor(sizes)) });
    this.add(opType, [from, constant], outputs, attributes);
  }
}
