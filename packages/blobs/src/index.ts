export type { BlobInfo, BlobStore, ByteRange, ListedBlob, PutOptions } from './blob-store.ts';
export { openBlobStore } from './open-blob-store.ts';
