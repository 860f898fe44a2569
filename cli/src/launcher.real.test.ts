import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What the launcher starts here: it prints its arguments, then ends with a code or waits for a signal. */
const PROGRAM = `
const [first, ...rest] = process.argv.slice(2);
if (first === 'exit') process.exitCode = Number(rest[0]);
if (first === 'wait') {
  const timer = setInterval(() => {}, 1000);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => { console.log(signal); clearInterval(timer); process.exit(0); });
  process.on('disconnect', () => { console.log('disconnect'); process.exit(0); });
  process.channel?.unref();
}
// Last, so that whoever reads it may send a signal at once.
console.log(JSON.stringify({ pid: process.pid, rest, channel: process.channel !== undefined }));
`;

/** A repository that holds nothing but the launcher, a Node beside it (a script), and the program. */
async function repository(node: string, where: 'sources' | 'bundle' = 'sources'): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'assay-launcher-'));
  cleanups.push(() => rm(root, { recursive: true, force: true }));
  await cp(join(import.meta.dirname, '..', 'bin'), join(root, 'cli', 'bin'), { recursive: true });
  await mkdir(join(root, 'node_modules', 'node', 'bin'), { recursive: true });
  const binary = join(root, 'node_modules', 'node', 'bin', 'node');
  await writeFile(binary, `#!/bin/sh\n${node}\n`);
  await chmod(binary, 0o755);
  const program = where === 'bundle' ? join(root, 'dist', 'entries', 'cli.mjs') : join(root, 'cli', 'src', 'main.ts');
  await mkdir(join(program, '..'), { recursive: true });
  await writeFile(program, PROGRAM);
  await writeFile(join(root, 'package.json'), '{"type": "module"}');
  return root;
}

interface Launched {
  readonly child: ChildProcess;
  readonly lines: () => string[];
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; err: string }>;
}

function launch(root: string, ...args: string[]): Launched {
  const child = spawn(process.execPath, [join(root, 'cli', 'bin', 'assay.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null; err: string }>((resolve) => {
    // Its output ends when the program ends, too.
    child.once('close', (code, signal) => resolve({ code, signal, err }));
  });
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, ended, lines: () => out.split('\n').filter((line) => line !== '') };
}

const ITSELF = `exec "${process.execPath}" "$@"`;
const NO_LIBATOMIC =
  'echo "node: error while loading shared libraries: libatomic.so.1: cannot open shared object file: No such file or directory" >&2; exit 127';

describe('the launcher', () => {
  test('runs the program by the Node beside the code, with its arguments, and gives its exit code', async () => {
    const launched = launch(await repository(ITSELF), 'exit', '7', '--flag', 'a b');
    expect((await launched.ended).code).toBe(7);
    expect(JSON.parse(launched.lines()[0] ?? '')).toMatchObject({ rest: ['7', '--flag', 'a b'], channel: true });
  });

  test('prefers the bundle where one was built', async () => {
    const launched = launch(await repository(ITSELF, 'bundle'), 'exit', '0');
    expect((await launched.ended).code).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('passes %s on', async (signal) => {
    const launched = launch(await repository(ITSELF), 'wait');
    await expect.poll(launched.lines, { timeout: 20_000 }).toHaveLength(1);
    launched.child.kill(signal);
    expect((await launched.ended).code).toBe(0);
    expect(launched.lines()[1]).toBe(signal);
  });

  test('takes the program with it when it is killed', async () => {
    const launched = launch(await repository(ITSELF), 'wait');
    await expect.poll(launched.lines, { timeout: 20_000 }).toHaveLength(1);
    launched.child.kill('SIGKILL');
    expect((await launched.ended).signal).toBe('SIGKILL');
    expect(launched.lines()[1]).toBe('disconnect');
  });

  test('uses the running Node where the one beside the code lacks a library', async () => {
    const launched = launch(await repository(NO_LIBATOMIC), 'exit', '5');
    expect((await launched.ended).code).toBe(5);
    expect(JSON.parse(launched.lines()[0] ?? '')).toMatchObject({ pid: launched.child.pid, channel: false });
  });

  test('says that nothing is installed', async () => {
    const root = await repository(ITSELF);
    await rm(join(root, 'node_modules'), { recursive: true });
    const { code, err } = await launch(root, 'models').ended;
    expect(code).toBe(3);
    expect(err).toMatch(/^assay: nothing is installed yet; run `make setup` in .*\n$/);
  });
});
