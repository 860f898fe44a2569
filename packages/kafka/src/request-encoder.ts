/**
 * kafkajs builds a request from the inside out, and copies what is inside at each level. Here large buffers are kept as they
 * are until the request is written, and copied once.
 */

/** kafkajs' own, as far as it is looked into. */
export interface RequestEncoder {
  buf: Buffer;
  offset: number;
  readonly buffer: Buffer;
  writeBufferInternal(buffer: Buffer): void;
  writeEncoder(inner: unknown): this;
  size(): number;
}
export type RequestEncoderClass = new (initialSize?: number) => RequestEncoder;

/** Smaller ones are cheaper to copy. */
const LARGE_BYTES = 4096;
const NEXT_BYTES = 512;

export function keepLargeParts(Original: RequestEncoderClass): RequestEncoderClass {
  return class Encoder extends Original {
    /** What is before `buf`. */
    #parts: Buffer[] = [];
    #partBytes = 0;

    override writeBufferInternal(buffer: Buffer): void {
      if (buffer.length < LARGE_BYTES) super.writeBufferInternal(buffer);
      else this.#keep(buffer);
    }

    override writeEncoder(inner: unknown): this {
      if (!(inner instanceof Encoder) || inner.#parts.length === 0) return super.writeEncoder(inner);
      for (const part of inner.#parts) this.#keep(part);
      this.writeBufferInternal(inner.buf.subarray(0, inner.offset));
      return this;
    }

    override size(): number {
      return this.#partBytes + this.offset;
    }

    override get buffer(): Buffer {
      if (this.#parts.length > 0) {
        this.buf = Buffer.concat([...this.#parts, this.buf.subarray(0, this.offset)]);
        this.offset = this.buf.length;
        this.#parts = [];
        this.#partBytes = 0;
      }
      return this.buf.subarray(0, this.offset);
    }

    #keep(buffer: Buffer): void {
      if (this.offset > 0) this.#parts.push(this.buf.subarray(0, this.offset));
      this.#parts.push(buffer);
      this.#partBytes += this.offset + buffer.length;
      this.buf = Buffer.alloc(NEXT_BYTES);
      this.offset = 0;
    }
  };
}
