/**
 * Launches as child processes: a native crash or a full heap of a job leaves the service alone, and none outlives it.
 * All that is remembered is in the launch's folder (job-folder.ts), so a restarted service observes what was launched.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AssayError } from '@assay/contracts';
import { entryUrl, type Logger, nodeArguments } from '@assay/runtime';
import { childEnvironment } from './child-environment.ts';
import { classifyProcessEnd } from './failure.ts';
import { files, readExit, readProcess, writeExit, writeWhole } from './job-folder.ts';
import { boundLog, logTail, readLog } from './job-log.ts';
import { checkLaunchId, type LaunchExit, type Launcher, type LaunchRequest, type Observation } from './launcher.ts';
import { PARENT_PIPE_FD } from './parent-watch.ts';
import { countKilledForMemory, isAlive, processIdentity, signalProcess } from './processes.ts';

export interface ProcessLauncherOptions {
  /** Holds a folder for each launch. Used by one process at a time. */
  readonly dir: string;
  /** The module with the jobs' `run` (see JobEntry), from `entryUrl`. */
  readonly entry: URL;
  /** Names of this process's environment that jobs get besides the usual ones. */
  readonly environmentNames?: readonly string[];
  /** The most that a job's JavaScript heap may grow to; native memory is not counted. */
  readonly maxHeapMegabytes?: number;
  /** Scheduling priority, −20 to 19 (nice): jobs give way to what serves. Default 10. */
  readonly niceness?: number;
  /** Of each log; a longer one loses its beginning. Default 64 MiB. */
  readonly maxLogBytes?: number;
  /** How many ended launches keep their folders. Default 200. */
  readonly keepEnded?: number;
  readonly log: Pick<Logger, 'warn'>;
}

export interface ProcessLauncher extends Launcher {
  /** Stops all that runs (`graceMs` as for cancel); it has then failed with the retryable kind `lost`. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** A launch of this process that has not ended. */
interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly startedAtMs: number;
  /** Why it was told to stop, if it was. */
  stopping: 'cancelled' | 'deadline' | 'closing' | undefined;
  /** Resolves when its end is written down. */
  readonly ended: Promise<void>;
}

const LOG_CHECK_MS = 2000;
const LOG_TAIL_BYTES = 16 * 1024;
const DEADLINE_GRACE_MS = 5000;
const KILL_TIMEOUT_MS = 10_000;

export function processLauncher(options: ProcessLauncherOptions): ProcessLauncher {
  const { entry, log, niceness = 10, maxLogBytes = 64 * 1024 * 1024, keepEnded = 200 } = options;
  const root = resolve(options.dir);
  const running = new Map<string, Running>();
  const listeners = new Set<(id: string) => void>();
  let isClosed = false;

  const folderOf = (id: string): string => {
    checkLaunchId(id);
    return join(root, id);
  };

  function launch(request: LaunchRequest): void {
    const { id } = request;
    const dir = folderOf(id);
    const spec = JSON.stringify(request.spec);
    if (spec === undefined) throw new AssayError('INVALID_ARGUMENT', `launch ${id}: its spec is no JSON`);
    // A folder without process.json is a launch that a kill interrupted: nothing runs, it is begun again.
    if (running.has(id) || existsSync(files(dir).process) || existsSync(files(dir).exit)) return;
    if (isClosed) throw new AssayError('UNAVAILABLE', `launch ${id}: the process is stopping`);
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeWhole(files(dir).spec, spec);
      start(request, dir);
    } catch (error) {
      if (error instanceof AssayError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new AssayError('UNAVAILABLE', `launch ${id}: cannot be started now: ${reason}`, { cause: error });
    }
  }

  function start(request: LaunchRequest, dir: string): void {
    const output = openSync(files(dir).log, 'a', 0o600);
    const killedBefore = countKilledForMemory();
    let child: ChildProcess;
    try {
      child = spawn(
        process.execPath,
        [
          ...nodeArguments(
            options.maxHeapMegabytes === undefined ? {} : { maxHeapMegabytes: options.maxHeapMegabytes },
          ),
          fileURLToPath(entryUrl('packages/jobs', 'child')),
          dir,
          entry.href,
        ],
        {
          cwd: dir,
          env: childEnvironment(process.env, options.environmentNames ?? [], request.environment ?? {}),
          detached: true, // a group of its own, to be stopped as a whole
          stdio: ['ignore', output, output, 'pipe'], // the last is PARENT_PIPE_FD
        },
      );
    } finally {
      closeSync(output);
    }
    const exited = new Promise<{ exitCode: number | null; signal: NodeJS.Signals | null; error?: Error }>((settle) => {
      child.once('exit', (exitCode, signal) => settle({ exitCode, signal }));
      child.once('error', (error) => settle({ exitCode: null, signal: null, error }));
    });
    const { pid } = child;
    if (pid === undefined) {
      void exited; // 'error' tells why, and must be heard
      throw new AssayError('UNAVAILABLE', `launch ${request.id}: the system started no process for it; try again`);
    }
    // Nothing is ever written to the pipe; that the other end closes is known by the exit.
    child.stdio[PARENT_PIPE_FD]?.on('error', () => undefined);
    const startedAtMs = Date.now();
    const record: Running = { child, pid, startedAtMs, stopping: undefined, ended: conclude() };
    running.set(request.id, record);
    try {
      writeWhole(files(dir).process, JSON.stringify({ pid, identity: processIdentity(pid) ?? null, startedAtMs }));
    } catch (error) {
      signalProcess(-pid, 'SIGKILL'); // what is not written down must not run
      throw error;
    }
    try {
      setPriority(pid, niceness);
    } catch {
      // It has ended already, or the system has no priorities: it runs as it is.
    }

    async function conclude(): Promise<void> {
      const logCheck = setInterval(() => {
        boundLog(files(dir).log, maxLogBytes).catch((error: unknown) =>
          log.warn({ err: error, dir }, 'log not bounded'),
        );
      }, LOG_CHECK_MS);
      const deadline =
        request.timeoutMs === undefined
          ? undefined
          : setTimeout(() => void stop(record, 'deadline', DEADLINE_GRACE_MS), request.timeoutMs);
      try {
        const { exitCode, signal } = await exited;
        signalProcess(-(pid ?? 0), 'SIGKILL'); // what it may have left of its group
        const killed = countKilledForMemory();
        const killedForMemory = killed === undefined || killedBefore === undefined ? undefined : killed - killedBefore;
        const tail = await logTail(files(dir).log, LOG_TAIL_BYTES);
        writeExit(dir, exitOf(record, { exitCode, signal, killedForMemory, logTail: tail }, request.timeoutMs));
      } catch (error) {
        log.warn({ err: error, dir }, 'the end of a launch could not be written down; it counts as lost');
      } finally {
        clearInterval(logCheck);
        clearTimeout(deadline);
        running.delete(request.id);
        for (const listener of listeners) listener(request.id);
      }
    }
  }

  /** Asks, waits, kills. Resolves when it has ended. */
  async function stop(record: Running, why: NonNullable<Running['stopping']>, graceMs: number): Promise<void> {
    record.stopping ??= why;
    record.child.kill('SIGTERM');
    const timer = setTimeout(() => signalProcess(-record.pid, 'SIGKILL'), graceMs);
    await record.ended;
    clearTimeout(timer);
  }

  /** Removes the folders of launches that ended longest ago. */
  async function sweep(): Promise<void> {
    const ended: { dir: string; endedAtMs: number }[] = [];
    for (const id of await readdir(root)) {
      const dir = join(root, id);
      const written = await stat(files(dir).exit).catch(() => undefined); // still running
      if (written !== undefined && !running.has(id)) ended.push({ dir, endedAtMs: written.mtimeMs });
    }
    ended.sort((a, b) => b.endedAtMs - a.endedAtMs);
    for (const { dir } of ended.slice(keepEnded)) await rm(dir, { recursive: true, force: true });
  }

  return {
    async launch(request, { signal } = {}) {
      signal?.throwIfAborted();
      launch(request);
      await sweep().catch((error: unknown) => log.warn({ err: error, root }, 'ended launches could not be removed'));
    },

    async observe(id) {
      return observeFolder(folderOf(id), running.get(id));
    },

    async cancel(id, { graceMs }) {
      const dir = folderOf(id);
      const record = running.get(id);
      if (record !== undefined) return stop(record, 'cancelled', graceMs);
      // Of a service that is gone: it ends with that service, or is just doing so.
      const process = readProcess(dir);
      if (process === undefined || readExit(dir) !== undefined) return;
      const giveUpAt = performance.now() + KILL_TIMEOUT_MS;
      while (isAlive(process)) {
        signalProcess(-process.pid, 'SIGKILL');
        if (performance.now() > giveUpAt) {
          throw new AssayError('UNAVAILABLE', `launch ${id}: its process ${process.pid} does not end; try again`);
        }
        await delay(10);
      }
      writeExit(dir, { outcome: 'cancelled', endedAtMs: Date.now() });
    },

    async *logs(id, { follow = false, signal } = {}) {
      const dir = folderOf(id);
      if (!existsSync(files(dir).log)) throw new AssayError('NOT_FOUND', `there is no launch ${id}`);
      const isOver = async () => !follow || observeFolder(dir, running.get(id)).state !== 'running';
      yield* readLog(files(dir).log, { isOver, signal });
    },

    onChange(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },

    async close({ graceMs = 5000 } = {}) {
      isClosed = true;
      await Promise.all([...running.values()].map((record) => stop(record, 'closing', graceMs)));
    },
  };
}

function observeFolder(dir: string, record: Running | undefined): Observation {
  // Of a launch of this process the end counts once its process is gone, not when the exit file appears.
  if (record !== undefined) return { state: 'running', startedAtMs: record.startedAtMs };
  const exit = readExit(dir);
  if (exit !== undefined) return { state: 'exited', exit };
  const process = readProcess(dir);
  if (process === undefined) return { state: 'absent' };
  if (isAlive(process)) return { state: 'running', startedAtMs: process.startedAtMs };
  // Its service was killed, and it with it; or it had just written its exit file.
  const message = 'the service that ran it stopped before it had ended';
  writeExit(dir, { outcome: 'failed', endedAtMs: Date.now(), failure: { kind: 'lost', message, retryable: true } });
  return { state: 'exited', exit: readExit(dir) ?? lostExit(message) };
}

function lostExit(message: string): LaunchExit {
  return { outcome: 'failed', endedAtMs: Date.now(), failure: { kind: 'lost', message, retryable: true } };
}

/** What the launcher writes down where the process has not done so itself. */
function exitOf(
  record: Running,
  end: Parameters<typeof classifyProcessEnd>[0],
  timeoutMs: number | undefined,
): LaunchExit {
  const endedAtMs = Date.now();
  switch (record.stopping) {
    case 'cancelled':
      return { outcome: 'cancelled', endedAtMs };
    case 'deadline': {
      const message = `it took longer than the ${timeoutMs} ms that it was given`;
      return { outcome: 'failed', endedAtMs, failure: { kind: 'deadline', message, retryable: false } };
    }
    case 'closing':
      return lostExit('the service that ran it stopped');
    case undefined:
      return { outcome: 'failed', endedAtMs, failure: classifyProcessEnd(end) };
  }
}
