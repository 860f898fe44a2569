import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const SCRIPT = `
const loaded = () => Object.keys(process.moduleLoadList ? require('node:module')._cache : {}).filter((each) => each.includes('better-sqlite3')).length;
const { openDatabase } = await import(process.argv[1]);
console.log(loaded());
await openDatabase('postgres://u:p@127.0.0.1:1/db', { migrations: [] }).catch(() => undefined);
console.log(loaded());
const { close } = await openDatabase('sqlite::memory:', { migrations: [] });
console.log(loaded());
`;

it('loads the SQLite library only when an SQLite url is opened', async () => {
  const script = `import { createRequire } from 'node:module'; const require = createRequire(process.cwd() + '/x');${SCRIPT}`;
  const index = new URL('./index.ts', import.meta.url).href;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, index]);
  const [imported, otherUrl, opened] = stdout.trim().split('\n').map(Number);
  expect([imported, otherUrl]).toEqual([0, 0]);
  expect(opened).toBeGreaterThan(0);
});
