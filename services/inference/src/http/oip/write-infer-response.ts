/**
 * Outputs → an inference response: JSON built as one string, and behind it the outputs that go as bytes. NaN and infinite
 * values are null in JSON, which has no word for them, and themselves in bytes.
 */
import type { OutputTensor, ScoredRows } from '@assay/scoring';
import { writeBinaryData, writeTexts } from './binary-data.ts';
import { classify } from './classification.ts';
import { DATATYPE_OF, type Datatype } from './datatypes.ts';
import type { RequestedOutput } from './read-outputs.ts';

export interface WrittenResponse {
  readonly json: string;
  /** Undefined where no output goes as bytes. */
  readonly binary: Buffer | undefined;
}

/** What many answers of a version have in common. */
export interface ResponseHead {
  /** `"model_name":…,"model_version":…` */
  readonly text: string;
  /** By output. */
  readonly descriptions: Map<string, Description>;
}

/** How an output was described last. */
interface Description {
  readonly rows: number;
  readonly shape: readonly number[];
  readonly text: string;
}

/** @param requested undefined for all, in JSON */
export function writeInferResponse(
  head: ResponseHead,
  id: string | undefined,
  scored: ScoredRows,
  requested: readonly RequestedOutput[] | undefined,
): WrittenResponse {
  let json = `{${head.text}`;
  if (id !== undefined) json += `,"id":${JSON.stringify(id)}`;
  json += ',"outputs":[';
  const { outputs } = scored.outputs;
  if (requested === undefined) {
    outputs.forEach((output, i) => {
      json += `${i > 0 ? ',' : ''}${writeTensor(head, output, scored.firstRow, scored.rows)}`;
    });
    return { json: `${json}]}`, binary: undefined };
  }
  const parts: Buffer[] = [];
  requested.forEach((one, i) => {
    const output = outputs.find(({ name }) => name === one.name);
    if (output === undefined) return; // readOutputs knows them all
    if (i > 0) json += ',';
    json +=
      one.isBinary || one.classes !== undefined
        ? writeAs(one, output, scored, parts)
        : writeTensor(head, output, scored.firstRow, scored.rows);
  });
  return { json: `${json}]}`, binary: parts.length === 0 ? undefined : Buffer.concat(parts) };
}

/** An output in another form than numbers in JSON. */
function writeAs(
  { isBinary, classes }: RequestedOutput,
  output: OutputTensor,
  { firstRow, rows }: ScoredRows,
  parts: Buffer[],
): string {
  const width = widthOf(output);
  if (classes !== undefined) {
    const texts = classify(output, firstRow, rows, width, classes);
    const description = describe(output.name, 'BYTES', [rows, classes]);
    if (!isBinary) return `{${description},"data":${JSON.stringify(texts)}}`;
    parts.push(writeTexts(texts));
    return `{${description},${sizeOf(parts.at(-1))}}`;
  }
  parts.push(writeBinaryData(output, firstRow * width, (firstRow + rows) * width));
  return `{${describe(output.name, DATATYPE_OF[output.dtype], [rows, ...output.shape.slice(1)])},${sizeOf(parts.at(-1))}}`;
}

function sizeOf(bytes: Buffer | undefined): string {
  return `"parameters":{"binary_data_size":${bytes?.length ?? 0}}`;
}

function describe(name: string, datatype: Datatype, shape: readonly number[]): string {
  return `"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`;
}

/** Elements a row. */
function widthOf({ shape }: OutputTensor): number {
  let width = 1;
  for (let i = 1; i < shape.length; i++) width *= shape[i] ?? 1;
  return width;
}

function writeTensor(head: ResponseHead, output: OutputTensor, firstRow: number, rows: number): string {
  const width = widthOf(output);
  const data = writeData(output, firstRow * width, (firstRow + rows) * width);
  return `{${descriptionOf(head, output, rows)},"data":[${data}]}`;
}

/** Mostly that of the answer before: what an output is called and what its rows look like is the version's. */
function descriptionOf({ descriptions }: ResponseHead, { name, dtype, shape }: OutputTensor, rows: number): string {
  let description = descriptions.get(name);
  if (description?.rows !== rows || !isOfRows(description.shape, shape)) {
    const text = describe(name, DATATYPE_OF[dtype], [rows, ...shape.slice(1)]);
    description = { rows, shape, text };
    descriptions.set(name, description);
  }
  return description.text;
}

/** Whether both are the same but for their rows. */
function isOfRows(one: readonly number[], other: readonly number[]): boolean {
  if (one.length !== other.length) return false;
  for (let i = 1; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

function writeData({ dtype, data }: OutputTensor, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i++) {
    if (i > from) text += ',';
    const value = data[i];
    if (typeof value === 'number') {
      if (dtype === 'bool') text += value === 0 ? 'false' : 'true';
      else if (value === 0) text += Object.is(value, -0) ? '-0.0' : '0';
      else text += Number.isFinite(value) ? value : 'null';
    } else text += typeof value === 'string' ? JSON.stringify(value) : value;
  }
  return text;
}
