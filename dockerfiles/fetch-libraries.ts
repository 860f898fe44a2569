/**
 * `node dockerfiles/fetch-libraries.ts FOLDER` puts the libraries that training jobs load into FOLDER, laid out as the
 * cache that they look into; pinned by the hashes that training itself checks.
 */
import { resolve } from 'node:path';
import { findLightGbm } from '../services/training/src/trainers/lightgbm/library.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: fetch-libraries FOLDER');
const location = await findLightGbm({
  cacheDir: resolve(folder),
  signal: AbortSignal.timeout(10 * 60_000),
  onFetch: (what) => process.stdout.write(`fetching ${what}\n`),
});
await location.openmp();
