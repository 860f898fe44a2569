/** Where the content with a digest is in the blob store. Two levels, so that no folder of the file driver grows huge. */
export function blobKey(sha256: string): string {
  return `sha256/${sha256.slice(0, 2)}/${sha256}`;
}
