/** Outputs → an inference response, built as one string. NaN and infinite values are null: JSON has no word for them. */
import type { OutputTensor, ScoredRows } from '@assay/scoring';
import { DATATYPE_OF } from './datatypes.ts';

/**
 * @param head `"model_name":…,"model_version":…`, made once a version
 * @param names the outputs asked for, in their order; undefined for all
 */
export function writeInferResponse(
  head: string,
  id: string | undefined,
  scored: ScoredRows,
  names: readonly string[] | undefined,
): string {
  let text = `{${head}`;
  if (id !== undefined) text += `,"id":${JSON.stringify(id)}`;
  text += ',"outputs":[';
  const { outputs } = scored.outputs;
  const chosen = names === undefined ? outputs : names.flatMap((name) => outputs.find((o) => o.name === name) ?? []);
  chosen.forEach((output, i) => {
    if (i > 0) text += ',';
    text += writeTensor(output, scored.firstRow, scored.rows);
  });
  return `${text}]}`;
}

function writeTensor(output: OutputTensor, firstRow: number, rows: number): string {
  const [, ...rest] = output.shape;
  const width = rest.reduce((product, dimension) => product * dimension, 1);
  const shape = [rows, ...rest].join(',');
  const datatype = DATATYPE_OF[output.dtype];
  const data = writeData(output, firstRow * width, (firstRow + rows) * width);
  return `{"name":${JSON.stringify(output.name)},"datatype":"${datatype}","shape":[${shape}],"data":[${data}]}`;
}

function writeData({ dtype, data }: OutputTensor, from: number, to: number): string {
  let text = '';
  for (let i = from; i < to; i++) {
    if (i > from) text += ',';
    const value = data[i];
    if (typeof value === 'number') {
      if (dtype === 'bool') text += value === 0 ? 'false' : 'true';
      else text += Number.isFinite(value) ? value : 'null';
    } else text += typeof value === 'string' ? JSON.stringify(value) : value;
  }
  return text;
}
