/** How messages are compressed, both ways. https://github.com/grpc/grpc/blob/master/doc/compression.md */
import { promisify } from 'node:util';
import { deflate, gunzip, gzip, inflate } from 'node:zlib';
import { AssayError } from '@assay/contracts';
import { ProtocolError } from './status.ts';

export type Encoding = 'identity' | 'gzip' | 'deflate';

export const ACCEPTED_ENCODINGS = 'identity,gzip,deflate';
/** Smaller answers are sent as they are. */
const WORTH_BYTES = 1024;
const STATUS_INTERNAL = 13;

/** @throws UNIMPLEMENTED for one that is not spoken, as the protocol says */
export function readEncoding(header: string | string[] | undefined): Encoding {
  if (header === undefined || header === 'identity') return 'identity';
  if (header === 'gzip' || header === 'deflate') return header;
  throw new AssayError(
    'UNIMPLEMENTED',
    `grpc-encoding: ${JSON.stringify(header)} is not read; send one of ${ACCEPTED_ENCODINGS}`,
  );
}

const decompressors = { gzip: promisify(gunzip), deflate: promisify(inflate) };
const compressors = { gzip: promisify(gzip), deflate: promisify(deflate) };

/**
 * @throws INVALID_ARGUMENT, with the status INTERNAL where no encoding was named, as the protocol says; PAYLOAD_TOO_LARGE
 * when it would grow beyond `maxBytes`
 */
export async function decompress(bytes: Buffer, encoding: Encoding, maxBytes: number): Promise<Buffer> {
  if (encoding === 'identity') {
    const message = 'a message has the Compressed-Flag, and no grpc-encoding says how it is compressed';
    throw new ProtocolError(STATUS_INTERNAL, 'INVALID_ARGUMENT', message);
  }
  try {
    return await decompressors[encoding](bytes, { maxOutputLength: maxBytes });
  } catch (cause) {
    const isTooLarge = cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE';
    if (isTooLarge) {
      throw new AssayError(
        'PAYLOAD_TOO_LARGE',
        `a message has more than the ${maxBytes} bytes that one may have, decompressed`,
      );
    }
    throw new AssayError('INVALID_ARGUMENT', `a message is not valid ${encoding}`, { cause });
  }
}

/** Whether an answer is compressed: as the request was, where the caller takes that and it is worth it. */
export function isWorthCompressing(message: Uint8Array, encoding: Encoding): encoding is 'gzip' | 'deflate' {
  return encoding !== 'identity' && message.length >= WORTH_BYTES;
}

export function compress(message: Uint8Array, encoding: 'gzip' | 'deflate'): Promise<Buffer> {
  return compressors[encoding](message);
}
