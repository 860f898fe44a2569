/** One core for the server, another for the load, where the machine lets them be pinned. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { buildBundle } from '../../tools/build.ts';
import { type Server, startServer } from './processes.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BUNDLE = join(ROOT, '.cache', 'bench');
/** As the image of the inference service starts it. */
const NODE_FLAGS = ['--max-semi-space-size=4'];
const MALLOC = ['MALLOC_ARENA_MAX=2', 'MALLOC_TRIM_THRESHOLD_=65536'];

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

let bundled: Promise<unknown> | undefined;

/** The servers of this folder as the product ships: in a bundle, which is another program for V8 than the sources are. */
function bundle(): Promise<unknown> {
  const servers = readdirSync(import.meta.dirname).filter((file) => file.endsWith('-server.ts'));
  const entries = servers.map((file): [string, string] => [basename(file, '.ts'), `test/load/${file}`]);
  bundled ??= buildBundle(ROOT, BUNDLE, Object.fromEntries(entries));
  return bundled;
}

/** A script of this folder, `NAME-server`, which prints its URL, and maybe a key and where it listens for gRPC. */
export async function startPinned(
  pin: readonly string[],
  script: string,
  ...args: readonly string[]
): Promise<PinnedServer> {
  await bundle();
  const entry = join(BUNDLE, 'entries', `${script}.mjs`);
  const server = await startServer('env', [...MALLOC, ...pin, process.execPath, ...NODE_FLAGS, entry, ...args]);
  const [url = '', key, grpc] = server.url.split(' ');
  return { url, key, grpc, pid: server.pid, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
