/** Which database the tests of a file have: SQLite in a folder, unless the file says otherwise. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let urlOf = (dir: string): string => `sqlite:${join(dir, 'jobs.sqlite')}`;

/** From now on each has the database that `choose` gives for its folder; the same one for the same folder. */
export function useDatabases(choose: (dir: string) => string): void {
  urlOf = choose;
}

/** The address of an empty database; its folder goes with `opened`. */
export async function newDatabase(opened: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-job-service-'));
  opened.defer(() => rm(dir, { recursive: true, force: true }));
  return urlOf(dir);
}
