/**
 * LightGBM's C API (https://lightgbm.readthedocs.io/en/stable/C-API.html), called synchronously by koffi. Its last error
 * and its log callback belong to a thread, and a crash in it ends the process: so one job, one process, one thread.
 */
import { AssayError } from '@assay/contracts';
import koffi, { type LibraryHandle } from 'koffi';
import { type LibraryLocation, unavailable } from './library.ts';

/** A matrix of doubles, column after column; NaN is missing. */
export interface ColumnMajor {
  readonly values: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

export interface LightGbm {
  /** Every parameter that this version knows, with its aliases. */
  parameterAliases(): ReadonlyMap<string, readonly string[]>;
  /** @param reference the dataset whose bins it takes over: validation rows are binned as the training rows */
  createDataset(options: {
    readonly matrix: ColumnMajor;
    readonly labels: Uint8Array;
    readonly parameters: string;
    readonly reference?: Dataset;
  }): Dataset;
  createBooster(training: Dataset, parameters: string): Booster;
  /** Hears LightGBM's own words, each line once: it repeats some every round. The last listener counts. */
  onLog(listener: (line: string) => void): void;
}

export interface Dataset {
  readonly handle: unknown;
  close(): void;
}

export interface Booster {
  addValidation(dataset: Dataset): void;
  /** Trains one more round. @returns false when no split is left to make */
  update(): boolean;
  /** The metric (one was set) on the first validation dataset. */
  evaluate(): number;
  /** Probabilities, by the first `rounds` rounds. */
  predict(matrix: ColumnMajor, rounds: number, threads: number): Float64Array;
  /** The model as LightGBM dumps it to JSON, the first `rounds` rounds. */
  dump(rounds: number): unknown;
  close(): void;
}

// c_api.h: C_API_DTYPE_FLOAT32, C_API_DTYPE_FLOAT64, C_API_PREDICT_NORMAL
const FLOAT32 = 0;
const FLOAT64 = 1;
const PREDICT_NORMAL = 0;

/** koffi's types and callbacks are the process's, as LightGBM's log is. */
const LogCallback = koffi.proto('void AssayLightGbmLog(const char *message)');
let callback: bigint | undefined;
let hear: (piece: string) => void = () => undefined;

/** @throws AssayError FAILED_PRECONDITION, saying what to do, where the library does not load */
export async function loadLightGbm(location: LibraryLocation): Promise<LightGbm> {
  return bind(await open(location));
}

async function open(location: LibraryLocation): Promise<LibraryHandle> {
  try {
    return koffi.load(location.lightgbm);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (!/libgomp/.test(reason)) throw unavailable(`${location.lightgbm} does not load: ${reason}`, error);
  }
  const openmp = await location.openmp();
  try {
    koffi.load(openmp, { global: true });
    return koffi.load(location.lightgbm);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw unavailable(`${location.lightgbm} does not load, even with ${openmp}: ${reason}`, error);
  }
}

function bind(library: LibraryHandle): LightGbm {
  // Each is typed as its C declaration says; koffi checks the arguments against that at each call.
  const lastError: () => string = library.func('const char *LGBM_GetLastError()');
  const dumpParamAliases: TextFunction = library.func(
    'int LGBM_DumpParamAliases(int64_t size, _Out_ int64_t *length, _Out_ uint8_t *text)',
  );
  const createFromMat: (
    data: Float64Array,
    type: number,
    rows: number,
    columns: number,
    isRowMajor: number,
    parameters: string,
    reference: unknown,
    handle: unknown[],
  ) => number = library.func(
    'int LGBM_DatasetCreateFromMat(const void *data, int type, int32_t rows, int32_t columns, int isRowMajor, const char *parameters, void *reference, _Out_ void **handle)',
  );
  const setField: (dataset: unknown, name: string, data: Float32Array, length: number, type: number) => number =
    library.func('int LGBM_DatasetSetField(void *dataset, const char *name, const void *data, int length, int type)');
  const freeDataset: (dataset: unknown) => number = library.func('int LGBM_DatasetFree(void *dataset)');
  const createBooster: (training: unknown, parameters: string, handle: unknown[]) => number = library.func(
    'int LGBM_BoosterCreate(void *training, const char *parameters, _Out_ void **handle)',
  );
  const addValidData: (booster: unknown, dataset: unknown) => number = library.func(
    'int LGBM_BoosterAddValidData(void *booster, void *dataset)',
  );
  const updateOneIter: (booster: unknown, isFinished: number[]) => number = library.func(
    'int LGBM_BoosterUpdateOneIter(void *booster, _Out_ int *isFinished)',
  );
  const getEval: (booster: unknown, dataset: number, length: number[], results: Float64Array) => number = library.func(
    'int LGBM_BoosterGetEval(void *booster, int dataset, _Out_ int *length, _Out_ double *results)',
  );
  const predictForMat: (
    booster: unknown,
    data: Float64Array,
    type: number,
    rows: number,
    columns: number,
    isRowMajor: number,
    kind: number,
    firstRound: number,
    rounds: number,
    parameters: string,
    length: number[],
    results: Float64Array,
  ) => number = library.func(
    'int LGBM_BoosterPredictForMat(void *booster, const void *data, int type, int32_t rows, int32_t columns, int isRowMajor, int kind, int firstRound, int rounds, const char *parameters, _Out_ int64_t *length, _Out_ double *results)',
  );
  const dumpModel: (
    booster: unknown,
    firstRound: number,
    rounds: number,
    importance: number,
    size: number,
    length: (number | bigint)[],
    text: Uint8Array,
  ) => number = library.func(
    'int LGBM_BoosterDumpModel(void *booster, int firstRound, int rounds, int importance, int64_t size, _Out_ int64_t *length, _Out_ uint8_t *text)',
  );
  const freeBooster: (booster: unknown) => number = library.func('int LGBM_BoosterFree(void *booster)');

  /** Every function gives 0, or −1 and a message. What LightGBM refuses is mostly a parameter, which its message names. */
  const check = (status: number): void => {
    if (status !== 0) throw new AssayError('INVALID_ARGUMENT', `LightGBM: ${withoutSourcePlace(lastError())}`);
  };

  return {
    parameterAliases() {
      const text = readText((size, length, buffer) => check(dumpParamAliases(size, length, buffer)));
      const aliases = JSON.parse(text) as Record<string, string[]>; // its documented form
      return new Map(Object.entries(aliases));
    },

    createDataset({ matrix, labels, parameters, reference }) {
      const { values, rows, columns } = matrix;
      const out: unknown[] = [null];
      check(createFromMat(values, FLOAT64, rows, columns, 0, parameters, reference?.handle ?? null, out));
      const handle = out[0];
      check(setField(handle, 'label', Float32Array.from(labels), rows, FLOAT32));
      return { handle, close: () => check(freeDataset(handle)) };
    },

    createBooster(training, parameters) {
      const out: unknown[] = [null];
      check(createBooster(training.handle, parameters, out));
      const handle = out[0];
      return {
        addValidation: (dataset) => check(addValidData(handle, dataset.handle)),
        update() {
          const isFinished = [0];
          check(updateOneIter(handle, isFinished));
          return isFinished[0] === 0;
        },
        evaluate() {
          const results = new Float64Array(8);
          check(getEval(handle, 1, [0], results)); // 0 is the training data, 1 the first validation dataset
          return results[0] ?? Number.NaN;
        },
        predict({ values, rows, columns }, rounds, threads) {
          const results = new Float64Array(rows);
          const parameters = `num_threads=${threads}`;
          check(
            predictForMat(
              handle,
              values,
              FLOAT64,
              rows,
              columns,
              0,
              PREDICT_NORMAL,
              0,
              rounds,
              parameters,
              [0],
              results,
            ),
          );
          return results;
        },
        dump: (rounds) =>
          JSON.parse(readText((size, length, text) => check(dumpModel(handle, 0, rounds, 0, size, length, text)))),
        close: () => check(freeBooster(handle)),
      };
    },

    onLog(listener) {
      hear = lineByLine(listener);
      const register: (callback: unknown) => number = library.func('LGBM_RegisterLogCallback', 'int', [
        koffi.pointer(LogCallback),
      ]);
      callback ??= koffi.register((piece: string) => hear(piece), koffi.pointer(LogCallback));
      check(register(callback));
    },
  };
}

/** `Check failed: (num_leaves) >(1) at /…/config_auto.cpp, line 352 .`: where in LightGBM it was found helps nobody. */
function withoutSourcePlace(message: string): string {
  return message.replace(/ at \S+, line \d+ \.\s*$/, '').trim();
}

const MAX_REMEMBERED_LINES = 1000;

/** LightGBM hands over its log in pieces of lines. */
function lineByLine(listener: (line: string) => void): (piece: string) => void {
  const seen = new Set<string>();
  let pending = '';
  return (piece) => {
    const lines = (pending + piece).split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() === '' || seen.has(line)) continue;
      if (seen.size < MAX_REMEMBERED_LINES) seen.add(line);
      listener(line);
    }
  };
}

type TextFunction = (size: number, length: (number | bigint)[], text: Uint8Array) => number;

const FIRST_TEXT_BYTES = 1 << 22;

/** Text of unknown length: asked for once more when the first buffer was too small. */
function readText(read: (size: number, length: (number | bigint)[], text: Uint8Array) => void): string {
  const length: (number | bigint)[] = [0];
  let buffer = new Uint8Array(FIRST_TEXT_BYTES);
  read(buffer.length, length, buffer);
  const needed = Number(length[0]);
  if (needed > buffer.length) {
    buffer = new Uint8Array(needed);
    read(buffer.length, length, buffer);
  }
  return Buffer.from(buffer.buffer, 0, needed - 1).toString('utf8'); // without the C string's end
}
