/** Where packed graphs are kept between starts. */
import { join } from 'node:path';

export function graphsDir({ cacheDir }: { readonly cacheDir: string }): string {
  return join(cacheDir, 'graphs');
}
