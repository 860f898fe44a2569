/**
 * Which content a file of a dataset version is. Who downloads a version asks for thousands of files one by one: its list is
 * read once, and kept for a while. A version never changes; that it is not deleted is asked each time.
 */
import { AssayError, type DatasetFile } from '@assay/contracts';
import { getDatasetVersionById, requireDatasetVersionId } from '../store/datasets.ts';
import type { Queryable } from '../store/tables.ts';

/** So many lists are kept, of 10,000 files at most. */
const VERSIONS_KEPT = 4;
/** How many files a message names. */
const MAX_NAMES = 20;

export interface DatasetFiles {
  /**
   * @param version a number, or `latest`
   * @throws AssayError NOT_FOUND with the files that there are
   */
  find(db: Queryable, name: string, version: string, fileName: string): Promise<DatasetFile>;
}

export function createDatasetFiles(): DatasetFiles {
  const kept = new Map<string, ReadonlyMap<string, DatasetFile>>();

  async function filesOf(db: Queryable, name: string, version: string): Promise<ReadonlyMap<string, DatasetFile>> {
    const key = await requireDatasetVersionId(db, name, version);
    const known = kept.get(key);
    kept.delete(key); // what was asked for last goes last
    const files = known ?? new Map((await getDatasetVersionById(db, key)).files.map((file) => [file.name, file]));
    kept.set(key, files);
    const [oldest] = kept.keys();
    if (kept.size > VERSIONS_KEPT && oldest !== undefined) kept.delete(oldest);
    return files;
  }

  return {
    async find(db, name, version, fileName) {
      const files = await filesOf(db, name, version);
      const file = files.get(fileName);
      if (file !== undefined) return file;
      const names = [...files.keys()].slice(0, MAX_NAMES).join(', ');
      const more = files.size > MAX_NAMES ? `, … (${files.size} in all)` : '';
      throw new AssayError(
        'NOT_FOUND',
        `version ${version} of dataset ${name} has no file "${fileName}"; it has ${names}${more}`,
      );
    },
  };
}
