/**
 * Texts of a column as positions in the list of those that differ: each is decoded once, and what is handed to another
 * thread is mostly numbers. DuckDB holds a text of up to 12 bytes in the 16 bytes of its cell (its length, then its bytes,
 * then zeros), so that cells are compared without looking at any other memory; longer ones are decoded to be compared.
 */

export interface TextColumn {
  readonly kind: 'texts';
  /** Of each row, -1 where there is no value. */
  readonly codes: Int32Array;
  /** Texts that differ; some may be of earlier rows. */
  readonly dictionary: readonly string[];
}

/** Reads a VARCHAR column chunk by chunk, with a dictionary that is kept while it is small. */
export type TextReader = (vector: unknown, rows: number) => TextColumn;

/** A larger one is begun anew at the next chunk: it goes with every chunk. */
const MAX_KEPT_TEXTS = 1024;
const CELL_BYTES = 16;
const INLINE_BYTES = 12;
/** Of the hash table: more than twice the texts of the largest dictionary. */
const SLOTS = 8192;

export function createTextReader(): TextReader {
  let dictionary: string[] = [];
  const longCodes = new Map<string, number>();
  let slots = new Int32Array(); // code + 1, 0 where it is free
  let cells = new Uint32Array();
  const reset = (): void => {
    dictionary = [];
    longCodes.clear();
    slots = new Int32Array(SLOTS);
    cells = new Uint32Array(4 * SLOTS);
  };
  return (vector, rows) => {
    const { getItem, itemValid, words } = openVector(vector, rows);
    if (slots.length === 0 || dictionary.length > MAX_KEPT_TEXTS) reset();
    const codes = new Int32Array(rows);
    const add = (text: string): number => dictionary.push(text) - 1;
    for (let row = 0; row < rows; row++) {
      if (!itemValid(row)) {
        codes[row] = -1;
        continue;
      }
      const at = row * 4;
      const length = words[at] ?? 0;
      if (length > INLINE_BYTES || dictionary.length * 2 > SLOTS) {
        const text = getItem(row);
        const known = longCodes.get(text);
        const code = known ?? add(text);
        if (known === undefined) longCodes.set(text, code);
        codes[row] = code;
        continue;
      }
      const [a, b, c] = [words[at + 1] ?? 0, words[at + 2] ?? 0, words[at + 3] ?? 0];
      let hash = Math.imul(length ^ a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35);
      hash ^= hash >>> 15;
      let slot = hash & (SLOTS - 1);
      for (;;) {
        const code = (slots[slot] ?? 0) - 1;
        if (code === -1) {
          cells.set([length, a, b, c], slot * 4);
          slots[slot] = add(getItem(row)) + 1;
          codes[row] = dictionary.length - 1;
          break;
        }
        const key = slot * 4;
        if (cells[key] === length && cells[key + 1] === a && cells[key + 2] === b && cells[key + 3] === c) {
          codes[row] = code;
          break;
        }
        slot = (slot + 1) & (SLOTS - 1);
      }
    }
    return { kind: 'texts', codes, dictionary };
  };
}

interface OpenVector {
  getItem(row: number): string;
  itemValid(row: number): boolean;
  /** Four a row. */
  readonly words: Uint32Array;
}

/** What is needed of DuckDB's vector of texts, checked: its types hide the memory behind `getItem`. */
function openVector(vector: unknown, rows: number): OpenVector {
  const { dataView, validity, getItem } = (vector ?? {}) as Partial<Record<string, unknown>>; // looked at below
  if (
    !(dataView instanceof DataView) ||
    dataView.byteLength < rows * CELL_BYTES ||
    typeof getItem !== 'function' ||
    typeof validity !== 'object' ||
    validity === null ||
    !('itemValid' in validity) ||
    typeof validity.itemValid !== 'function'
  ) {
    throw new TypeError('a DuckDB vector is no VARCHAR: its column was not cast as it should be');
  }
  const isValid = validity.itemValid.bind(validity);
  return {
    getItem: (row) => String(getItem.call(vector, row)),
    itemValid: (row) => isValid(row) === true,
    words: new Uint32Array(dataView.buffer, dataView.byteOffset, rows * 4),
  };
}
