/**
 * The messages of a gRPC call: a flag, four bytes of length, the message, one after another, cut anywhere on the way.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { AssayError } from '@assay/contracts';

export interface FramedMessage {
  readonly isCompressed: boolean;
  readonly bytes: Buffer;
}

export const PREFIX_BYTES = 5;

/** Holds what has come of messages that are not whole yet. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #heldBytes = 0;

  /** @param maxBytes the largest message, as it is sent */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
  }

  /**
   * The next message; undefined until it is whole.
   * @throws INVALID_ARGUMENT for what is no message; PAYLOAD_TOO_LARGE as soon as its length is known
   */
  next(): FramedMessage | undefined {
    if (this.#heldBytes < PREFIX_BYTES) return undefined;
    const head = this.#head();
    const flag = head.readUInt8(0);
    const length = head.readUInt32BE(1);
    if (flag > 1) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `a message begins with the flag ${flag}; expected 0, or 1 for compressed`,
      );
    }
    if (length > this.#maxBytes) {
      throw new AssayError('PAYLOAD_TOO_LARGE', `a message has ${length} bytes; one may have ${this.#maxBytes}`);
    }
    const wholeBytes = PREFIX_BYTES + length;
    if (this.#heldBytes < wholeBytes) return undefined;
    const whole = this.#joined(wholeBytes);
    this.#drop(wholeBytes);
    return { isCompressed: flag === 1, bytes: whole.subarray(PREFIX_BYTES, wholeBytes) };
  }

  /** The prefix of the next message, without joining what is not whole. */
  #head(): Buffer {
    const [first] = this.#chunks;
    return first !== undefined && first.length >= PREFIX_BYTES
      ? first
      : Buffer.concat(this.#chunks.slice(0, PREFIX_BYTES), PREFIX_BYTES);
  }

  /** A piece that begins with so many of the held bytes, which are all there: so each byte is joined once. */
  #joined(bytes: number): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= bytes) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks.splice(0, this.#chunks.length, joined);
    return joined;
  }

  #drop(bytes: number): void {
    this.#heldBytes -= bytes;
    const [first] = this.#chunks;
    if (first === undefined || first.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(bytes);
  }
}

/** Writes the prefix of a message that is not compressed, or is. */
export function writePrefix(buffer: Buffer, messageBytes: number, isCompressed = false): void {
  buffer[0] = isCompressed ? 1 : 0;
  buffer.writeUInt32BE(messageBytes, 1);
}

/** A message with its prefix. */
export function frame(message: Uint8Array, isCompressed = false): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  writePrefix(framed, message.length, isCompressed);
  framed.set(message, PREFIX_BYTES);
  return framed;
}
