/** Which input of a graph each column of a matrix inside it is made of. */
import { findAttribute, intOf } from './attributes.ts';
import type { Node, OnnxModel } from './model.ts';

export interface MatrixColumn {
  /** The graph's input. */
  readonly input: string;
  /** Which element of a row of that input, in the order of the row's elements. */
  readonly element: number;
}

/** Nodes that take each element for itself and keep the shape. */
const ELEMENTWISE: ReadonlySet<string> = new Set(['Cast', 'LabelEncoder', 'Identity', 'Imputer', 'Scaler']);
const MAX_DEPTH = 64;

/** undefined where a column comes from elsewhere, or from several inputs. */
export function matrixColumns(model: OnnxModel, matrix: string): readonly MatrixColumn[] | undefined {
  return columnsIn(model)(matrix);
}

/** As `matrixColumns`, of any value of the graph. */
export function columnsIn(model: OnnxModel): (name: string) => readonly MatrixColumn[] | undefined {
  const makers = new Map(model.graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const widths = new Map<string, number>();
  for (const { name, type } of model.graph.inputs) {
    const width = type.kind === 'tensor' && type.dims?.length === 2 ? type.dims[1] : undefined;
    if (typeof width === 'number') widths.set(name, width);
  }
  const columnsOf = (name: string, depth = 0): readonly MatrixColumn[] | undefined => {
    if (depth > MAX_DEPTH) return undefined;
    const maker = makers.get(name);
    if (maker === undefined) {
      const width = widths.get(name);
      return width === undefined
        ? undefined
        : Array.from({ length: width }, (_, element) => ({ input: name, element }));
    }
    if (ELEMENTWISE.has(maker.opType)) return columnsOf(maker.inputs[0] ?? '', depth + 1);
    if (!joinsColumns(maker)) return undefined;
    const parts = maker.inputs.map((input) => columnsOf(input, depth + 1));
    return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
  };
  return (name) => columnsOf(name);
}

export function joinsColumns(node: Node): boolean {
  const axis = findAttribute(node, 'axis');
  return node.opType === 'Concat' && axis !== undefined && intOf(axis) === 1n;
}
