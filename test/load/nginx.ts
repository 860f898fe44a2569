/** Debian's nginx in front of a server: keep-alive connections on both of its sides, one worker, no logs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from '../parts/ports.ts';

const START_WITHIN_MS = 5000;

/** Where it is; undefined where the machine has none. */
export function findNginx(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path));
}

export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

export interface NginxOptions {
  /** What puts it on a core: the words before a command. */
  readonly pin: readonly string[];
  /** A path that has connections of its own to the server. */
  readonly apart?: string | undefined;
}

export async function startNginx(nginx: string, upstreamUrl: string, options: NginxOptions): Promise<Nginx> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-nginx-'));
  const port = await freePorts(1);
  await writeFile(join(dir, 'nginx.conf'), configuration(dir, port, new URL(upstreamUrl).host, options.apart));
  const words = [...options.pin, nginx, '-p', dir, '-e', join(dir, 'error.log'), '-c', join(dir, 'nginx.conf')];
  const child = spawn('env', words, { stdio: 'inherit' });
  const ended = once(child, 'close');
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await untilListening(port, child);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

function configuration(dir: string, port: number, server: string, apart: string | undefined): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${dir}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.map((what) => `${what}_temp_path ${dir}/${what};`).join('\n  ')}
  keepalive_requests 1000000;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream all { server ${server}; keepalive 64; }
  upstream others { server ${server}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://all; }
    ${apart === undefined ? '' : `location = ${apart} { proxy_pass http://others; }`}
  }
}
`;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + START_WITHIN_MS; Date.now() < deadline; await delay(20)) {
    if (child.exitCode !== null) break;
    const socket = connect(port, '127.0.0.1');
    const isThere = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (isThere) return;
  }
  throw new Error('nginx does not listen');
}
