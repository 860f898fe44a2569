/**
 * One row of a batch exactly as the graph gets it, whichever door it came through: -0 is not 0, each NaN is its own bits, and
 * texts are texts. Rows are compared by their bits; a hash only finds what to compare with.
 */
import { type PackedInputBatch, packed } from '../input-batch.ts';
import type { InputBatch } from '../interfaces.ts';
import type { ElementArray } from '../session.ts';

/** A row by itself. */
export interface RowCopy {
  /** The bits of its numbers, slot after slot. */
  readonly units: Units;
  readonly texts: readonly string[];
}

/** A typed array of few elements is dearer to make, and larger, than a list of small integers. */
type Units = Int32Array | number[];
const MAX_LISTED = 64;

/** One slot of a batch, as what is compared. */
interface SlotView {
  /** Its memory in units of four bytes, or of one where rows do not begin at a multiple of four. */
  readonly units: Int32Array | Uint8Array;
  readonly texts: readonly string[] | undefined;
  /** Units or texts a row. */
  readonly perRow: number;
}

export type RowViews = readonly SlotView[];

const NO_UNITS = new Int32Array(0);
/** By the list of arrays, which is another one once the batch has grown. */
const views = new WeakMap<readonly ElementArray[], RowViews>();

/** The rows of a batch, until it grows. */
export function viewRows(batch: PackedInputBatch): RowViews {
  let found = views.get(batch.arrays);
  if (found === undefined) {
    found = batch.encoder.layout.slots.map(({ width }, i) => viewSlot(batch.arrays[i] ?? [], width));
    views.set(batch.arrays, found);
  }
  return found;
}

function viewSlot(array: ElementArray, width: number): SlotView {
  if (Array.isArray(array)) return { units: NO_UNITS, texts: array, perRow: width };
  const rowBytes = width * array.BYTES_PER_ELEMENT;
  const { buffer, byteOffset, byteLength } = array;
  return rowBytes % 4 === 0
    ? { units: new Int32Array(buffer, byteOffset, byteLength >> 2), texts: undefined, perRow: rowBytes >> 2 }
    : { units: new Uint8Array(buffer, byteOffset, byteLength), texts: undefined, perRow: rowBytes };
}

/** MurmurHash3 of 32 bits over units and characters. With a seed nobody knows, rows that meet cannot simply be made. */
export function hashRow(rows: RowViews, row: number, seed: number): number {
  let hash = seed;
  for (const { units, texts, perRow } of rows) {
    const end = (row + 1) * perRow;
    if (texts === undefined) {
      for (let i = row * perRow; i < end; i++) hash = mix(hash, units[i] ?? 0);
      continue;
    }
    for (let i = row * perRow; i < end; i++) {
      const text = texts[i] ?? '';
      for (let at = 0; at < text.length; at++) hash = mix(hash, text.charCodeAt(at));
      hash = mix(hash, text.length);
    }
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function mix(hash: number, unit: number): number {
  const scattered = Math.imul(unit, 0xcc9e2d51);
  const mixed = hash ^ Math.imul((scattered << 15) | (scattered >>> 17), 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

export function equalsRow(rows: RowViews, row: number, copy: RowCopy): boolean {
  let unit = 0;
  let text = 0;
  for (const { units, texts, perRow } of rows) {
    const end = (row + 1) * perRow;
    if (texts === undefined) {
      for (let i = row * perRow; i < end; i++) if (units[i] !== copy.units[unit++]) return false;
    } else {
      for (let i = row * perRow; i < end; i++) if (texts[i] !== copy.texts[text++]) return false;
    }
  }
  return true;
}

export function copyRow(rows: RowViews, row: number): RowCopy {
  let count = 0;
  for (const { texts, perRow } of rows) if (texts === undefined) count += perRow;
  const copy: { units: Units; texts: string[] } = {
    units: count <= MAX_LISTED ? new Array<number>(count) : new Int32Array(count),
    texts: [],
  };
  let unit = 0;
  for (const { units, texts, perRow } of rows) {
    const end = (row + 1) * perRow;
    if (texts === undefined) {
      if (Array.isArray(copy.units) || perRow < MAX_LISTED) {
        for (let i = row * perRow; i < end; i++) copy.units[unit++] = units[i] ?? 0;
      } else {
        copy.units.set(units.subarray(row * perRow, end), unit);
        unit += perRow;
      }
    } else for (let i = row * perRow; i < end; i++) copy.texts.push(texts[i] ?? '');
  }
  return copy;
}

/** Puts the row behind those of a batch of the same scorer. */
export function appendCopy(input: InputBatch, copy: RowCopy): number {
  const batch = packed(input);
  const row = batch.rows;
  batch.reserve(row + 1);
  let unit = 0;
  let text = 0;
  viewRows(batch).forEach(({ units, texts, perRow }, slot) => {
    const array = batch.arrays[slot];
    const end = (row + 1) * perRow;
    if (texts === undefined) for (let i = row * perRow; i < end; i++) units[i] = copy.units[unit++] ?? 0;
    else if (Array.isArray(array)) for (let i = row * perRow; i < end; i++) array[i] = copy.texts[text++] ?? '';
  });
  batch.takeRow();
  return 1;
}

/** What it holds in memory, about. */
export function copyBytes({ units, texts }: RowCopy): number {
  return texts.reduce(
    (sum, { length }) => sum + 24 + 2 * length,
    Array.isArray(units) ? 8 * units.length : units.byteLength,
  );
}
