/**
 * XGBoost's C API (https://xgboost.readthedocs.io/en/stable/dev/c__api_8h.html), called synchronously by koffi. Its last
 * error, its settings and its log belong to a thread, and a crash in it ends the process: so one job, one process, one
 * thread. Columns are read where they lie: the library gets their addresses, and they must live as long as the call.
 */
import { AssayError } from '@assay/contracts';
import { JobError } from '@assay/jobs';
import koffi, { type LibraryHandle } from 'koffi';
import { unavailable } from './library.ts';

/** NaN is missing. Of a category, the position. */
export interface Column {
  readonly kind: 'number' | 'category';
  readonly values: Float64Array | Float32Array;
}

export interface Columns {
  readonly columns: readonly Column[];
  readonly rows: number;
}

export interface XgBoost {
  readonly path: string;
  /** Whether it was built with CUDA; without it XGBoost takes the CPU, whatever device it is told. */
  readonly hasCuda: boolean;
  /** @param reference the matrix whose bins it takes over: validation rows are binned as the training rows */
  createMatrix(options: {
    readonly data: Columns;
    readonly labels: Uint8Array;
    readonly maxBins: number | undefined;
    readonly threads: number;
    readonly reference?: Matrix;
  }): Matrix;
  /** @param matrices those that it trains on or evaluates: what is computed for them once is kept */
  createBooster(matrices: readonly Matrix[], parameters: Readonly<Record<string, string>>): Booster;
  /** Hears XGBoost's own words. The last listener counts. */
  onLog(listener: (line: string) => void): void;
}

export interface Matrix {
  readonly handle: unknown;
  close(): void;
}

export interface Booster {
  /** Everything that it is set to, as it understood it. */
  config(): unknown;
  setParameter(name: string, value: string): void;
  /** Trains one more round. */
  update(round: number, training: Matrix): void;
  /** The metric (one was set) on a matrix. */
  evaluate(round: number, matrix: Matrix): number;
  /** Raw scores by the rounds from `from` up to but without `to`; `startFromZero`: without the base score. */
  predict(
    data: Columns,
    range: { readonly from: number; readonly to: number; readonly startFromZero: boolean },
  ): Float32Array;
  /** These rounds as a model, in XGBoost's JSON. */
  dump(from: number, to: number): unknown;
  close(): void;
}

/** koffi's types and callbacks are the process's, as XGBoost's log is. */
const LogCallback = koffi.proto('void AssayXgBoostLog(const char *message)');
const ResetCallback = koffi.proto('void AssayXgBoostReset(void *iterator)');
const NextCallback = koffi.proto('int AssayXgBoostNext(void *iterator)');
let logCallback: bigint | undefined;
let hear: (message: string) => void = () => undefined;

/** @throws AssayError FAILED_PRECONDITION, saying what to do, where the library does not load */
export function loadXgBoost(path: string): XgBoost {
  let library: LibraryHandle;
  try {
    library = koffi.load(path);
  } catch (error) {
    throw unavailable(`${path} does not load: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  return bind(library, path);
}

function bind(library: LibraryHandle, path: string): XgBoost {
  // Each is typed as its C declaration says; koffi checks the arguments against that at each call.
  const lastError: () => string = library.func('const char *XGBGetLastError()');
  const buildInfo: (text: (string | null)[]) => number = library.func('int XGBuildInfo(_Out_ const char **text)');
  const proxyCreate: (out: unknown[]) => number = library.func('int XGProxyDMatrixCreate(_Out_ void **out)');
  const proxySetColumns: (proxy: unknown, columns: string) => number = library.func(
    'int XGProxyDMatrixSetDataColumnar(void *proxy, const char *columns)',
  );
  const setInfo: (matrix: unknown, field: string, values: string) => number = library.func(
    'int XGDMatrixSetInfoFromInterface(void *matrix, const char *field, const char *values)',
  );
  const setTexts: (matrix: unknown, field: string, texts: readonly string[], count: number) => number = library.func(
    'int XGDMatrixSetStrFeatureInfo(void *matrix, const char *field, const char **texts, uint64_t count)',
  );
  const createQuantile: (
    iterator: null,
    proxy: unknown,
    reference: unknown,
    reset: bigint,
    next: bigint,
    config: string,
    out: unknown[],
  ) => number = library.func('XGQuantileDMatrixCreateFromCallback', 'int', [
    'void *',
    'void *',
    'void *',
    koffi.pointer(ResetCallback),
    koffi.pointer(NextCallback),
    'const char *',
    koffi.out(koffi.pointer('void *')),
  ]);
  const freeMatrix: (matrix: unknown) => number = library.func('int XGDMatrixFree(void *matrix)');
  const createBooster: (matrices: readonly unknown[], count: number, out: unknown[]) => number = library.func(
    'int XGBoosterCreate(void **matrices, uint64_t count, _Out_ void **out)',
  );
  const setParam: (booster: unknown, name: string, value: string) => number = library.func(
    'int XGBoosterSetParam(void *booster, const char *name, const char *value)',
  );
  const saveConfig: (booster: unknown, length: number[], text: (string | null)[]) => number = library.func(
    'int XGBoosterSaveJsonConfig(void *booster, _Out_ uint64_t *length, _Out_ const char **text)',
  );
  const updateOneIter: (booster: unknown, round: number, training: unknown) => number = library.func(
    'int XGBoosterUpdateOneIter(void *booster, int round, void *training)',
  );
  const evalOneIter: (
    booster: unknown,
    round: number,
    matrices: readonly unknown[],
    names: readonly string[],
    count: number,
    text: (string | null)[],
  ) => number = library.func(
    'int XGBoosterEvalOneIter(void *booster, int round, void **matrices, const char **names, uint64_t count, _Out_ const char **text)',
  );
  const predictFromColumns: (
    booster: unknown,
    columns: string,
    config: string,
    proxy: unknown,
    shape: unknown[],
    dimensions: number[],
    results: unknown[],
  ) => number = library.func(
    'int XGBoosterPredictFromColumnar(void *booster, const char *columns, const char *config, void *proxy, _Out_ void **shape, _Out_ uint64_t *dimensions, _Out_ void **results)',
  );
  const slice: (booster: unknown, from: number, to: number, step: number, out: unknown[]) => number = library.func(
    'int XGBoosterSlice(void *booster, int from, int to, int step, _Out_ void **out)',
  );
  const saveModel: (booster: unknown, config: string, length: (number | bigint)[], bytes: unknown[]) => number =
    library.func(
      'int XGBoosterSaveModelToBuffer(void *booster, const char *config, _Out_ uint64_t *length, _Out_ void **bytes)',
    );
  const freeBooster: (booster: unknown) => number = library.func('int XGBoosterFree(void *booster)');
  const registerLog: (callback: bigint) => number = library.func('XGBRegisterLogCallback', 'int', [
    koffi.pointer(LogCallback),
  ]);

  /** Every function gives 0, or −1 and a message. */
  const check = (status: number): void => {
    if (status !== 0) throw failureOf(lastError());
  };
  const create = (make: (out: unknown[]) => number): unknown => {
    const out: unknown[] = [null];
    check(make(out));
    return out[0];
  };
  const textOf = (write: (text: (string | null)[]) => number): string => {
    const text: (string | null)[] = [null];
    check(write(text));
    return text[0] ?? '';
  };

  const build: { readonly USE_CUDA?: boolean } = JSON.parse(textOf(buildInfo)); // its documented form

  return {
    path,
    hasCuda: build.USE_CUDA === true,

    createMatrix({ data, labels, maxBins, threads, reference }) {
      const proxy = create(proxyCreate);
      let isGiven = false;
      let failure: unknown;
      // XGBoost asks for the batches of a matrix several times over; here there is one.
      const give = (): number => {
        if (isGiven) return 0;
        try {
          check(proxySetColumns(proxy, columnsJson(data)));
          check(setInfo(proxy, 'label', arrayJson(labels)));
          const types = data.columns.map(({ kind }) => (kind === 'category' ? 'c' : 'float'));
          check(setTexts(proxy, 'feature_type', types, types.length));
          isGiven = true;
          return 1;
        } catch (error) {
          failure = error; // no exception may pass through the library's frames
          return 0;
        }
      };
      const reset = koffi.register(() => {
        isGiven = false;
      }, koffi.pointer(ResetCallback));
      const next = koffi.register(give, koffi.pointer(NextCallback));
      try {
        const config = `{"missing":NaN,"nthread":${threads}${maxBins === undefined ? '' : `,"max_bin":${maxBins}`}}`;
        const out: unknown[] = [null];
        const status = createQuantile(null, proxy, reference?.handle ?? null, reset, next, config, out);
        if (failure !== undefined) throw failure;
        check(status);
        const handle = out[0];
        return { handle, close: () => check(freeMatrix(handle)) };
      } finally {
        koffi.unregister(reset);
        koffi.unregister(next);
        check(freeMatrix(proxy));
      }
    },

    createBooster(matrices, parameters) {
      const handles = matrices.map(({ handle }) => handle);
      const booster = create((out) => createBooster(handles, handles.length, out));
      const setParameter = (name: string, value: string): void => check(setParam(booster, name, value));
      for (const [name, value] of Object.entries(parameters)) setParameter(name, value);
      return {
        setParameter,
        config: () => JSON.parse(textOf((text) => saveConfig(booster, [0], text))),
        update: (round, training) => check(updateOneIter(booster, round, training.handle)),
        evaluate(round, matrix) {
          // `[3]\trows-logloss:0.41`
          const text = textOf((out) => evalOneIter(booster, round, [matrix.handle], ['rows'], 1, out));
          return Number(text.slice(text.lastIndexOf(':') + 1));
        },
        predict(data, { from, to, startFromZero }) {
          // type 1 is the raw score: PredictionType::kMargin
          const range = `"iteration_begin":${from},"iteration_end":${to}`;
          const config = `{"type":1,"training":false,${range},"strict_shape":false,"missing":NaN}`;
          const start = new Float32Array(startFromZero ? data.rows : 0);
          const proxy = create(proxyCreate);
          try {
            if (startFromZero) check(setInfo(proxy, 'base_margin', arrayJson(start)));
            const results: unknown[] = [null];
            check(predictFromColumns(booster, columnsJson(data), config, proxy, [null], [0], results));
            // The library's own memory until the next call: copied.
            return new Float32Array(koffi.view(results[0], data.rows * Float32Array.BYTES_PER_ELEMENT)).slice();
          } finally {
            check(freeMatrix(proxy));
          }
        },
        dump(from, to) {
          const part = create((out) => slice(booster, from, to, 1, out));
          try {
            const length: (number | bigint)[] = [0];
            const bytes: unknown[] = [null];
            check(saveModel(part, '{"format":"json"}', length, bytes));
            return JSON.parse(Buffer.from(koffi.view(bytes[0], Number(length[0]))).toString('utf8'));
          } finally {
            check(freeBooster(part));
          }
        },
        close: () => check(freeBooster(booster)),
      };
    },

    onLog(listener) {
      hear = (message) => {
        for (const line of message.split('\n')) if (line.trim() !== '') listener(line);
      };
      logCallback ??= koffi.register((message: string) => hear(message), koffi.pointer(LogCallback));
      check(registerLog(logCallback));
    },
  };
}

const TYPES = new Map<unknown, string>([
  [Float64Array, '<f8'],
  [Float32Array, '<f4'],
  [Uint8Array, '|u1'],
]);

/** NumPy's array interface (https://numpy.org/doc/stable/reference/arrays.interface.html): where an array lies. */
function arrayInterface(values: Float64Array | Float32Array | Uint8Array): object {
  return {
    data: [Number(koffi.address(values)), true], // read only; an address is below 2^53
    shape: [values.length],
    typestr: TYPES.get(values.constructor),
    version: 3,
  };
}
function arrayJson(values: Float32Array | Uint8Array): string {
  return JSON.stringify(arrayInterface(values));
}
function columnsJson({ columns }: Columns): string {
  return JSON.stringify(columns.map(({ values }) => arrayInterface(values)));
}

/** What XGBoost refuses is mostly a parameter, which its message names; but memory, of the GPU too, may run out in it. */
export function failureOf(message: string): AssayError | JobError {
  const text = readableMessage(message);
  if (!/bad_alloc|out of memory|memory ?allocation/i.test(text)) {
    return new AssayError('INVALID_ARGUMENT', `XGBoost: ${text}`);
  }
  return new JobError('out-of-memory', `memory ran out (XGBoost: ${text}); give the job more, or less data`);
}

/** Without the time, XGBoost's source and the stack: `[07:18:55] /workspace/src/x.cc:27: Check failed: … Stack trace:`. */
function readableMessage(message: string): string {
  const [text = ''] = message.split(/\n\s*Stack trace:/);
  return text
    .replace(/^\[[\d:]+\] \S+:\d+: /, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, 3)
    .join('; ');
}
