/** One core for the server, another for the load, where the machine lets them be pinned. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Server, startServer } from './processes.ts';

export interface PinnedServer extends Server {
  /** For its requests, where it wants one. */
  readonly key: string | undefined;
  /** Where it was asked for gRPC. */
  readonly grpc: string | undefined;
}

/** Puts this process on its second core; gives the words that put another on the first. */
export function pinning(): string[] {
  if (availableParallelism() < 2) return [];
  try {
    execFileSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
    return ['taskset', '-c', '0'];
  } catch {
    return []; // not Linux, or these cores are not ours: the scheduler decides
  }
}

/** A script of this folder, which prints its URL, and maybe a key and where it listens for gRPC. */
export async function startPinned(
  pin: readonly string[],
  script: string,
  ...args: readonly string[]
): Promise<PinnedServer> {
  const path = fileURLToPath(new URL(`./${script}`, import.meta.url));
  const [command = process.execPath, ...rest] = [...pin, process.execPath, path, ...args];
  const server = await startServer(command, rest);
  const [url = '', key, grpc] = server.url.split(' ');
  return { url, key, grpc, pid: server.pid, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
