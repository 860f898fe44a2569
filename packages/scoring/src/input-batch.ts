/** Rows checked and packed, in memory that is used again and again. */
import { AssayError, type ErrorDetail } from '@assay/contracts';
import type { Encoder } from './encoder.ts';
import type { FloatColumn, InputBatch, InputTensor } from './interfaces.ts';
import { copyElements } from './layout.ts';
import type { ElementArray } from './session.ts';
import { failure, readTensors } from './tensor-input.ts';

/** A batch does not grow beyond this; callers bound their requests far lower. */
const MAX_ROWS = 2 ** 20;
/** Nor beyond so many elements in all: a wide signature whose features may be missing makes large rows of small records. */
const MAX_ELEMENTS = 2 ** 27;
/** No more places are collected from one call. */
const MAX_DETAILS = 20;

/** The batch as what every scorer's batches are. */
export function packed(batch: InputBatch): PackedInputBatch {
  if (batch instanceof PackedInputBatch) return batch;
  throw new AssayError('INTERNAL', 'a batch that no scorer made');
}

export class PackedInputBatch implements InputBatch {
  readonly #encoder: Encoder;
  #arrays: ElementArray[];
  #capacityRows: number;
  #rows = 0;

  constructor(encoder: Encoder, capacityRows: number) {
    this.#encoder = encoder;
    this.#capacityRows = capacityRows;
    this.#arrays = encoder.newArrays(capacityRows);
  }

  get rows(): number {
    return this.#rows;
  }

  get capacityRows(): number {
    return this.#capacityRows;
  }

  /** One array a slot of the encoder's layout, row by row. Rows beyond `rows` hold leftovers. */
  get arrays(): readonly ElementArray[] {
    return this.#arrays;
  }

  get encoder(): Encoder {
    return this.#encoder;
  }

  appendRecords(records: readonly unknown[]): number {
    if (records.length === 0) {
      throw failure([{ place: 'records', message: 'is empty', expected: 'at least one record' }]);
    }
    this.reserve(this.#rows + records.length); // all or nothing: `rows` moves at the end
    const details: ErrorDetail[] = [];
    for (let i = 0; i < records.length; i++) {
      this.#encoder.encode(records[i], this.#rows + i, this.#arrays, `records[${i}]`, details);
      if (details.length >= MAX_DETAILS) break;
    }
    if (details.length > 0) throw failure(details);
    this.#rows += records.length;
    return records.length;
  }

  tryAppendRecord(record: unknown): ErrorDetail[] | undefined {
    this.reserve(this.#rows + 1);
    const details: ErrorDetail[] = [];
    if (!this.#encoder.encode(record, this.#rows, this.#arrays, '', details)) return details;
    this.#rows++;
    return undefined;
  }

  scanRecord(json: Buffer, from: number): number {
    this.reserve(this.#rows + 1);
    const end = this.#encoder.scan(json, from, this.#rows, this.#arrays);
    if (end >= 0) this.#rows++;
    return end;
  }

  appendTensors(inputs: readonly InputTensor[]): number {
    const tensors = readTensors(this.#encoder, inputs);
    this.reserve(this.#rows + tensors.rows);
    tensors.store(this.#arrays, this.#rows);
    this.#rows += tensors.rows;
    return tensors.rows;
  }

  floats(feature: string, rows: number): FloatColumn | undefined {
    const column = this.#encoder.columnByName.get(feature);
    if (column === undefined || column.rule.closed !== undefined) return undefined;
    const { dtype } = column.feature;
    if (dtype !== 'float32' && dtype !== 'float64') return undefined;
    this.reserve(this.#rows + rows);
    const array = this.#arrays[column.slot];
    const stride = this.#encoder.layout.slots[column.slot]?.width ?? 0;
    if (!(array instanceof Float32Array || array instanceof Float64Array)) return undefined;
    const { width, rule } = column;
    return {
      array,
      isFloat32: dtype === 'float32',
      at: this.#rows * stride + column.at,
      stride,
      width,
      min: rule.min,
      max: rule.max,
    };
  }

  takeFloats(rows: number, features: number): boolean {
    if (features !== this.#encoder.columns.length) return false;
    this.reserve(this.#rows + rows);
    this.#rows += rows;
    return true;
  }

  /** Appends rows of another batch of the same scorer. */
  appendRows(from: PackedInputBatch, fromRow: number, rows: number): void {
    this.reserve(this.#rows + rows);
    this.#encoder.layout.slots.forEach(({ width }, slot) => {
      const source = from.arrays[slot];
      const target = this.#arrays[slot];
      if (source === undefined || target === undefined) return;
      copyElements(source, fromRow * width, (fromRow + rows) * width, target, this.#rows * width);
    });
    this.#rows += rows;
  }

  /** Takes the row that was put behind the present ones, into `arrays`, after `reserve`. */
  takeRow(): void {
    this.#rows++;
  }

  /** Puts a copy of row `from` in the place of row `to`. */
  moveRow(from: number, to: number): void {
    this.#encoder.layout.slots.forEach(({ width }, slot) => {
      const array = this.#arrays[slot];
      if (array !== undefined) copyElements(array, from * width, (from + 1) * width, array, to * width);
    });
  }

  truncate(rows: number): void {
    this.#rows = Math.max(0, Math.min(this.#rows, rows));
  }

  remove(from: number, count: number): void {
    const end = Math.min(this.#rows, from + count);
    if (from < 0 || end <= from) return;
    this.#encoder.layout.slots.forEach(({ width }, slot) => {
      const array = this.#arrays[slot];
      if (array !== undefined) copyElements(array, end * width, this.#rows * width, array, from * width);
    });
    this.#rows -= end - from;
  }

  clear(): void {
    this.#rows = 0;
  }

  /** Makes room for `rows` rows in all. */
  reserve(rows: number): void {
    if (rows <= this.#capacityRows) return;
    if (rows > MAX_ROWS) {
      throw new AssayError(
        'PAYLOAD_TOO_LARGE',
        `a batch holds at most ${MAX_ROWS} rows, ${rows} were to be put into one`,
      );
    }
    const rowElements = this.#encoder.layout.slots.reduce((sum, { width }) => sum + width, 0);
    if (rows * rowElements > MAX_ELEMENTS) {
      throw new AssayError(
        'PAYLOAD_TOO_LARGE',
        `${rows} rows of ${rowElements} values are more than the ${MAX_ELEMENTS} values that a batch holds`,
      );
    }
    const capacity = Math.min(MAX_ROWS, Math.floor(MAX_ELEMENTS / rowElements), Math.max(rows, this.#capacityRows * 2));
    const arrays = this.#encoder.newArrays(capacity);
    this.#encoder.layout.slots.forEach(({ width }, slot) => {
      const source = this.#arrays[slot];
      const target = arrays[slot];
      if (source !== undefined && target !== undefined) copyElements(source, 0, this.#rows * width, target, 0);
    });
    this.#arrays = arrays;
    this.#capacityRows = capacity;
  }
}
