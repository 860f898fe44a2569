/** A package for an ONNX file that came without one: the signature from its graph, golden records made from that. */
import { AssayError, type Feature, type Output, type Signature } from '@assay/contracts';
import { type Golden, type TensorType, type WrittenPackage, writePackage } from '@assay/model-package';
import { inspect, type OutputRewrite } from '@assay/onnx';
import { createEncoder } from './encoder.ts';
import { recordsOfExample } from './example-input.ts';
import { plainRecord, verifyGolden } from './golden-records.ts';
import { layoutOf } from './layout.ts';
import { readServable } from './packed-graph.ts';
import { batchOf } from './runner.ts';
import { loadScorer } from './scorer.ts';
import {
  type ElementType,
  inputTensor,
  openSession,
  RUNTIME_VERSION,
  reasonOf,
  type Session,
  type TensorInfo,
} from './session.ts';
import { syntheticRecords } from './synthetic-records.ts';
import { integerBounds } from './values.ts';

const GOLDEN_RECORDS = 64;
const GOLDEN_SEED = 20_260_101;
/** Outputs of one graph on two kinds of CPU differ in the last digits of a float32. */
const GOLDEN_TOLERANCE = { absolute: 1e-5, relative: 1e-4 };
/** An odd number, so that a fixed dimension of the graph is not taken for the rows. */
const PROBE_ROWS = 3;

export interface PackageFromOnnxOptions {
  /** The folder to write; it may not be there yet. */
  readonly dir: string;
  /** Records that real callers would send; without them some are made from the signature. */
  readonly examples?: readonly Record<string, unknown>[];
  /** As MLflow saves an input example. Records of it stand before those that are made, if the graph takes them. */
  readonly exampleInput?: unknown;
  /** In place of the one that is read from the graph: to say what may be missing, which values there are, units. */
  readonly signature?: Signature;
  readonly description?: string;
  readonly signal?: AbortSignal;
}

/**
 * Writes a package around an ONNX model. Each input becomes a feature: `[N]` and `[N, 1]` a scalar, `[N, k]` a vector of k;
 * no value may be missing, since a graph does not say. It runs the model: for files that are not trusted there is
 * `packageOnnxInChild`.
 * @throws AssayError UNPROCESSABLE_MODEL with the reason why the model cannot be served
 */
export async function packageFromOnnx(onnx: Uint8Array, options: PackageFromOnnxOptions): Promise<WrittenPackage> {
  const { dir, examples, description, signal } = options;
  const servable = readServable(onnx);
  const { producer } = inspect(servable.model);
  const session = await openSession(servable.onnx, { call: 'public', threads: 1, graphOptimization: 'all' });
  let signature: Signature;
  let given: readonly Record<string, unknown>[];
  const inputTypes = Object.fromEntries(session.inputs.map(({ name, type }) => [name, type]));
  try {
    signature = options.signature ?? (await signatureOf(session, servable.rewrites));
    given = examples ?? takenBy(session, signature, recordsOfExample(options.exampleInput, signature));
  } finally {
    session.close();
  }
  const records = examples ?? [
    ...given,
    ...syntheticRecords(signature, GOLDEN_RECORDS - given.length, GOLDEN_SEED, inputTypes),
  ];
  const scorer = await loadScorer(
    { onnx: servable.onnx, signature, digest: 'unregistered', records },
    signal === undefined ? {} : { signal },
  );
  let golden: Golden;
  try {
    const batch = scorer.newBatch(records.length);
    batch.appendRecords(records);
    const outputs = await scorer.run(batch);
    golden = {
      source: given.length === 0 ? 'synthetic' : 'example',
      records: [...records],
      outputs: records.map((_, row) => plainRecord(outputs.record(row))),
      tolerance: GOLDEN_TOLERANCE,
    };
    await verifyGolden(scorer, { manifest: { golden, signature } }); // a graph with a random operator already fails here
  } finally {
    scorer.close();
  }
  return writePackage(dir, {
    onnx: servable.onnx,
    signature,
    golden,
    lineage: {
      datasetSha256s: [],
      libraries: { 'onnxruntime-node': RUNTIME_VERSION },
      metrics: {},
      ...(producer === '' ? {} : { origin: `ONNX file made by ${producer}` }),
    },
    inputTypes: Object.fromEntries(Object.entries(inputTypes).map(([name, type]) => [name, tensorType(type)])),
    ...(description === undefined ? {} : { description }),
  });
}

/** All of them, or none when the graph does not take one. */
function takenBy(
  session: Session,
  signature: Signature,
  records: readonly Record<string, unknown>[],
): readonly Record<string, unknown>[] {
  if (records.length === 0) return [];
  const encoder = createEncoder(layoutOf(signature, session.inputs));
  try {
    batchOf({ session, encoder, outputs: { names: [], columns: [] } }, records);
    return records;
  } catch (error) {
    if (AssayError.from(error).code !== 'INVALID_ARGUMENT') throw error;
    return [];
  }
}

function tensorType(type: ElementType): TensorType {
  return type === 'string' ? 'str' : type;
}

async function signatureOf(session: Session, rewrites: readonly OutputRewrite[]): Promise<Signature> {
  const features = session.inputs.map(featureOf);
  const shapes = await outputShapes(session, features);
  const classes = new Map(
    rewrites.flatMap((rewrite) => (rewrite.kind === 'classes' ? [[rewrite.output, rewrite.classes]] : [])),
  );
  const outputs = session.outputs.map(({ name, type }): Output => {
    const [, ...tail] = shapes.get(name) ?? [];
    const known = classes.get(name);
    return {
      name,
      dtype: dtypeOf(type),
      shape: tail.length === 1 && tail[0] === 1 ? [] : tail,
      ...(known === undefined
        ? {}
        : { classes: known.map((value) => (typeof value === 'bigint' ? Number(value) : value)) }),
    };
  });
  return { features, outputs };
}

function dtypeOf(type: ElementType): Feature['dtype'] {
  switch (type) {
    case 'float32':
    case 'float64':
    case 'string':
    case 'bool':
      return type;
    default:
      return 'int64';
  }
}

function featureOf({ name, type, dims }: TensorInfo): Feature {
  const refuse = (why: string) =>
    new AssayError('UNPROCESSABLE_MODEL', `the graph's input ${JSON.stringify(name)} ${why}`);
  if (name.length > 256) throw refuse('has a name of more than 256 characters');
  const [rows, ...tail] = dims;
  if (rows === undefined) throw refuse('is a scalar; it needs a dimension of rows');
  const sizes = tail.map((size) => {
    if (typeof size !== 'number') throw refuse(`has an open dimension besides the rows: [${dims.join(', ')}]`);
    return size;
  });
  const dtype = dtypeOf(type);
  const bounds = dtype === 'int64' && type !== 'int64' ? integerBounds(type) : undefined;
  return {
    name,
    dtype,
    shape: sizes.length === 1 && sizes[0] === 1 ? [] : sizes,
    nullable: false,
    ...(bounds === undefined || type === 'uint64' ? {} : { range: { min: Number(bounds[0]), max: Number(bounds[1]) } }),
    ...(type === 'uint64' ? { range: { min: 0 } } : {}),
  };
}

/** The dimensions that outputs really have: what a graph says of them is often open. */
async function outputShapes(session: Session, features: readonly Feature[]): Promise<Map<string, readonly number[]>> {
  const signature: Signature = { features: [...features], outputs: [] };
  const layout = layoutOf(signature, session.inputs);
  const rows = layout.oneRow ? 1 : PROBE_ROWS;
  const types = Object.fromEntries(session.inputs.map(({ name, type }) => [name, type]));
  const graph = { session, encoder: createEncoder(layout), outputs: { names: [], columns: [] } };
  const batch = batchOf(graph, syntheticRecords(signature, rows, GOLDEN_SEED, types));
  const feeds = Object.fromEntries(
    layout.slots.map(({ inputName, type, tail }, i) => [
      inputName,
      inputTensor(type, batch.arrays[i] ?? [], [rows, ...tail]),
    ]),
  );
  const names = session.outputs.map(({ name }) => name);
  try {
    const results = await session.run(feeds, names);
    return new Map(
      names.map((name) => {
        const dims = results[name]?.dims ?? [];
        if (dims[0] !== rows) {
          throw new AssayError(
            'UNPROCESSABLE_MODEL',
            `the graph gives [${dims.join(', ')}] for output ${JSON.stringify(name)} of ${rows} rows: it must give one value a row`,
          );
        }
        return [name, dims];
      }),
    );
  } catch (cause) {
    if (cause instanceof AssayError) throw cause;
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `the graph fails on records made from its inputs: ${reasonOf(cause)}; give it a signature and example records`,
      { cause },
    );
  }
}
