export type { BlobInfo, BlobStore, ByteRange, PutOptions } from './blob-store.ts';
export { openBlobStore } from './open-blob-store.ts';
