import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PAIRS, type PairTables } from './fixtures/pairs.ts';
import { openDatabase } from './index.ts';

const program = fileURLToPath(new URL('./fixtures/writing-service.ts', import.meta.url));
const NOBODY = 65_534;

describe('an SQLite file, by a process of its own', () => {
  let dir: string;
  let url: string;
  let children: ChildProcess[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-database-'));
    url = `sqlite:${join(dir, 'test.sqlite')}`;
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(dir, { recursive: true });
  });

  function start(command: readonly string[], identity: { uid?: number; gid?: number } = {}) {
    const [file = '', ...args] = command;
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], ...identity });
    children.push(child);
    const lines: string[] = [];
    let rest = '';
    child.stdout.on('data', (data: Buffer) => {
      const parts = (rest + data.toString()).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
    });
    return { child, lines, exited: once(child, 'close') };
  }

  const service = [process.execPath, program];

  async function numbers(): Promise<number[]> {
    await using database = await openDatabase<PairTables>(url, { migrations: [PAIRS] });
    const rows = await database.db
      .selectFrom('pair')
      .select(['number', (e) => e.fn.countAll<number>().as('rows')])
      .groupBy('number')
      .orderBy('number')
      .execute();
    expect(rows.filter((row) => row.rows !== 2)).toEqual([]); // no half transaction
    return rows.map((row) => row.number);
  }

  it('has all that was acknowledged and no half of a transaction, when the process is killed with -9', async () => {
    let acknowledged = 0;
    for (const more of [1, 20, 80]) {
      const { child, lines, exited } = start([...service, url]);
      await expect.poll(() => lines.length, { timeout: 60_000, interval: 5 }).toBeGreaterThanOrEqual(more);
      child.kill('SIGKILL');
      await exited;
      acknowledged = Number(lines.at(-1));
      const kept = await numbers();
      expect(kept.length).toBeGreaterThanOrEqual(acknowledged);
      expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => i + 1));
    }
    expect(acknowledged).toBeGreaterThan(100);
  });

  it('is read and written beside a process that writes all the time', async () => {
    const { lines } = start([...service, url]);
    await expect.poll(() => lines.length, { timeout: 60_000, interval: 5 }).toBeGreaterThan(0);
    await using database = await openDatabase<PairTables>(url, { migrations: [PAIRS] });
    for (let i = 0; i < 20; i++) {
      await database.transaction(async (trx) => {
        const { count } = await trx
          .selectFrom('pair')
          .select((e) => e.fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow();
        await trx
          .insertInto('pair')
          .values({ id: `beside-${i}`, number: -i, body: String(count) })
          .execute();
      });
    }
    const beside = await database.db.selectFrom('pair').select('id').where('id', 'like', 'beside-%').execute();
    expect(beside).toHaveLength(20);
  });

  it('says that there is no space', async () => {
    const { lines, exited } = start(['sh', '-c', 'ulimit -f 800; exec "$0" "$@"', ...service, url]);
    await exited;
    expect(lines.at(-1)).toMatch(
      /^refused AssayError database .*: (the disk is full|reading or writing the file failed)/,
    );
    const acknowledged = lines.length - 1;
    expect(acknowledged).toBeGreaterThan(0);
    const kept = await numbers();
    expect(kept.length).toBeGreaterThanOrEqual(acknowledged);
  });

  it('says that it may not write', async () => {
    await numbers();
    await chmod(dir, 0o755);
    await chmod(join(dir, 'test.sqlite'), 0o444);
    const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const readOnly = start([...service, url], identity);
    await readOnly.exited;
    expect(readOnly.lines).toEqual([
      expect.stringMatching(/^refused AssayError database .*: cannot be (written|opened); check/),
    ]);
    await writeFile(join(dir, 'other.sqlite'), '', { mode: 0o000 });
    const unreadable = start([...service, `sqlite:${join(dir, 'other.sqlite')}`], identity);
    await unreadable.exited;
    expect(unreadable.lines).toEqual([
      expect.stringMatching(/^refused AssayError database .*: cannot be opened; check/),
    ]);
  });
});
