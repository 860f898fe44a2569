import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFixture, type TestChild } from './child-of-test.ts';
import { lockDataDir } from './data-lock.ts';

let dir: string;
const children: TestChild[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'assay-lock-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL');
    await child.ended;
  }
  rmSync(dir, { recursive: true, force: true });
});

function start(): TestChild {
  const child = startFixture('lock-holder', [dir]);
  children.push(child);
  return child;
}

test('a folder that another process uses is refused in one line that names it', async () => {
  const holder = start();
  await holder.sees('locked');
  const refusal = await lockDataDir(dir).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'UNAVAILABLE' });
  expect(String(refusal)).toContain(`the data folder ${dir} is in use by process ${holder.process.pid}, since `);
  expect(String(refusal)).not.toContain('\n');
});

test('after kill -9 the folder is free at once, whatever note was left', async () => {
  const holder = start();
  await holder.sees('locked');
  holder.process.kill('SIGKILL');
  await holder.ended;
  const lock = await lockDataDir(dir);
  lock.release();
});

test('a note that names a living process is no lock', async () => {
  writeFileSync(join(dir, 'lock.json'), JSON.stringify({ pid: process.ppid, host: 'x', since: 'y' }));
  (await lockDataDir(dir)).release();
});

test('of many that come at once exactly one gets it', async () => {
  const rivals = Array.from({ length: 4 }, start);
  const outcomes = await Promise.all(
    rivals.map((rival) =>
      Promise.race([rival.sees('locked').then(() => 'locked'), rival.ended.then(({ stdout }) => stdout)]).catch(String),
    ),
  );
  expect(outcomes.filter((outcome) => outcome === 'locked')).toHaveLength(1);
  for (const outcome of outcomes) if (outcome !== 'locked') expect(outcome).toContain('is in use by');
});

test('the same process is refused too, until it lets go', async () => {
  const lock = await lockDataDir(join(dir, 'made', 'when', 'missing'));
  await expect(lockDataDir(lock.dir)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  lock.release();
  lock.release();
  (await lockDataDir(lock.dir)).release();
});

test('a folder that cannot be used is refused with what to do', async () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');
  await expect(lockDataDir(file)).rejects.toThrow(/cannot be used: .*; set ASSAY_DATA_DIR/);
});
