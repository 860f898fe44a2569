/**
 * An inference request in its usual form, from bytes straight into the batch: every feature of the model a float tensor of
 * flat data, under the keys `name`, `shape` and `datatype`, with `data` behind them. Anything else, and anything wrong, is
 * left to read-infer-request.ts, which takes more and says what is wrong; nothing of it stays in the batch.
 */
import { elementCount, type Signature } from '@assay/contracts';
import { type InputBatch, scanFloats } from '@assay/scoring';
import { JsonScan, PUNCTUATION } from '../json-scan.ts';
import { DATATYPE_OF } from './datatypes.ts';
import { KnownLayout, type Numbers } from './known-layout.ts';

export interface ScannedRequest {
  readonly id: string | undefined;
  readonly rows: number;
}

const MAX_ID_LENGTH = 1024;
const { COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE } = PUNCTUATION;
const KEYS = {
  id: Buffer.from('id'),
  inputs: Buffer.from('inputs'),
  name: Buffer.from('name'),
  datatype: Buffer.from('datatype'),
  shape: Buffer.from('shape'),
  data: Buffer.from('data'),
};
const [FP32, FP64] = [Buffer.from(DATATYPE_OF.float32), Buffer.from(DATATYPE_OF.float64)];

/** What a feature looks like on the wire. */
interface ScannableFeature {
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly datatype: typeof FP32;
  /** The shape of a row. */
  readonly tail: readonly number[];
  /** The number of the last scan that found it: a request gives each feature once. */
  foundBy: number;
}

/** A signature that can be scanned. */
interface Scannable {
  /** In the order of the signature. */
  readonly features: readonly ScannableFeature[];
  readonly byName: ReadonlyMap<string, ScannableFeature>;
  readonly elementsPerRow: number;
  layout: KnownLayout | undefined;
  /** How many more requests are read in whole before the layout of one is kept: where they differ, keeping it is in vain. */
  readsLeft: number;
}

const READS_A_LAYOUT = 16;

/** What JSON has as it is, in ASCII. */
const PLAIN_TEXT = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const scannables = new WeakMap<Signature, Scannable | null>();
let scans = 0;

function scannableOf(signature: Signature): Scannable | null {
  let known = scannables.get(signature);
  if (known === undefined) {
    known = makeScannable(signature);
    scannables.set(signature, known);
  }
  return known;
}

function makeScannable(signature: Signature): Scannable | null {
  const features: ScannableFeature[] = [];
  let elementsPerRow = 0;
  for (const { name, dtype, shape: tail } of signature.features) {
    if ((dtype !== 'float32' && dtype !== 'float64') || !PLAIN_TEXT.test(name)) return null;
    const datatype = dtype === 'float32' ? FP32 : FP64;
    features.push({ name, nameBytes: Buffer.from(name), datatype, tail, foundBy: 0 });
    elementsPerRow += elementCount(tail);
  }
  return {
    features,
    byName: new Map(features.map((feature) => [feature.name, feature])),
    elementsPerRow,
    layout: undefined,
    readsLeft: 0,
  };
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
  const { layout } = scannable;
  if (layout !== undefined && layout.rows <= mostRows && layout.take(body, batch)) {
    return { id: undefined, rows: layout.rows };
  }
  const scan = new JsonScan(body);
  scans++;
  let id: string | undefined;
  let rows = 0;
  const inputs: Numbers[] = [];
  if (!scan.takes(OPEN)) return undefined;
  do {
    if (id === undefined && scan.takesKey(KEYS.id)) {
      id = scan.text();
      if (id === undefined || id.length > MAX_ID_LENGTH) return undefined;
    } else if (inputs.length === 0 && scan.takesKey(KEYS.inputs)) {
      if (!scan.takes(OPEN_LIST)) return undefined;
      do {
        const found = scanInput(scan, scannable, inputs, batch, mostRows);
        if (found === undefined || (rows > 0 && found !== rows)) return undefined;
        rows = found;
      } while (scan.takes(COMMA));
      if (!scan.takes(CLOSE_LIST)) return undefined;
    } else return undefined;
  } while (scan.takes(COMMA));
  if (!scan.takes(CLOSE) || !scan.isAtEnd || rows === 0) return undefined;
  if (!batch.takeFloats(rows, inputs.length)) return undefined;
  // Who sends ids sends others each time.
  if (id === undefined && --scannable.readsLeft < 0) {
    scannable.layout = KnownLayout.of(body, inputs, rows);
    scannable.readsLeft = READS_A_LAYOUT;
  }
  return { id, rows };
}

/**
 * One tensor, put where the next rows of the batch will be.
 * @param inputs those before it, which it joins; its place is mostly that of the feature in the signature
 * @returns how many rows it has
 */
function scanInput(
  scan: JsonScan,
  { features, byName }: Scannable,
  inputs: Numbers[],
  batch: InputBatch,
  maxRows: number,
): number | undefined {
  let feature: ScannableFeature | undefined;
  let datatype: Buffer | undefined;
  let shape: readonly number[] | undefined;
  if (!scan.takes(OPEN)) return undefined;
  while (!scan.takesKey(KEYS.data)) {
    if (feature === undefined && scan.takesKey(KEYS.name)) {
      const next = features[inputs.length];
      feature = next !== undefined && scan.takesText(next.nameBytes) ? next : byName.get(scan.text() ?? '');
      if (feature === undefined) return undefined;
    } else if (datatype === undefined && scan.takesKey(KEYS.datatype)) {
      datatype = scan.takesText(FP32) ? FP32 : scan.takesText(FP64) ? FP64 : undefined;
      if (datatype === undefined) return undefined;
    } else if (shape === undefined && scan.takesKey(KEYS.shape)) {
      shape = scan.dimensions();
      if (shape === undefined) return undefined;
    } else return undefined;
    if (!scan.takes(COMMA)) return undefined;
  }
  if (feature === undefined || shape === undefined || datatype !== feature.datatype || feature.foundBy === scans) {
    return undefined;
  }
  const [rows = 0] = shape;
  if (rows < 1 || rows > maxRows || !fits(shape, feature.tail) || !scan.takes(OPEN_LIST)) return undefined;
  const column = batch.floats(feature.name, rows);
  if (column === undefined) return undefined;
  const from = scan.at;
  if (!scan.moveTo(scanFloats(scan.bytes, from, column, rows))) return undefined;
  inputs.push({ feature: feature.name, from, end: scan.at });
  if (!scan.takes(CLOSE)) return undefined;
  feature.foundBy = scans;
  return rows;
}

/** As read-infer-request.ts has it: a scalar is `[rows]` or `[rows, 1]`. */
function fits(shape: readonly number[], tail: readonly number[]): boolean {
  if (tail.length === 0) return shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  return shape.length === tail.length + 1 && tail.every((size, i) => shape[i + 1] === size);
}
