/**
 * An inference request in its usual form, from bytes straight into the batch: every feature of the model a float tensor of
 * flat data, under the keys `name`, `shape` and `datatype`, with `data` behind them. Anything else, and anything wrong, is
 * left to read-infer-request.ts, which takes more and says what is wrong; nothing of it stays in the batch.
 */
import { elementCount, type Signature } from '@assay/contracts';
import { type InputBatch, scanFloats } from '@assay/scoring';
import { DATATYPE_OF } from './datatypes.ts';

export interface ScannedRequest {
  readonly id: string | undefined;
  readonly rows: number;
}

const MAX_ID_LENGTH = 1024;
const [QUOTE, BACKSLASH, COLON, COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE] = [
  34, 92, 58, 44, 91, 93, 123, 125,
] as const;

/** A signature that can be scanned. */
interface Scannable {
  /** What each feature is called on the wire. */
  readonly datatypes: ReadonlyMap<string, string>;
  readonly elementsPerRow: number;
}

const scannables = new WeakMap<Signature, Scannable | null>();

function scannableOf(signature: Signature): Scannable | null {
  let known = scannables.get(signature);
  if (known === undefined) {
    const { features } = signature;
    const isScannable = features.every(({ dtype }) => dtype === 'float32' || dtype === 'float64');
    known = isScannable
      ? {
          datatypes: new Map(features.map(({ name, dtype }) => [name, DATATYPE_OF[dtype]])),
          elementsPerRow: features.reduce((sum, { shape }) => sum + elementCount(shape), 0),
        }
      : null;
    scannables.set(signature, known);
  }
  return known;
}

/** The rows of the body are in the batch; undefined: they are not, and the body is to be read the careful way. */
export function scanInferRequest(
  body: Buffer,
  signature: Signature,
  batch: InputBatch,
  maxRows: number,
): ScannedRequest | undefined {
  const scannable = scannableOf(signature);
  // The last byte is looked at first, so that no loop below runs past the end.
  if (scannable === null || body[body.length - 1] !== CLOSE) return undefined;
  // A number and what is behind it are two bytes: a short body that claims many rows makes no room for them.
  const mostRows = Math.min(maxRows, Math.floor(body.length / 2 / scannable.elementsPerRow));
  const { datatypes } = scannable;
  const scan = new Scan(body);
  const filled = new Set<string>();
  let id: string | undefined;
  let rows = 0;
  let hasInputs = false;
  if (!scan.takes(OPEN)) return undefined;
  do {
    const key = scan.text();
    if (key === undefined || !scan.takes(COLON)) return undefined;
    if (key === 'id' && id === undefined) {
      id = scan.text();
      if (id === undefined || id.length > MAX_ID_LENGTH) return undefined;
    } else if (key === 'inputs' && !hasInputs) {
      hasInputs = true;
      if (!scan.takes(OPEN_LIST)) return undefined;
      do {
        const found = scanInput(scan, datatypes, signature, batch, mostRows, filled);
        if (found === undefined || (rows > 0 && found !== rows)) return undefined;
        rows = found;
      } while (scan.takes(COMMA));
      if (!scan.takes(CLOSE_LIST)) return undefined;
    } else return undefined;
  } while (scan.takes(COMMA));
  if (!scan.takes(CLOSE) || !scan.isAtEnd || rows === 0) return undefined;
  return batch.takeFloats(rows, filled.size) ? { id, rows } : undefined;
}

/** One tensor, put where the next rows of the batch will be. @returns how many rows it has */
function scanInput(
  scan: Scan,
  datatypes: ReadonlyMap<string, string>,
  signature: Signature,
  batch: InputBatch,
  maxRows: number,
  filled: Set<string>,
): number | undefined {
  let name: string | undefined;
  let datatype: string | undefined;
  let shape: readonly number[] | undefined;
  if (!scan.takes(OPEN)) return undefined;
  for (;;) {
    const key = scan.text();
    if (key === undefined || !scan.takes(COLON)) return undefined;
    if (key === 'name' && name === undefined) name = scan.text();
    else if (key === 'datatype' && datatype === undefined) datatype = scan.text();
    else if (key === 'shape' && shape === undefined) shape = scan.dimensions();
    else if (key === 'data') break;
    else return undefined;
    if (!scan.takes(COMMA)) return undefined;
  }
  const [rows = 0] = shape ?? [];
  if (name === undefined || datatype === undefined || shape === undefined || rows < 1 || rows > maxRows)
    return undefined;
  if (filled.has(name) || datatypes.get(name) !== datatype || !scan.takes(OPEN_LIST)) return undefined;
  if (!fits(shape, signature, name)) return undefined;
  const column = batch.floats(name, rows);
  if (column === undefined) return undefined;
  if (!scan.moveTo(scanFloats(scan.bytes, scan.at, column, rows)) || !scan.takes(CLOSE)) return undefined;
  filled.add(name);
  return rows;
}

/** As read-infer-request.ts has it: a scalar is `[rows]` or `[rows, 1]`. */
function fits(shape: readonly number[], { features }: Signature, name: string): boolean {
  const tail = features.find((feature) => feature.name === name)?.shape ?? [];
  if (tail.length === 0) return shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  return shape.length === tail.length + 1 && tail.every((size, i) => shape[i + 1] === size);
}

/** A place in JSON text of ASCII. */
class Scan {
  readonly bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    this.#skipSpace();
    return this.#at === this.bytes.length;
  }

  moveTo(at: number): boolean {
    if (at < 0) return false;
    this.#at = at;
    return true;
  }

  /** Goes past this byte if it is next. */
  takes(byte: number): boolean {
    this.#skipSpace();
    if (this.bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }

  /** A string without escapes, of printable ASCII. */
  text(): string | undefined {
    if (!this.takes(QUOTE)) return undefined;
    const from = this.#at;
    for (let i = from; i < this.bytes.length; i++) {
      const byte = this.bytes[i] ?? 0;
      if (byte === QUOTE) {
        this.#at = i + 1;
        return this.bytes.toString('latin1', from, i);
      }
      if (byte === BACKSLASH || byte < 32 || byte > 126) return undefined;
    }
    return undefined;
  }

  /** A list of a few positive integers. */
  dimensions(): number[] | undefined {
    if (!this.takes(OPEN_LIST)) return undefined;
    const found: number[] = [];
    do {
      this.#skipSpace();
      let value = 0;
      const from = this.#at;
      for (let digit = this.#digit(); digit >= 0 && digit <= 9; digit = this.#digit()) {
        value = value * 10 + digit;
        this.#at++;
      }
      const digits = this.#at - from;
      if (digits === 0 || digits > 9 || this.bytes[from] === 48 || found.length === 8) return undefined;
      found.push(value);
    } while (this.takes(COMMA));
    return this.takes(CLOSE_LIST) ? found : undefined;
  }

  #digit(): number {
    return (this.bytes[this.#at] ?? 0) - 48;
  }

  #skipSpace(): void {
    let byte = this.bytes[this.#at];
    while (byte === 32 || byte === 10 || byte === 13 || byte === 9) byte = this.bytes[++this.#at];
  }
}
