/** Runs graphs in the real onnxruntime, for tests. */
import * as ort from 'onnxruntime-node';

export type Column =
  | { readonly type: 'float32'; readonly data: Float32Array }
  | { readonly type: 'float64'; readonly data: Float64Array }
  | { readonly type: 'int64'; readonly data: BigInt64Array }
  | { readonly type: 'uint64'; readonly data: BigUint64Array }
  | { readonly type: 'int32'; readonly data: Int32Array }
  | { readonly type: 'int16'; readonly data: Int16Array }
  | { readonly type: 'int8'; readonly data: Int8Array }
  | { readonly type: 'uint32'; readonly data: Uint32Array }
  | { readonly type: 'uint16'; readonly data: Uint16Array }
  | { readonly type: 'uint8' | 'bool'; readonly data: Uint8Array }
  | { readonly type: 'string'; readonly data: readonly string[] };

export interface Feed {
  readonly column: Column;
  readonly dims: readonly number[];
}

/** Elements as they came out, floats and integers in their typed arrays. */
export type Outputs = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: ort.Tensor['data'] }>>;

export interface LoadedGraph {
  run(feeds: Readonly<Record<string, Feed>>): Promise<Outputs>;
}

/** One thread, as Assay serves; loading errors are onnxruntime's own. */
export async function loadGraph(bytes: Uint8Array): Promise<LoadedGraph> {
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 4,
  });
  return {
    async run(feeds) {
      const tensors = Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, toTensor(feed)]));
      const outputs = await session.run(tensors);
      return Object.fromEntries(
        Object.entries(outputs).map(([name, tensor]) => [name, { dims: tensor.dims, data: tensor.data }]),
      );
    },
  };
}

function toTensor({ column, dims }: Feed): ort.Tensor {
  switch (column.type) {
    case 'string':
      return new ort.Tensor('string', [...column.data], dims);
    case 'bool':
      return new ort.Tensor('bool', column.data, dims);
    default:
      return new ort.Tensor(column.type, column.data, dims);
  }
}

/** One value per row, [N, 1]. */
export function feed(column: Column): Feed {
  return { column, dims: [column.data.length, 1] };
}

/** Rows `from` to `to` of a feed, in memory of their own. */
export function rowsOf({ column, dims }: Feed, from: number, to: number): Feed {
  const width = dims.slice(1).reduce((product, dimension) => product * dimension, 1);
  const part = { ...column, data: column.data.slice(from * width, to * width) };
  return { column: part as Column, dims: [to - from, ...dims.slice(1)] }; // slice gives the type that it takes
}

/** The elements as they are in memory, so that NaN equals NaN and 0 is not -0; a text, which compares fast. */
export function bitsOf(data: ort.Tensor['data']): string {
  if (Array.isArray(data)) return JSON.stringify(data);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
}
