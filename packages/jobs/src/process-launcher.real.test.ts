import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeLauncher, exitOf, logged, logOf, observeUntil } from './conformance.ts';
import type { Behaviour } from './conformance-job.ts';
import { type ProcessLauncher, type ProcessLauncherOptions, processLauncher } from './index.ts';
import { readProcess } from './job-folder.ts';
import { countKilledForMemory, isAlive, processIdentity, signalProcess } from './processes.ts';

const entry = new URL('./conformance-job.ts', import.meta.url);
const log = { warn: (...line: unknown[]) => console.error(...line) };

describeLauncher('child processes', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-jobs-'));
  const open = () => processLauncher({ dir, entry, maxHeapMegabytes: 64, log });
  const launcher = open();
  return {
    launcher,
    reopen: async () => open(),
    async cleanup() {
      await launcher.close({ graceMs: 0 });
      await rm(dir, { recursive: true });
    },
  };
});

describe('a launch as a child process', () => {
  let dir: string;
  let opened: ProcessLauncher[] = [];
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-jobs-'));
    opened = [];
  });
  afterEach(async () => {
    for (const launcher of opened) await launcher.close({ graceMs: 0 });
    await rm(dir, { recursive: true });
  });

  function open(options: Partial<ProcessLauncherOptions> = {}): ProcessLauncher {
    const launcher = processLauncher({ dir, entry, log, ...options });
    opened.push(launcher);
    return launcher;
  }

  function processOf(id: string) {
    const process = readProcess(join(dir, id));
    if (process === undefined) throw new Error(`${id} has no process`);
    return process;
  }

  /** Runs a service of its own that launches the job, and kills it with -9 once the job has printed `text`. */
  async function launchAndKillService(id: string, behaviour: Behaviour, text: string): Promise<string> {
    const program = fileURLToPath(new URL('./fixtures/launching-service.ts', import.meta.url));
    const service = spawn(process.execPath, [program, dir, id, JSON.stringify(behaviour)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(service.stdout, 'data');
    const printed = await logged(open(), id, text);
    service.kill('SIGKILL');
    await once(service, 'exit');
    return printed;
  }

  it.each([
    ['waits', { do: 'wait' }, 'waiting'],
    ['is blocked in a native call', { do: 'block' }, 'blocking'],
  ] as const)(
    'dies with a service that is killed with -9, when it %s; and is then lost',
    async (_, behaviour, text) => {
      await launchAndKillService('job_a.1', behaviour, text);
      await expect.poll(() => isAlive(processOf('job_a.1')), { timeout: 20_000 }).toBe(false);
      const exit = await exitOf(open(), 'job_a.1');
      expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'lost', retryable: true } });
      // Its word is final: the same id is not launched again.
      await open().launch({ id: 'job_a.1', spec: { do: 'print', text: 'again' } });
      expect(await logOf(open(), 'job_a.1')).not.toContain('again');
    },
  );

  it('takes its own processes with it when its service is killed with -9', async () => {
    const printed = await launchAndKillService('job_a.1', { do: 'have-a-child' }, 'child ');
    const grandchild = Number(/child (\d+)/.exec(printed)?.[1]);
    expect(grandchild).toBeGreaterThan(1);
    await expect.poll(() => processIdentity(grandchild), { timeout: 20_000 }).toBe(undefined);
  });

  it('takes its own processes with it when it is cancelled', async () => {
    const launcher = open();
    await launcher.launch({ id: 'job_a.1', spec: { do: 'have-a-child' } });
    const grandchild = Number(/child (\d+)/.exec(await logged(launcher, 'job_a.1', 'child '))?.[1]);
    expect(processIdentity(grandchild)).toBeDefined();
    await launcher.cancel('job_a.1', { graceMs: 20_000 });
    await expect.poll(() => processIdentity(grandchild), { timeout: 20_000 }).toBe(undefined);
  });

  it('is cancelled by the restarted service while it is still dying', async () => {
    await launchAndKillService('job_a.1', { do: 'block' }, 'blocking');
    const launcher = open();
    await launcher.cancel('job_a.1', { graceMs: 20_000 });
    expect(isAlive(processOf('job_a.1'))).toBe(false);
    expect(await launcher.observe('job_a.1')).toMatchObject({ state: 'exited' });
  });

  it('is launched again where a kill came between its folder and its process', async () => {
    await mkdir(join(dir, 'job_a.1'));
    const launcher = open();
    expect(await launcher.observe('job_a.1')).toEqual({ state: 'absent' });
    await launcher.launch({ id: 'job_a.1', spec: { do: 'print', text: 'at last' } });
    expect((await exitOf(launcher, 'job_a.1')).outcome).toBe('succeeded');
  });

  it('is stopped when its service closes, and may be tried again', async () => {
    const launcher = open();
    await launcher.launch({ id: 'job_a.1', spec: { do: 'wait' } });
    await logged(launcher, 'job_a.1', 'waiting');
    await launcher.close();
    expect(isAlive(processOf('job_a.1'))).toBe(false);
    const exit = await exitOf(open(), 'job_a.1');
    expect(exit).toMatchObject({ outcome: 'failed', failure: { kind: 'lost', retryable: true } });
    await expect(launcher.launch({ id: 'job_b.1', spec: {} })).rejects.toThrow('the process is stopping');
  });

  it('is lost, and not short of memory, when it is killed from outside and the system tells the two apart', async () => {
    const launcher = open();
    await launcher.launch({ id: 'job_a.1', spec: { do: 'wait' } });
    await logged(launcher, 'job_a.1', 'waiting');
    process.kill(processOf('job_a.1').pid, 'SIGKILL');
    const kind = countKilledForMemory() === undefined ? 'out-of-memory' : 'lost';
    expect(await exitOf(launcher, 'job_a.1')).toMatchObject({ outcome: 'failed', failure: { kind } });
  });

  it('writes neither its environment to disk, nor its spec where others may read it', async () => {
    const launcher = open();
    await launcher.launch({ id: 'job_a.1', spec: { do: 'print', text: '' }, environment: { TOKEN: 'hidden-token' } });
    await exitOf(launcher, 'job_a.1');
    const names = await readdir(join(dir, 'job_a.1'));
    expect(names.toSorted()).toEqual(['exit.json', 'log', 'process.json', 'spec.json', 'work']);
    for (const name of names.filter((each) => each !== 'work')) {
      expect(await readFile(join(dir, 'job_a.1', name), 'utf8')).not.toContain('hidden-token');
    }
    expect((await stat(join(dir, 'job_a.1'))).mode & 0o077).toBe(0);
  });

  it('keeps the log within its bound, and its follower goes on', async () => {
    const launcher = open({ maxLogBytes: 200 });
    await launcher.launch({ id: 'job_a.1', spec: { do: 'print-slowly', lines: 150 } });
    const followed = logOf(launcher, 'job_a.1', { follow: true });
    expect((await exitOf(launcher, 'job_a.1')).outcome).toBe('succeeded');
    const kept = await logOf(launcher, 'job_a.1');
    expect(kept).toContain('[the log grew over 200 bytes');
    expect(kept).not.toContain('line 1\n');
    expect(kept).toContain('line 149\n');
    expect(await followed).toContain('line 149\n');
  });

  it('removes the folders that ended longest ago', async () => {
    const launcher = open({ keepEnded: 2 });
    for (const id of ['job_a.1', 'job_b.1', 'job_c.1', 'job_d.1']) {
      await launcher.launch({ id, spec: { do: 'print', text: '' } });
      await exitOf(launcher, id);
    }
    expect((await readdir(dir)).toSorted()).toEqual(['job_b.1', 'job_c.1', 'job_d.1']);
    expect(await launcher.observe('job_a.1')).toEqual({ state: 'absent' });
  });

  it('is not mistaken for a later process of the same number', async () => {
    const launcher = open();
    await launcher.launch({ id: 'job_a.1', spec: { do: 'wait' } });
    await observeUntil(launcher, 'job_a.1', ({ state }) => state === 'running');
    const { pid, identity } = processOf('job_a.1');
    expect(isAlive({ pid, identity })).toBe(true);
    expect(isAlive({ pid, identity: 'another tick' })).toBe(identity === null);
    await launcher.cancel('job_a.1', { graceMs: 20_000 });
    expect(isAlive({ pid, identity })).toBe(false);
    expect(signalProcess(-pid, 0)).toBe(false);
  });
});
