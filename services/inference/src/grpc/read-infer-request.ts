/**
 * A ModelInferRequest as it is on the wire: names, shapes and where the data is. What is in the data is read by
 * tensor-contents.ts once the signature is known that says what it must be.
 */
import { AssayError } from '@assay/contracts';
import { BYTES, type Range, VARINT, WireReader } from './protobuf-wire.ts';

export interface WireInput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Of its InferTensorContents, where it has one that is not empty. */
  readonly contents: Range | undefined;
}

export interface WireOutput {
  readonly name: string;
  /** So many classes of highest value instead of the values; undefined or 0: the values. As sent: it may be any integer. */
  readonly classes: number | undefined;
}

export interface WireInferRequest {
  readonly bytes: Buffer;
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly inputs: readonly WireInput[];
  /** The outputs that are wanted; none: all. */
  readonly outputs: readonly WireOutput[];
  /** The data of each input, in their order; none: it is in their contents. */
  readonly raw: readonly Range[];
}

const MAX_RANK = 8;
const MAX_ID_LENGTH = 1024;
/** More tensors than a signature has are refused later, in words; this bounds what is kept of a message until then. */
const MAX_TENSORS = 10_000;

/** @throws INVALID_ARGUMENT for what is no such message; UNIMPLEMENTED for parameters that ask for what is not there */
export function readInferRequest(bytes: Buffer): WireInferRequest {
  const reader = new WireReader(bytes);
  let [modelName, modelVersion, id] = ['', '', ''];
  const inputs: WireInput[] = [];
  const outputs: WireOutput[] = [];
  const raw: Range[] = [];
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    switch (tag) {
      case 1 * 8 + BYTES:
        modelName = reader.text();
        break;
      case 2 * 8 + BYTES:
        modelVersion = reader.text();
        break;
      case 3 * 8 + BYTES:
        id = reader.text();
        break;
      case 5 * 8 + BYTES:
        inputs.push(readInput(reader.message(), inputs.length));
        break;
      case 6 * 8 + BYTES:
        outputs.push(readOutput(reader.message(), outputs.length));
        break;
      case 7 * 8 + BYTES:
        raw.push(reader.range());
        break;
      default: // parameters of the request change nothing here
        reader.skip(tag & 7);
    }
    if (inputs.length > MAX_TENSORS || outputs.length > MAX_TENSORS || raw.length > MAX_TENSORS) {
      throw wrong('inputs', `the message has more than ${MAX_TENSORS} tensors`);
    }
  }
  if (id.length > MAX_ID_LENGTH) throw wrong('id', `has more than ${MAX_ID_LENGTH} characters`);
  checkContents(inputs, raw);
  return { bytes, modelName, modelVersion, id, inputs, outputs, raw };
}

/** Data comes one way: raw for all inputs, or in the contents of each. */
function checkContents(inputs: readonly WireInput[], raw: readonly Range[]): void {
  if (inputs.length === 0) throw wrong('inputs', 'must have at least one tensor');
  if (raw.length === 0) return;
  const typed = inputs.findIndex(({ contents }) => contents !== undefined);
  if (typed >= 0) {
    throw wrong(`inputs[${typed}].contents`, 'is given and raw_input_contents too; send the data one way');
  }
  if (raw.length !== inputs.length) {
    throw wrong('raw_input_contents', `has ${raw.length} entries for ${inputs.length} inputs`);
  }
}

function readInput(reader: WireReader, index: number): WireInput {
  let [name, datatype] = ['', ''];
  const shape: number[] = [];
  let contents: Range | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    switch (tag) {
      case 1 * 8 + BYTES:
        name = reader.text();
        break;
      case 2 * 8 + BYTES:
        datatype = reader.text();
        break;
      case 3 * 8 + VARINT:
        shape.push(reader.varint());
        break;
      case 3 * 8 + BYTES: {
        const packed = reader.message();
        while (!packed.isAtEnd && shape.length <= MAX_RANK) shape.push(packed.varint());
        break;
      }
      case 4 * 8 + BYTES:
        refuseParameter(readParameter(reader.message()).name, `inputs[${index}].parameters`);
        break;
      case 5 * 8 + BYTES: {
        const range = reader.range();
        if (contents !== undefined) throw wrong(`inputs[${index}].contents`, 'is given twice');
        if (range.to > range.from) contents = range;
        break;
      }
      default:
        reader.skip(tag & 7);
    }
    if (shape.length > MAX_RANK) throw wrong(`inputs[${index}].shape`, `has more than ${MAX_RANK} dimensions`);
  }
  return { name, datatype, shape, contents };
}

function readOutput(reader: WireReader, index: number): WireOutput {
  let name = '';
  let classes: number | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 1 * 8 + BYTES) name = reader.text();
    else if (tag === 2 * 8 + BYTES) {
      const parameter = readParameter(reader.message());
      const place = `outputs[${index}].parameters`;
      if (parameter.name !== CLASSIFICATION) refuseParameter(parameter.name, place);
      else if (parameter.integer !== undefined) classes = parameter.integer;
      else throw wrong(`${place}.${CLASSIFICATION}`, 'has no int64_param');
    } else reader.skip(tag & 7);
  }
  return { name, classes };
}

const CLASSIFICATION = 'classification';
/** Parameters that would change the answer; others are extensions that may be ignored. */
const REFUSED = [CLASSIFICATION, 'shared_memory_region'];

function refuseParameter(name: string, place: string): void {
  if (REFUSED.includes(name)) {
    throw new AssayError('UNIMPLEMENTED', `${place}: ${name} is not supported; leave it out`);
  }
}

/** An entry of a map of parameters: its name and, where it is one, its integer. */
function readParameter(reader: WireReader): { readonly name: string; readonly integer: number | undefined } {
  let name = '';
  let integer: number | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 1 * 8 + BYTES) name = reader.text();
    else if (tag === 2 * 8 + BYTES) integer = readInteger(reader.message());
    else reader.skip(tag & 7);
  }
  return { name, integer };
}

/** The int64_param of an InferParameter. */
function readInteger(reader: WireReader): number | undefined {
  let integer: number | undefined;
  while (!reader.isAtEnd) {
    const tag = reader.tag();
    if (tag === 2 * 8 + VARINT) integer = Number(BigInt.asIntN(64, reader.bigVarint()));
    else {
      reader.skip(tag & 7);
      integer = undefined; // of a oneof the last one holds
    }
  }
  return integer;
}

export function wrong(place: string, message: string, expected?: string): AssayError {
  const words = expected === undefined ? message : `${message}; expected ${expected}`;
  return new AssayError('INVALID_ARGUMENT', `${place}: ${words}`, {
    details: [{ place, message, ...(expected === undefined ? {} : { expected }) }],
  });
}
