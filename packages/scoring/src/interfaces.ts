/**
 * The words of scoring.
 *
 * A **scorer** is one loaded version: its ONNX session, the encoder made from its signature, and what was found out about
 * it when it was loaded. An **input batch** holds rows already checked and packed as the graph wants them; an **output
 * batch** what the graph gave for them. A **batcher** puts rows of many callers into one batch and gives each its own back.
 *
 * JSON form of values, the same at every door:
 *
 * | dtype     | in a record                                                        | in a tensor             |
 * |-----------|--------------------------------------------------------------------|-------------------------|
 * | float32   | number; rounded to the nearest float32, an error beyond its range  | float32                 |
 * | float64   | number                                                             | float64                 |
 * | int64     | integer number; beyond 2^53 a bigint (see `parseExactJson`)        | int64                   |
 * | string    | string, well-formed, without U+0000                                | string                  |
 * | bool      | true or false                                                      | bool (0 or 1)           |
 * | timestamp | RFC 3339 with an offset, to the microsecond                        | int64, µs since 1970    |
 *
 * A missing value of a nullable feature is null or absent (in tensors null or NaN). Infinity is never a value. A vector is
 * an array, nested as its shape says. A float32 output is written as the double of the same value; NaN and infinite
 * outputs are null in JSON.
 */
import type { Dtype, ErrorDetail, Signature } from '@assay/contracts';
import type { SessionPlace } from './apart/open-placed.ts';
import type { VersionCache } from './response-cache/version-cache.ts';

/** Columns of a batch: one tensor a feature. JSON doors give plain arrays, binary ones typed arrays. */
export interface InputTensor {
  /** The feature's name. */
  readonly name: string;
  /** The feature's dtype; `int64` is taken for `timestamp` too. */
  readonly dtype: Dtype;
  /** `[rows]` or `[rows, 1]` for a scalar feature, `[rows, ...shape]` for a vector. */
  readonly shape: readonly number[];
  /** Flat, row by row. A plain array is checked element by element and may hold null for a missing value. */
  readonly data: TensorData;
}

export type TensorData =
  | readonly unknown[]
  | DictionaryData
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** Texts as positions in the list of those that differ: each of these is checked once. */
export interface DictionaryData {
  readonly length: number;
  /** One an element, -1 for a missing value. */
  readonly codes: Int32Array;
  readonly dictionary: readonly string[];
}

/** Rows checked and packed for the graph. Not for two runs at a time; reuse it by `clear()`. */
export interface InputBatch {
  readonly rows: number;
  /** Rows that fit without growing. */
  readonly capacityRows: number;
  /**
   * Appends all records, or none.
   * @returns how many were appended
   * @throws AssayError INVALID_ARGUMENT; `details` names each bad place: `records[3].distance`
   */
  appendRecords(records: readonly unknown[]): number;
  /** Appends one record, or says what is wrong with it, places without a prefix: `distance`. */
  tryAppendRecord(record: unknown): ErrorDetail[] | undefined;
  /**
   * Appends the record whose JSON begins at `from` in its usual form, without parsing it. One that is not in that form, or is
   * wrong in any way, is not taken, and is to be parsed and appended, which tells what is wrong.
   * @param json ends with a closing bracket or brace
   * @returns the position behind the record; -1 where it is not taken
   */
  scanRecord(json: Buffer, from: number): number;
  /**
   * Appends the rows of one tensor a feature; features that are nullable may be left out.
   * @returns how many rows were appended
   * @throws AssayError INVALID_ARGUMENT; `details` names each bad place: `inputs[0].data[3]`
   */
  appendTensors(inputs: readonly InputTensor[]): number;
  /**
   * Where a float feature's numbers go in the `rows` rows behind the present ones, for a reader that puts them there from
   * bytes; undefined where its values need more than a look at their range. They are no rows until `takeFloats`.
   * @throws AssayError PAYLOAD_TOO_LARGE
   */
  floats(feature: string, rows: number): FloatColumn | undefined;
  /**
   * Takes the rows that were filled by way of `floats`.
   * @param features how many were filled, each wholly; with fewer than there are nothing is taken
   * @returns whether the rows were taken
   */
  takeFloats(rows: number, features: number): boolean;
  /** Forgets the rows from `rows` on. */
  truncate(rows: number): void;
  /** Takes out `count` rows from row `from` on; those after them move up. */
  remove(from: number, count: number): void;
  clear(): void;
}

/** The places of one feature's numbers in rows to come: `width` side by side in each row, rows `stride` apart. */
export interface FloatColumn {
  readonly array: Float32Array | Float64Array;
  /** Numbers are rounded to float32 first: the array may be a wider one. */
  readonly isFloat32: boolean;
  /** Of the first number of the first row. */
  readonly at: number;
  readonly stride: number;
  readonly width: number;
  /** Inclusive; infinite where there is none. */
  readonly min: number;
  readonly max: number;
}

/** Data of an output: `Uint8Array` holds bools as 0 and 1; `BigInt64Array` int64 and timestamps. */
export type OutputData = Float32Array | Float64Array | BigInt64Array | Uint8Array | readonly string[];

export interface OutputTensor {
  readonly name: string;
  readonly dtype: Dtype;
  /** As the graph gives it, rows first: `[rows]`, `[rows, 1]` or `[rows, ...]`. */
  readonly shape: readonly number[];
  readonly data: OutputData;
}

/** What the graph gave for a batch. It owns its memory: it may be kept as long as wanted. */
export interface OutputBatch {
  readonly rows: number;
  /** In the order of the signature. */
  readonly outputs: readonly OutputTensor[];
  /** The outputs of one row, ready for JSON.stringify; int64 exact by raw JSON literals. */
  record(row: number): Record<string, unknown>;
  /** Some rows of one output. */
  tensor(name: string, fromRow?: number, rows?: number): OutputTensor;
}

/**
 * All that decides the bits of an output besides the package and the record. Equal classes give equal bits for a
 * batch-invariant model.
 */
export interface ExecutionClass {
  /** `onnxruntime-node 1.30.0` */
  readonly runtime: string;
  readonly provider: ExecutionProvider;
  readonly graphOptimization: GraphOptimization;
  readonly threads: number;
  /** `linux-x64` */
  readonly platform: string;
  /** Vector extensions that the runtime may choose kernels by: `avx2`, `avx512f`, … */
  readonly cpuFeatures: readonly string[];
  /** The above as one short word, for logs and for comparing. */
  readonly id: string;
}

/** Where a graph runs. */
export type ExecutionProvider = 'cpu' | GpuProvider;
export type GpuProvider = 'cuda' | 'tensorrt';

export type GraphOptimization = 'disabled' | 'basic' | 'extended' | 'all';

/**
 * How rows are put together so that each gets the same bits as alone: any number at a time; at least `to` rows, a multiple
 * of it, filled up with copies of the last; or one by one.
 */
export type Batching =
  | { readonly mode: 'any' }
  | { readonly mode: 'pad'; readonly to: 2 | 4 }
  | { readonly mode: 'row' };

export interface ScorerOptions {
  /** Most rows of one run of the graph. Default 64. */
  readonly maxBatchRows?: number;
  /**
   * As many rows are run at a time, instead of `maxBatchRows`, where that gives the same bits and holds the thread up for a
   * few milliseconds at most: for who has always more rows waiting. A run costs something by itself.
   */
  readonly longRunRows?: number;
  /** Threads of one run. Default 1; more make some models give other bits from run to run. */
  readonly threads?: number;
  /** Default `all`. It changes bits, so it is part of the execution class. */
  readonly graphOptimization?: GraphOptimization;
  /** Default `cpu`. Part of the execution class. */
  readonly provider?: ExecutionProvider;
  /** Whether nodes that the provider lacks may run on the CPU; else such a version is refused. Default false. */
  readonly fallback?: boolean;
  /**
   * How the runtime is called. `auto` (default): its native function, synchronously, if that gives the same bits as the
   * public one on the records that the version is checked with. `public`: always the documented, asynchronous way.
   */
  readonly call?: 'auto' | 'public';
  /**
   * Where the graph runs. `loop` (default): in the thread that asks. `thread`, `process`: in one of its own, which holds up
   * nothing else; a process survives a model that crashes. `auto`: on the loop, unless a full batch would hold it up for
   * long, or it runs on a GPU: then in a thread.
   */
  readonly place?: 'auto' | SessionPlace;
  /** Told when the thread or process of the version ended by itself; it is started again. It must not throw. */
  readonly onEnded?: (why: string) => void;
  /** Where packed graphs are kept, by digest. Without it they are made anew at each load. */
  readonly cacheDir?: string;
  /**
   * What loading the same package found out before, in this process and with the same options: it is loaded in the way that
   * was chosen then, and only its golden records are repeated.
   */
  readonly found?: ScorerFindings | undefined;
  readonly signal?: AbortSignal;
}

/** What loading a version found out, at the price of some hundred runs. */
export type ScorerFindings = Pick<
  Scorer,
  | 'digest'
  | 'maxBatchRows'
  | 'call'
  | 'place'
  | 'batching'
  | 'batchInvariant'
  | 'repeatable'
  | 'packed'
  | 'notes'
  | 'measured'
>;

/** One loaded version. */
export interface Scorer {
  readonly signature: Signature;
  /** Digest of the package. */
  readonly digest: string;
  readonly executionClass: ExecutionClass;
  /** How the runtime is called. */
  readonly call: 'native' | 'public';
  readonly place: SessionPlace;
  readonly batching: Batching;
  /** Whether the graph gives the same bits for the same rows each time: else no answer may be used again. */
  readonly repeatable: boolean;
  /** Whether a row gets the same bits in any company, batched as `batching` says. */
  readonly batchInvariant: boolean;
  readonly maxBatchRows: number;
  /** Whether the graph runs with its inputs packed by type, proven equal to the original. */
  readonly packed: boolean;
  /** What was worth telling when it was loaded, in words. */
  readonly notes: readonly string[];
  /** Median cost of one run, µs. */
  readonly measured: { readonly oneRowUs: number; readonly fullBatchUs: number };
  newBatch(capacityRows?: number): InputBatch;
  /**
   * Scores rows of a batch, more than `maxBatchRows` in several runs. It answers at once where `call` is `native` and
   * `place` is `loop`, else by a promise; the batch may not be changed before it is done.
   * @throws AssayError INVALID_ARGUMENT when the runtime fails on these rows: the graph refused what the signature allows
   */
  run(batch: InputBatch, fromRow?: number, rows?: number): OutputBatch | Promise<OutputBatch>;
  /** Frees the session. Not while a run is under way. */
  close(): void;
}

/** How many requests wait for a run of the model; a gauge of theirs, which those who submit may share. */
export interface PendingCount {
  pendingRequests: number;
}

export interface SubmitOptions {
  /** When an answer is worthless, by the clock of `performance.now()`. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Where equal rows are looked up first: of this version alone. */
  readonly cache?: VersionCache | undefined;
  /** Nobody else can come in this turn of the event loop: an idle version does not wait for its end. */
  readonly isAlone?: boolean | undefined;
  /** Is one higher from when these rows are queued until their first run begins, or they are dropped. */
  readonly pending?: PendingCount | undefined;
}

/** The rows of one caller within the batch that they were run in. */
export interface ScoredRows {
  readonly outputs: OutputBatch;
  readonly firstRow: number;
  readonly rows: number;
  /** From submission to the run. */
  readonly queueMs: number;
  /** Of the run or runs that held these rows. */
  readonly inferenceMs: number;
  /** How many rows the (last) run had; 0 where none was run for this caller. */
  readonly batchRows: number;
  /**
   * Rows, counted from 0, that were not run for this caller: an equal row was scored before, or at the same time. Absent
   * where all were run.
   */
  readonly cached?: ReadonlySet<number>;
}

export interface BatcherOptions {
  /** Rows that may wait, beyond which callers are told OVERLOADED. Default 4096. */
  readonly maxQueueRows?: number;
  /** Told of each run. It must not throw. */
  readonly observe?: (run: { readonly rows: number; readonly inferenceMs: number }) => void;
}

export interface Batcher {
  /**
   * Queues rows and gives their outputs. `append` is called at once and puts them into the batch; what it throws is what
   * the caller gets, and nothing of it stays.
   * @throws AssayError (as a rejection) what `append` throws; DEADLINE_EXCEEDED and CANCELLED when dropped before the run;
   *   OVERLOADED with `retryAfterMs` when the queue is full or the deadline cannot be met; UNAVAILABLE after `close`;
   *   INVALID_ARGUMENT when the graph fails on these rows
   */
  submit(append: (batch: InputBatch) => number, options: SubmitOptions): Promise<ScoredRows>;
  readonly queuedRows: number;
  /** Expected time until rows submitted now are answered. */
  readonly expectedWaitMs: number;
  /** Resolves when nothing is queued or running; new rows are still taken. */
  drain(): Promise<void>;
  /** Refuses new rows, finishes those that wait. The scorer stays the caller's to close. */
  close(): Promise<void>;
}
