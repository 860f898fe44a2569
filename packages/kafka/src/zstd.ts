/** Zstandard for kafkajs by Node's own zlib. (lz4 has no working plugin; gzip is built in.) */
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** kafkajs hands over its own encoder; only its buffer matters here. */
interface Encoder {
  readonly buffer: Buffer;
}

export function registerZstd(kafkajs: Pick<typeof import('kafkajs'), 'CompressionCodecs' | 'CompressionTypes'>): void {
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
    compress: (encoder: Encoder) => compress(encoder.buffer),
    decompress: (buffer: Buffer) => decompress(buffer),
  });
}
