import { afterEach, expect, test } from 'vitest';
import { startFixture, type TestChild } from './child-of-test.ts';

const children: TestChild[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.process.kill('SIGKILL');
    await child.ended;
  }
});

function run(...args: string[]): TestChild {
  const child = startFixture('program', args);
  children.push(child);
  return child;
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s drains and ends with 0', async (signal) => {
  const program = run();
  await program.sees('started');
  program.process.kill(signal);
  expect(await program.ended).toEqual({ code: 0, signal: null, stdout: 'started\nclosing\nclosed\n', stderr: '' });
});

test('a second signal ends it at once', async () => {
  const program = run('', 'hang');
  await program.sees('started');
  program.process.kill('SIGTERM');
  await program.sees('closing');
  program.process.kill('SIGTERM');
  expect(await program.ended).toMatchObject({ code: 130 });
});

test('a drain that does not end is cut off, in one line', async () => {
  const program = run('', 'hang');
  await program.sees('started');
  program.process.kill('SIGTERM');
  const { code, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'assay: sample did not stop within 300 ms; what it was doing is cut off\n',
  });
});

test('a drain may take as long as the settings of its services say', async () => {
  const program = run('patient', 'slow');
  await program.sees('started');
  program.process.kill('SIGTERM');
  expect(await program.ended).toMatchObject({ code: 0, stdout: 'started\nclosing\nclosed\n' });
});

test('a start that is refused is one line and its code, and what had begun is closed', async () => {
  const { code, stderr, stdout } = await run('refuse').ended;
  expect({ code, stderr, stdout }).toEqual({
    code: 3,
    stderr: 'assay: port 1 is taken\n',
    stdout: 'closing\nclosed\n',
  });
});

test('a signal during the start gives the start up, and that is no failure', async () => {
  const program = run('wait');
  await program.sees('starting');
  program.process.kill('SIGINT');
  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
});

test('a bug at the start, or in a promise that nobody awaits, is told with its stack', async () => {
  const early = await run('bug').ended;
  expect(early.code).toBe(1);
  expect(early.stderr).toMatch(/^assay: internal error: a bug\nTypeError: a bug\n {4}at /);
  const late = await run('late-bug').ended;
  expect(late).toMatchObject({ code: 1, stdout: 'started\n' });
  expect(late.stderr).toMatch(/^assay: internal error: late\n/);
});

test('a full disk is told in words', async () => {
  const { code, stderr } = await run('disk').ended;
  expect({ code, stderr }).toEqual({
    code: 3,
    stderr: 'assay: the disk is full (ENOSPC: no space); free some space and start again\n',
  });
});

test('a service that fails while it runs is drained and told', async () => {
  const { code, stderr, stdout } = await run('fail').ended;
  expect({ code, stderr }).toEqual({ code: 3, stderr: 'assay: the worker died\n' });
  expect(stdout).toContain('closed');
});

test('a close that throws is a failure', async () => {
  const program = run('', 'bug');
  await program.sees('started');
  program.process.kill('SIGTERM');
  expect(await program.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('close broke') });
});
