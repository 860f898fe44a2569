import { AssayError } from '@assay/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decompress, readEncoding } from './compression.ts';
import { readTimeoutMs } from './deadline.ts';
import { frame, MessageReader } from './framing.ts';
import { encodeMessage, errorTrailers, ProtocolError } from './status.ts';

function readAll(reader: MessageReader): string[] {
  const found: string[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) found.push(next.bytes.toString('latin1'));
  return found;
}

describe('messages of a call', () => {
  test('are found however their bytes are cut', () => {
    const messages = ['', 'one', 'a longer one'];
    const bytes = Buffer.concat(messages.map((message) => frame(Buffer.from(message))));
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const reader = new MessageReader(100);
        const found = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)].flatMap(
          (part) => {
            reader.push(part);
            return readAll(reader);
          },
        );
        expect(found).toEqual(messages);
        expect(reader.heldBytes).toBe(0);
      }
    }
  });

  test('are found in any number of pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 50 }),
        (messages, sizes) => {
          const bytes = Buffer.concat(messages.map((message) => frame(message)));
          const reader = new MessageReader(300);
          const found: string[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            reader.push(bytes.subarray(at, at + size));
            found.push(...readAll(reader));
            at += size;
          }
          expect(found).toEqual(messages.map((message) => Buffer.from(message).toString('latin1')));
        },
      ),
    );
  });

  test('are refused by their length before their bytes have come', () => {
    const reader = new MessageReader(10);
    reader.push(Buffer.from([0, 0, 0, 0, 11]));
    expect(() => reader.next()).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }));
  });

  test('are refused with a flag that means nothing', () => {
    const reader = new MessageReader(10);
    reader.push(Buffer.from([2, 0, 0, 0, 0]));
    expect(() => reader.next()).toThrow('the flag 2');
  });
});

describe('compression', () => {
  test.each(['snappy', 'GZIP', ''])('%j is not spoken', (name) => {
    expect(() => readEncoding(name)).toThrow(expect.objectContaining({ code: 'UNIMPLEMENTED' }));
  });

  test('a bomb is refused at the limit of a message', async () => {
    const { gzipSync } = await import('node:zlib');
    const bomb = gzipSync(Buffer.alloc(1_000_000));
    await expect(decompress(bomb, 'gzip', 10_000)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    await expect(decompress(bomb, 'gzip', 1_000_000)).resolves.toHaveLength(1_000_000);
  });

  test.each(['gzip', 'deflate', 'identity'] as const)('bytes that are no %s are refused', async (encoding) => {
    await expect(decompress(Buffer.from('no'), encoding, 100)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('grpc-timeout', () => {
  test.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['250m', 250],
    ['1500u', 1.5],
    ['99999999n', 99.999999],
    ['0m', 0],
  ])('%s is %d ms', (header, timeoutMs) => {
    expect(readTimeoutMs(header)).toBeCloseTo(timeoutMs, 9);
  });

  test.each(['', '1', 'm', '-1m', '1.5S', '123456789m', '1 m', '1h'])('%j is refused', (header) => {
    expect(() => readTimeoutMs(header)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('a status', () => {
  test('has its message in printable ASCII, which gives the message back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (message) => {
        const encoded = encodeMessage(message);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(encoded)).toBe(message.toWellFormed());
      }),
    );
    expect(encodeMessage('50 % of Zürich\n')).toBe('50 %25 of Z%C3%BCrich%0A');
  });

  test('is the one that the protocol wants where that is another than our code has', () => {
    expect(errorTrailers(new ProtocolError(13, 'INVALID_ARGUMENT', 'no'))).toEqual({
      'grpc-status': '13',
      'grpc-message': 'no',
      'assay-error-code': 'INVALID_ARGUMENT',
    });
  });

  test('says which of our codes it is and when to come back', () => {
    expect(errorTrailers(new AssayError('OVERLOADED', 'later', { retryAfterMs: 12.5 }))).toEqual({
      'grpc-status': '14',
      'grpc-message': 'later',
      'assay-error-code': 'OVERLOADED',
      'grpc-retry-pushback-ms': '13',
    });
  });
});
