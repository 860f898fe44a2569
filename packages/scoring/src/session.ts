/**
 * ONNX Runtime, as far as Assay uses it. This is the only file that imports it.
 *
 * Two ways to call it. The public one is asynchronous by form only: its promise puts a synchronous native call behind a
 * `setImmediate`, which costs a second turn of the event loop. The native one is that call itself, from a module that is
 * internal to the package: so it is used only with the version that it was tested with, and only for models on which both
 * ways were found to give the same bits (`createScorer`).
 */

import { AssayError } from '@assay/contracts';
import { chainIn, ELEMENT_TYPE_CODES, SERVED_ELEMENT_TYPES, type ServedElementType } from '@assay/onnx';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { openChain } from './chain-session.ts';
import type { ExecutionProvider, GraphOptimization } from './interfaces.ts';

/** The version whose internal binding is known. With another one the public way is taken. */
const KNOWN_VERSION = '1.30.0';

export const RUNTIME_VERSION: string = env.versions.node ?? 'unknown';

/** Element types that the runtime takes from and gives to JavaScript without loss. */
export type ElementType = ServedElementType;

/** TensorProto.DataType → element type: an allow-list, since others end the process when they are run. */
const ELEMENT_TYPES: ReadonlyMap<number, ElementType> = new Map(
  SERVED_ELEMENT_TYPES.map((type) => [ELEMENT_TYPE_CODES[type], type]),
);

export type ElementArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | string[];

/** An input or output of the graph. A dimension that is not fixed has its symbol, which may be empty. */
export interface TensorInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

export type Feeds = Record<string, Tensor>;
export type Results = Readonly<Record<string, Tensor>>;

export interface Session {
  /** How the runtime is called. */
  readonly call: 'native' | 'public';
  /** Whether `run` gives the results at once, or a promise of them. */
  readonly isSynchronous: boolean;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Runs the graph for the outputs named. */
  run(feeds: Feeds, outputNames: readonly string[]): Results | Promise<Results>;
  /** Frees the native memory. Not while a run is under way. */
  close(): void;
}

export interface SessionOptions {
  readonly call: 'native' | 'public';
  readonly threads: number;
  readonly graphOptimization: GraphOptimization;
  /** Default `cpu`. */
  readonly provider?: ExecutionProvider;
  /** Whether nodes that the provider lacks may run on the CPU. Without it such a graph is refused. Default false. */
  readonly fallback?: boolean;
  /** Whether the runtime writes why it fails to standard error, with more than what it throws. */
  readonly logsErrors?: boolean;
}

/** An input tensor over `data`, which must not change before the run is done. */
export function inputTensor(type: ElementType, data: ElementArray, dims: readonly number[]): Tensor {
  return new Tensor(type, data as Tensor.DataType, dims); // ElementArray holds what the runtime takes for these types
}

/**
 * Loads a model.
 * @throws AssayError UNPROCESSABLE_MODEL with the runtime's reason
 */
export async function openSession(model: Uint8Array, options: SessionOptions): Promise<Session> {
  if (options.provider !== undefined && options.provider !== 'cpu') keepFloat32();
  try {
    const links = chainIn(model);
    if (links !== undefined) return await openChain(model, links, (link) => openSession(link, options));
    return await (options.call === 'native' ? openNative(model, options) : openPublic(model, options));
  } catch (cause) {
    if (cause instanceof AssayError) throw cause;
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `ONNX Runtime ${RUNTIME_VERSION} does not load the model: ${reasonOf(cause)}`,
      {
        cause,
      },
    );
  }
}

/**
 * cuBLAS multiplies float32 in TF32, whose mantissa has 10 bits, as soon as a batch is large enough: outputs are off by some
 * 1e-4, and golden records do not reproduce. The runtime's setting for it is not one of those that this binding passes on;
 * NVIDIA's libraries read this variable when they are loaded. Who sets it decides.
 */
function keepFloat32(): void {
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
}

function runtimeOptions(options: SessionOptions): InferenceSession.SessionOptions {
  const { threads, graphOptimization, provider = 'cpu', fallback = false, logsErrors = false } = options;
  const onGpu = provider === 'tensorrt' ? ['tensorrt', 'cuda'] : [provider];
  return {
    executionProviders: provider === 'cpu' ? ['cpu'] : [...onGpu, ...(fallback ? ['cpu'] : [])],
    // By itself the runtime runs on the CPU what a provider lacks, and says nothing.
    ...(provider === 'cpu' || fallback ? {} : { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential', // `parallel` costs milliseconds a run
    graphOptimizationLevel: graphOptimization,
    logSeverityLevel: logsErrors ? 3 : 4, // what fails is thrown as well; warnings of foreign graphs are nobody's to read
  };
}

async function openPublic(model: Uint8Array, options: SessionOptions): Promise<Session> {
  const session = await InferenceSession.create(model, runtimeOptions(options));
  const info = (metadata: readonly InferenceSession.ValueMetadata[], what: string) =>
    metadata.map(({ name, ...rest }): TensorInfo => {
      if (!rest.isTensor) throw refused(what, name, 'is not a tensor');
      const type = [...ELEMENT_TYPES.values()].find((known) => known === rest.type);
      if (type === undefined) throw refused(what, name, `has element type ${rest.type}`);
      return { name, type, dims: rest.shape };
    });
  return {
    call: 'public',
    isSynchronous: false,
    inputs: info(session.inputMetadata, 'input'),
    outputs: info(session.outputMetadata, 'output'),
    run: (feeds, outputNames) => session.run(feeds, outputNames),
    close: () => void session.release(),
  };
}

type Binding = typeof import('onnxruntime-node/dist/binding.js');

let binding: Promise<Binding | undefined> | undefined;

/** The internal binding, if this is the version whose binding is known and it is where it should be. */
function loadBinding(): Promise<Binding | undefined> {
  binding ??= (async () => {
    if (RUNTIME_VERSION !== KNOWN_VERSION) return undefined;
    try {
      const loaded: Binding = await import('onnxruntime-node/dist/binding.js');
      loaded.initOrt();
      return loaded;
    } catch {
      return undefined; // it moved: the public way remains, and the scorer says which one it took
    }
  })();
  return binding;
}

/** Whether the native way can be tried at all. */
export async function nativeCallIsKnown(): Promise<boolean> {
  return (await loadBinding()) !== undefined;
}

async function openNative(model: Uint8Array, options: SessionOptions): Promise<Session> {
  const loaded = await loadBinding();
  if (loaded === undefined) {
    throw new AssayError('INTERNAL', `the native call of onnxruntime-node ${RUNTIME_VERSION} is not known`);
  }
  const session = new loaded.binding.InferenceSession();
  const { buffer, byteOffset, byteLength } = model;
  session.loadModel(buffer as ArrayBuffer, byteOffset, byteLength, runtimeOptions(options)); // never shared: read from files
  const info = (metadata: typeof session.inputMetadata, what: string) =>
    metadata.map((raw): TensorInfo => {
      if (!raw.isTensor) throw refused(what, raw.name, 'is not a tensor');
      const type = ELEMENT_TYPES.get(raw.type);
      if (type === undefined) throw refused(what, raw.name, `has element type ${raw.type}`);
      return {
        name: raw.name,
        type,
        dims: raw.shape.map((size, i) => (size >= 0 ? size : (raw.symbolicDimensions[i] ?? ''))),
      };
    });
  const runOptions = {};
  let lastNames: readonly string[] = [];
  let fetches: Record<string, null> = {};
  return {
    call: 'native',
    isSynchronous: true,
    inputs: info(session.inputMetadata, 'input'),
    outputs: info(session.outputMetadata, 'output'),
    run: (feeds, outputNames) => {
      if (outputNames !== lastNames) {
        lastNames = outputNames;
        fetches = Object.fromEntries(outputNames.map((name) => [name, null]));
      }
      return session.run(feeds, fetches, runOptions) as Results; // the allow-list above leaves tensors only
    },
    close: () => session.dispose(),
  };
}

function refused(what: string, name: string, why: string): AssayError {
  return new AssayError(
    'UNPROCESSABLE_MODEL',
    `the model's ${what} ${JSON.stringify(name)} ${why}; served are tensors of ${[...ELEMENT_TYPES.values()].join(', ')}`,
  );
}

/** The first line of what the runtime threw. */
export function reasonOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.split('\n')[0]?.slice(0, 500) ?? message;
}
