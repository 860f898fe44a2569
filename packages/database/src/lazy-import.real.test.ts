import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

/** Prints which libraries of databases are loaded: after the import, and after each url. */
const SCRIPT = `
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/x');
const loaded = (name) => Object.keys(require('node:module')._cache).some((path) => path.includes('/node_modules/' + name + '/'));
const print = () => console.log([loaded('better-sqlite3') && 'sqlite', loaded('pg') && 'pg'].filter(Boolean).join('+') || 'none');
const { openDatabase } = await import(process.argv[1]);
print();
for (const url of process.argv.slice(2)) {
  await openDatabase(url, { migrations: [] }).then((database) => database.close(), () => undefined);
  print();
}
`;
const SQLITE = 'sqlite::memory:';
const POSTGRES = 'postgres://u:p@127.0.0.1:1/db';

it('loads the library of a database only when its url is opened', async () => {
  const index = new URL('./index.ts', import.meta.url).href;
  const lines = async (...urls: string[]) => {
    const args = ['--input-type=module', '-e', SCRIPT, index, ...urls];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return stdout.trim().split('\n');
  };
  expect(await lines('mysql://host/db', SQLITE)).toEqual(['none', 'none', 'sqlite']);
  expect(await lines(POSTGRES)).toEqual(['none', 'pg']);
});
