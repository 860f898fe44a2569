/** For this package's tests: one HTTP server that answers for all services, and a command line whose words are kept. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Io } from './io.ts';
import { runCli } from './run-cli.ts';

export interface FakeServices {
  readonly url: string;
  /** `METHOD path`, the body and the headers of every request so far. */
  readonly requests: { readonly line: string; readonly body: unknown; readonly headers: IncomingHttpHeaders }[];
  close(): Promise<void>;
}

/** `routes`: `METHOD path` → `[status, body]`, or a function of the request's body. */
export async function fakeServices(
  routes: Readonly<Record<string, readonly [number, unknown] | ((body: unknown) => readonly [number, unknown])>>,
): Promise<FakeServices> {
  const requests: FakeServices['requests'] = [];
  const server = createServer((request, response) => void answer(request, response));
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const isJson = request.headers['content-type'] === 'application/json';
    const body: unknown = isJson && text !== '' ? JSON.parse(text) : text;
    const line = `${request.method} ${request.url?.split('?')[0]}`;
    requests.push({ line, body, headers: request.headers });
    const route = routes[line] ?? [404, notFound(line)];
    const [status, content] = typeof route === 'function' ? route(body) : route;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(content));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function notFound(what: string): unknown {
  return {
    error: { code: 'NOT_FOUND', message: `there is no ${what}`, details: [], requestId: 'r', retryable: false },
  };
}

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `assay …` in this process. */
export async function assay(args: readonly string[], io: Partial<Io> = {}): Promise<Run> {
  let out = '';
  let err = '';
  const code = await runCli(args, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    env: {},
    cwd: process.cwd(),
    readStdin: async () => '',
    signal: new AbortController().signal,
    ...io,
  });
  return { code, out, err };
}
