/** Which database the registries of a test file have: SQLite, unless the file says otherwise. */
import { join } from 'node:path';
import { databaseUrlIn } from '../service.ts';

let urlOf = (dir: string): string => databaseUrlIn(join(dir, 'registry'));

/** From now on the registry in `dir` has the database that `choose` gives; the same one for the same folder. */
export function useDatabases(choose: (dir: string) => string): void {
  urlOf = choose;
}

export function databaseUrlOf(dir: string): string {
  return urlOf(dir);
}
