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

/**
 * @param head `"model_name":…,"model_version":…`, made once a version
 * @param requested undefined for all, in JSON
 */
export function writeInferResponse(
  head: string,
  id: string | undefined,
  scored: ScoredRows,
  requested: readonly RequestedOutput[] | undefined,
): WrittenResponse {
  let json = `{${head}`;
  if (id !== undefined) json += `,"id":${JSON.stringify(id)}`;
  json += ',"outputs":[';
  const { outputs } = scored.outputs;
  if (requested === undefined) {
    outputs.forEach((output, i) => {
      json += `${i > 0 ? ',' : ''}${writeTensor(output, scored.firstRow, scored.rows)}`;
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
        : writeTensor(output, scored.firstRow, scored.rows);
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
  return shape.slice(1).reduce((product, dimension) => product * dimension, 1);
}

function writeTensor(output: OutputTensor, firstRow: number, rows: number): string {
  const width = widthOf(output);
  const data = writeData(output, firstRow * width, (firstRow + rows) * width);
  return `{${describe(output.name, DATATYPE_OF[output.dtype], [rows, ...output.shape.slice(1)])},"data":[${data}]}`;
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
