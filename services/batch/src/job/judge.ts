/**
 * Rows of a chunk judged and scored by the one scoring core: all at once where nothing is wrong, else one by one, with the
 * same verdict for each row as at every other door.
 */
import { AssayError, type ErrorDetail, type Feature } from '@assay/contracts';
import { parseExactJson } from '@assay/model-package';
import {
  exactJson,
  exactOutputs,
  formatTimestamp,
  type InputTensor,
  type OutputBatch,
  type Scorer,
  type TensorData,
} from '@assay/scoring';
import type { FeatureChunk, FeatureColumn, ResultValues } from '@assay/tables';
import type { OutputColumn } from '../domain/output-columns.ts';

export interface RowFailure {
  /** Position in the chunk. */
  readonly index: number;
  readonly details: readonly ErrorDetail[];
}

export interface ScoredChunk {
  readonly rows: number;
  /** 1 for each row with a result. */
  readonly isGood: Uint8Array<ArrayBuffer>;
  /** One a column; what stands at a row without a result means nothing. */
  readonly values: readonly ResultValues[];
  /** In the order of the rows. */
  readonly failures: readonly RowFailure[];
  /** Of the rows that were to be logged, those with a result. */
  readonly logged: readonly LoggedRow[];
}

/** A row as the prediction log has it: exact JSON. */
export interface LoggedRow {
  /** Position in the chunk. */
  readonly index: number;
  readonly record: string;
  readonly outputs: string;
}

export interface JudgeOptions {
  readonly columns: readonly OutputColumn[];
  /** Features that come from SQL; in rows that are documents the others come from the document. */
  readonly selected: ReadonlySet<string>;
}

/**
 * One chunk at a time.
 * @param logged rows of the chunk to be logged, ascending
 */
export type Judge = (chunk: FeatureChunk, logged?: readonly number[]) => Promise<ScoredChunk>;

export function createJudge(scorer: Scorer, options: JudgeOptions): Judge {
  const batch = scorer.newBatch();
  const scratch = scorer.newBatch(1);
  return (chunk, logged = []) => {
    batch.clear();
    return scoreChunk(scorer, options, { batch, scratch }, chunk, logged);
  };
}

async function scoreChunk(
  scorer: Scorer,
  { columns, selected }: JudgeOptions,
  { batch, scratch }: { readonly batch: Batch; readonly scratch: Batch },
  chunk: FeatureChunk,
  toLog: readonly number[],
): Promise<ScoredChunk> {
  const failures: RowFailure[] = [];
  const isGood = new Uint8Array(chunk.rows).fill(1);
  const fail = (index: number, details: readonly ErrorDetail[]): void => {
    isGood[index] = 0;
    failures.push({ index, details });
  };
  const isPlain = chunk.documents === undefined && chunk.problems === undefined && !hasVectors(scorer);
  if (!isPlain || !tryAppendAll(scorer, batch, chunk)) {
    for (let index = 0; index < chunk.rows; index++) {
      scratch.clear();
      const details = appendRow(scorer, selected, { batch, scratch }, chunk, index);
      if (details !== undefined) fail(index, details);
    }
  }
  const indexes = positionsOf(isGood, batch.rows);
  const run = async (from: number, rows: number): Promise<OutputBatch> => scorer.run(batch, from, rows);
  const values = columns.map((column) => emptyValues(column, chunk.rows));
  const logged: LoggedRow[] = [];
  const wanted = new Set(toLog);
  const take = (outputs: OutputBatch, indexOf: (row: number) => number): void => {
    place(columns, values, outputs, indexOf);
    for (let row = 0; wanted.size > 0 && row < outputs.rows; row++) {
      const index = indexOf(row);
      if (!wanted.has(index)) continue;
      const made = recordOf(scorer.signature.features, selected, chunk, index);
      if ('details' in made) continue;
      logged.push({
        index,
        record: exactJson(made.record),
        outputs: exactOutputs(scorer.signature, outputs, row),
      });
    }
  };
  if (batch.rows > 0) {
    try {
      take(await run(0, batch.rows), (row) => indexes?.[row] ?? row);
    } catch (error) {
      if (AssayError.from(error).code !== 'INVALID_ARGUMENT') throw error;
      // The graph refuses some of what the signature allows: which rows, each has to tell by itself.
      for (let row = 0; row < batch.rows; row++) {
        const index = indexes?.[row] ?? row;
        try {
          take(await run(row, 1), () => index);
        } catch (failure) {
          const { code, message } = AssayError.from(failure);
          if (code !== 'INVALID_ARGUMENT') throw failure;
          fail(index, [{ place: 'record', message }]);
        }
      }
      failures.sort((a, b) => a.index - b.index);
    }
  }
  return { rows: chunk.rows, isGood, values, failures, logged };
}

type Batch = ReturnType<Scorer['newBatch']>;

function hasVectors({ signature }: Scorer): boolean {
  return signature.features.some(({ shape }) => shape.length > 0);
}

function tryAppendAll({ signature }: Scorer, batch: Batch, { columns, rows }: FeatureChunk): boolean {
  try {
    batch.appendTensors(tensorsOf(signature.features, columns, 0, rows));
    return true;
  } catch (error) {
    if (AssayError.from(error).code !== 'INVALID_ARGUMENT') throw error;
    return false;
  }
}

/** Appends one row, or says what is wrong with it. */
function appendRow(
  { signature }: Scorer,
  selected: JudgeOptions['selected'],
  { batch, scratch }: { readonly batch: Batch; readonly scratch: Batch },
  chunk: FeatureChunk,
  index: number,
): readonly ErrorDetail[] | undefined {
  const { features } = signature;
  const made = recordOf(features, selected, chunk, index);
  if ('details' in made) return made.details;
  const isColumns = chunk.documents === undefined && features.every(({ shape }) => shape.length === 0);
  if (!isColumns || chunk.problems?.[index] !== undefined) return batch.tryAppendRecord(made.record);
  try {
    batch.appendTensors(tensorsOf(features, chunk.columns, index, index + 1));
    return undefined;
  } catch (error) {
    const failure = AssayError.from(error);
    if (failure.code !== 'INVALID_ARGUMENT') throw error;
    // The record says the same in the words of the other doors.
    return scratch.tryAppendRecord(made.record) ?? failure.details;
  }
}

function tensorsOf(
  features: readonly Feature[],
  columns: readonly FeatureColumn[],
  from: number,
  to: number,
): InputTensor[] {
  return features.map(({ name, dtype }, i) => ({
    name,
    dtype,
    shape: [to - from],
    data: dataOf(columns[i], from, to),
  }));
}

function dataOf(column: FeatureColumn | undefined, from: number, to: number): TensorData {
  switch (column?.kind) {
    case 'float32':
    case 'float64':
      return column.values.subarray(from, to);
    case 'int64':
    case 'bool': {
      const { values, valid } = column;
      if (valid === undefined) return values.subarray(from, to);
      return Array.from({ length: to - from }, (_, i) => (valid[from + i] === 0 ? null : values[from + i]));
    }
    case 'string':
      return column.values.slice(from, to);
    case 'texts':
      return { length: to - from, codes: column.codes.subarray(from, to), dictionary: column.dictionary };
    default:
      throw new AssayError('INTERNAL', 'a feature of a chunk has no column');
  }
}

/** The row as the record that a caller would send; or what is wrong with it before that. */
function recordOf(
  features: readonly Feature[],
  selected: JudgeOptions['selected'],
  chunk: FeatureChunk,
  index: number,
): { readonly record: Record<string, unknown> } | { readonly details: ErrorDetail[] } {
  const problems = chunk.problems?.[index];
  const details: ErrorDetail[] = [];
  const record: Record<string, unknown> = {};
  let document: Record<string, unknown> = {};
  const text = chunk.documents?.[index];
  // Each line was found to be an object when the rows were told apart.
  if (text !== undefined) document = parseExactJson(text) as Record<string, unknown>;
  for (const [i, feature] of features.entries()) {
    const problem = problems?.[i];
    if (problem?.startsWith('s')) details.push({ place: feature.name, message: problem.slice(1) });
    else if (problem !== undefined && problem !== null) record[feature.name] = valueOfText(feature, problem.slice(1));
    else if (text === undefined || selected.has(feature.name)) {
      record[feature.name] = cellOf(feature, chunk.columns[i], index);
    } else if (Object.hasOwn(document, feature.name)) record[feature.name] = document[feature.name];
  }
  return details.length > 0 ? { details } : { record };
}

function cellOf(feature: Feature, column: FeatureColumn | undefined, index: number): unknown {
  if (column?.kind === 'texts') return column.dictionary[column.codes[index] ?? -1] ?? null;
  const value = column?.values[index] ?? null;
  if (feature.shape.length > 0) return typeof value === 'string' ? parseVector(value) : null;
  if (column?.kind === 'int64' || column?.kind === 'bool') {
    if (column.valid?.[index] === 0) return null;
    if (column.kind === 'bool') return value === 1;
    return feature.dtype === 'timestamp' && typeof value === 'bigint' ? (formatTimestamp(value) ?? value) : value;
  }
  return typeof value === 'number' && Number.isNaN(value) ? null : value;
}

function parseVector(json: string): unknown {
  try {
    return parseExactJson(json);
  } catch {
    return json; // NaN and Infinity have no JSON: told as a text that is no vector
  }
}

const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;

/** Text that a feature could not take, as the value that it was meant to be. */
function valueOfText({ dtype, shape }: Feature, text: string): unknown {
  if (shape.length > 0 || !NUMBER.test(text)) return text;
  if (dtype === 'int64') return /^\s*[+-]?\d+\s*$/.test(text) ? BigInt(text.trim().replace(/^\+/, '')) : Number(text);
  if (dtype === 'float32' || dtype === 'float64') return Number(text);
  return text;
}

/** The rows of the chunk that are in the batch; undefined where all are. */
function positionsOf(isGood: Uint8Array, rows: number): Int32Array | undefined {
  if (rows === isGood.length) return undefined;
  const positions = new Int32Array(rows);
  let at = 0;
  for (const [index, good] of isGood.entries()) if (good === 1) positions[at++] = index;
  return positions;
}

function emptyValues({ dtype }: OutputColumn, rows: number): ResultValues {
  switch (dtype) {
    case 'float32':
      return new Float32Array(rows);
    case 'float64':
      return new Float64Array(rows);
    case 'bool':
      return new Uint8Array(rows);
    case 'string':
      return new Array<string>(rows).fill('');
    case 'int64':
    case 'timestamp':
      return new BigInt64Array(rows);
  }
}

/** Flattens outputs into columns, each row at its place. */
function place(
  columns: readonly OutputColumn[],
  values: readonly ResultValues[],
  outputs: OutputBatch,
  indexOf: (row: number) => number,
): void {
  for (const [i, { output, element, width }] of columns.entries()) {
    const data = outputs.outputs[output]?.data;
    const target = values[i];
    if (data === undefined || target === undefined) throw new AssayError('INTERNAL', `output ${output} is missing`);
    const cells = target as (string | number | bigint)[]; // of the type of the output's data, by `emptyValues`
    for (let row = 0; row < outputs.rows; row++) {
      const value = data[row * width + element];
      if (value !== undefined) cells[indexOf(row)] = value;
    }
  }
}
