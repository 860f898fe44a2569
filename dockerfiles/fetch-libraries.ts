/**
 * `node dockerfiles/fetch-libraries.ts FOLDER [cpu|cuda]` puts the libraries that training jobs load into FOLDER, laid out
 * as the cache that they look into; pinned by the hashes that training itself checks. `cuda`: only the XGBoost with CUDA,
 * which is laid over the others.
 */
import { resolve } from 'node:path';
import { findLightGbm } from '../services/training/src/trainers/lightgbm/library.ts';
import { findXgBoost } from '../services/training/src/trainers/xgboost/library.ts';

const [folder, device = 'cpu'] = process.argv.slice(2);
if (folder === undefined || (device !== 'cpu' && device !== 'cuda')) {
  throw new Error('usage: fetch-libraries FOLDER [cpu|cuda]');
}
const options = {
  cacheDir: resolve(folder),
  signal: AbortSignal.timeout(10 * 60_000),
  onFetch: (what: string) => process.stderr.write(`fetching ${what}\n`),
};
await findXgBoost(device, options);
if (device === 'cpu') await (await findLightGbm(options)).openmp();
