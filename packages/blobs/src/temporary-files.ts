/**
 * Bodies on their way. Their names say who writes them (host, process), so that what a killed process left is removed
 * and what another one still writes is not.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** Past this without a write, a body is given up whoever began it: another host's process cannot be looked at. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

const host = (): string =>
  hostname()
    .replaceAll(/[^A-Za-z0-9.-]/g, '-')
    .slice(0, 100);

export function temporaryName(unique: string): string {
  return `${host()}~${process.pid}~${unique}`;
}

/** Removes what no living process writes any more. */
export async function sweepTemporaryFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined); // finished or removed by its writer meanwhile
    if (found !== undefined && isAbandoned(name, found.mtimeMs)) await rm(path, { force: true });
  }
}

function isAbandoned(name: string, writtenAtMs: number): boolean {
  const now = Date.now();
  if (writtenAtMs < now - ABANDONED_MS) return true;
  const [writerHost, writerPid] = name.split('~');
  if (writerHost !== host()) return false;
  const pid = Number(writerPid);
  // In a container the process has the same number after each start: what is older than this process is not its own.
  if (pid === process.pid) return writtenAtMs < now - process.uptime() * 1000;
  return !isAlive(pid);
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'; // alive, and another user's
  }
}
