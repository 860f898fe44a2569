/**
 * Values as JSON text from which every bit comes back: integers with all their digits, negative zero as `-0`, and what JSON
 * has no number for as the strings "NaN", "Infinity", "-Infinity" (every NaN is one NaN). Equal texts are equal bits; it is
 * the form of the prediction log.
 */
import { elementCount, type Output, type Signature } from '@assay/contracts';
import type { OutputBatch, OutputData } from './interfaces.ts';
import { formatTimestamp } from './timestamp.ts';

/** Any JSON-like value, bigints included. Keys whose value is undefined are left out. */
export function exactJson(value: unknown): string {
  // In one piece: text that is put together is kept as its parts until somebody reads it, in ten times the memory.
  return isPlain(value) ? JSON.stringify(value) : exactParts(value);
}

/** Whether `JSON.stringify` writes all of it with every bit. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'number':
      return value - value === 0 && !Object.is(value, -0);
    case 'string':
    case 'boolean':
      return true;
    case 'object': {
      if (value === null) return true;
      if (Array.isArray(value)) return value.every(isPlain);
      if (Object.getPrototypeOf(value) !== Object.prototype) return false;
      for (const key in value) if (!isPlain(value[key as keyof typeof value])) return false;
      return true;
    }
    default:
      return false;
  }
}

function exactParts(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return exactNumber(value);
    case 'bigint':
      return value.toString();
    case 'object': {
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map(exactJson).join(',')}]`;
      let text = '';
      for (const [key, part] of Object.entries(value)) {
        if (part === undefined) continue;
        text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${exactJson(part)}`;
      }
      return `{${text}}`;
    }
    default:
      return JSON.stringify(value) ?? 'null';
  }
}

/** The outputs of one row, in the order of the signature. */
export function exactOutputs({ outputs }: Signature, batch: OutputBatch, row: number): string {
  let text = '';
  for (const output of outputs) {
    const data = batch.outputs.find(({ name }) => name === output.name)?.data ?? [];
    const at = row * elementCount(output.shape);
    text += `${text === '' ? '' : ','}${JSON.stringify(output.name)}:${exactValue(output, data, at)}`;
  }
  return `{${text}}`;
}

function exactValue({ dtype, shape }: Output, data: OutputData, at: number): string {
  let next = at;
  const nest = (depth: number): string => {
    const size = shape[depth];
    if (size === undefined) return exactElement(dtype, data[next++]);
    let text = '';
    for (let i = 0; i < size; i++) text += `${i === 0 ? '' : ','}${nest(depth + 1)}`;
    return `[${text}]`;
  };
  return nest(0);
}

function exactElement(dtype: Output['dtype'], value: OutputData[number] | undefined): string {
  switch (typeof value) {
    case 'number':
      return dtype === 'bool' ? String(value === 1) : exactNumber(value);
    case 'bigint': {
      // An instant outside the years 0 to 9999 has no RFC 3339 form: it is its microseconds.
      const instant = dtype === 'timestamp' ? formatTimestamp(value) : undefined;
      return instant === undefined ? value.toString() : `"${instant}"`;
    }
    default:
      return JSON.stringify(value) ?? 'null';
  }
}

function exactNumber(value: number): string {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}
