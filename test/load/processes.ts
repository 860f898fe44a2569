/** The programs of a benchmark run in processes of their own; what they cost is read from the kernel. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** Clock ticks a second of /proc/PID/stat on Linux (sysconf(_SC_CLK_TCK) is 100 on every architecture that Node runs on). */
const TICKS_PER_SECOND = 100;

/** User and system CPU time of a process and its threads so far, in microseconds (proc_pid_stat(5), fields 14 and 15). */
export function cpuMicroseconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

/** Time that a core was not idle so far, by whatever it was, in microseconds; also what the host took from it (proc_stat(5)). */
export function coreBusyMicroseconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'latin1'))?.[1] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(' ').map(Number);
  return ((user + nice + system + irq + softirq + steal) * 1e6) / TICKS_PER_SECOND;
}

export function residentMegabytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(match?.[1] ?? Number.NaN) / 1024;
}

export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

/** Starts a script that prints its URL as its first line and stops at SIGTERM. */
export async function startServer(command: string, args: readonly string[]): Promise<Server> {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  if (child.stdout === null || child.pid === undefined) throw new Error(`${command} did not start`);
  child.stdout.setEncoding('utf8');
  const first = await Promise.race([once(child.stdout, 'data'), closed.then(() => undefined)]);
  if (first === undefined) throw new Error(`${command} ${args.join(' ')} ended with ${child.exitCode}`);
  return {
    url: String(first[0]).trim(),
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await closed;
    },
  };
}
