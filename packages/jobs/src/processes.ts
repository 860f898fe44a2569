/** Which process is which: numbers are used again, and the dead may still be listed. */
import { readFileSync } from 'node:fs';

/**
 * What tells a process from a later one of the same number: on Linux the clock tick at which it started (proc(5), field
 * 22 of stat). Null where the system does not say, undefined where there is no such process, or only its remains
 * (a zombie that nobody has waited for: in containers often nobody does).
 */
export function processIdentity(pid: number): string | null | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name before it may hold anything
    const [state] = fields;
    return state === 'Z' || state === 'X' ? undefined : (fields[19] ?? null);
  } catch {
    return signalProcess(pid, 0) ? null : undefined;
  }
}

/** Whether the process that had this number and identity is still alive. */
export function isAlive(process: { readonly pid: number; readonly identity: string | null }): boolean {
  const identity = processIdentity(process.pid);
  if (identity === undefined) return false;
  return identity === null || process.identity === null || identity === process.identity;
}

/** Sends a signal to a process, or with a negative number to a group. False where there is none. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // there is one, not ours to signal
  }
}

/**
 * How many processes of this control group the system has killed because memory ran out, ever: of cgroup v2 in
 * memory.events (https://docs.kernel.org/admin-guide/cgroup-v2.html), of v1 in memory.oom_control, since Linux 4.13
 * (https://docs.kernel.org/admin-guide/cgroup-v1/memory.html). Undefined where neither tells.
 * @param read gives the text of a file, undefined where it cannot be read
 */
export function countKilledForMemory(read: (path: string) => string | undefined = readText): number | undefined {
  const groups = read('/proc/self/cgroup') ?? '';
  const unified = /^0::(.*)$/m.exec(groups)?.[1];
  const memory = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(groups)?.[1];
  const v1 = '/sys/fs/cgroup/memory';
  const files = [
    ...(unified === undefined ? [] : [`/sys/fs/cgroup${unified}/memory.events`]),
    // In a container what is mounted is its own group, while its path may be that of the host.
    ...(memory === undefined ? [] : [`${v1}${memory}/memory.oom_control`, `${v1}/memory.oom_control`]),
  ];
  for (const file of files) {
    const count = /^oom_kill (\d+)$/m.exec(read(file) ?? '')?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
