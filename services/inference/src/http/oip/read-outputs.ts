/** Which outputs a request asks for, and in which form. */
import { elementCount, type Signature } from '@assay/contracts';
import { parameterOf, quote, readFlag, readObject, wrong } from './places.ts';

export interface RequestedOutput {
  readonly name: string;
  /** As bytes behind the JSON. */
  readonly isBinary: boolean;
  /** So many classes of highest value instead of the values. */
  readonly classes?: number;
}

const OUTPUT_KEYS = ['name', 'parameters'];

/** @param isBinary where an output does not say it itself */
export function readOutputs(value: unknown, signature: Signature, isBinary: boolean): RequestedOutput[] {
  const known = signature.outputs.map((output) => output.name);
  if (value === undefined || value === null) return known.map((name) => ({ name, isBinary }));
  if (!Array.isArray(value)) throw wrong('outputs', 'must be a list');
  if (value.length === 0) return known.map((name) => ({ name, isBinary }));
  if (value.length > known.length) throw wrong('outputs', `asks for ${value.length}; the model has ${known.length}`);
  const outputs = value.map((one: unknown, i): RequestedOutput => {
    const { name, parameters } = readObject(one, `outputs[${i}]`, OUTPUT_KEYS);
    if (typeof name !== 'string' || !known.includes(name)) {
      throw wrong(`outputs[${i}].name`, `the model has no output ${quote(name)}`, `one of ${known.join(', ')}`);
    }
    const place = `outputs[${i}].parameters`;
    const own = { name, isBinary: readFlag(parameters, 'binary_data', place) ?? isBinary };
    const classes = readClasses(parameters, name, signature, `${place}.classification`);
    return classes === undefined ? own : { ...own, classes };
  });
  const twice = outputs.find(({ name }, i) => outputs.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) throw wrong('outputs', `asks for "${twice.name}" twice`);
  return outputs;
}

function readClasses(parameters: unknown, name: string, signature: Signature, place: string): number | undefined {
  return checkClasses(parameterOf(parameters, 'classification'), name, signature, place);
}

/**
 * @returns how many classes are answered of those that are asked for; undefined where the values are
 * @throws INVALID_ARGUMENT
 */
export function checkClasses(count: unknown, name: string, signature: Signature, place: string): number | undefined {
  if (count === undefined || count === 0) return undefined;
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
    throw wrong(place, `${quote(count)} is no number of classes`, 'an integer of at least 1');
  }
  const output = signature.outputs.find((each) => each.name === name);
  if (output === undefined || output.dtype === 'string' || output.dtype === 'timestamp') {
    throw wrong(place, `output "${name}" is ${output?.dtype}, which has no highest value`);
  }
  return Math.min(count, elementCount(output.shape));
}
