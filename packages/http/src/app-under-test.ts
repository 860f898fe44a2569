/** The real app with nothing behind it, for the tests of this package. */
import { connect, type Socket } from 'node:net';
import { createLogger, createRegistry, type LogLevel } from '@assay/runtime';
import { type App, createHttpApp, type HttpAppOptions } from './app.ts';
import { readyReport } from './health.ts';

export interface AppUnderTest {
  readonly app: App;
  /** Every line that was logged. */
  readonly lines: Record<string, unknown>[];
}

export function appUnderTest(options: Partial<HttpAppOptions> & { level?: LogLevel } = {}): AppUnderTest {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    service: 'sample',
    level: options.level ?? 'info',
    destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
  });
  const app = createHttpApp({
    service: 'sample',
    version: '1.2.3',
    log,
    registry: createRegistry(),
    ready: () => readyReport({ database: true }),
    describe: { title: 'Sample', description: 'For tests.' },
    ...options,
  });
  return { app, lines };
}

/** A connection that writes bytes as they are, and what comes back until it ends. */
export interface RawConnection {
  readonly socket: Socket;
  write(text: string): void;
  /** Resolves when what arrived matches. */
  sees(pattern: RegExp): Promise<string>;
  /** All that arrived until the server closed. */
  readonly closed: Promise<string>;
}

export async function connectRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => {
    received += text;
  });
  socket.on('error', () => {}); // a reset is an end like another; `closed` tells
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(received)));
  await new Promise((resolve) => socket.once('connect', resolve));
  return {
    socket,
    write: (text) => void socket.write(text),
    sees: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (pattern.test(received)) resolve(received);
        };
        socket.on('data', look);
        look();
        void closed.then((all) => reject(new Error(`closed after ${JSON.stringify(all)}`)));
      }),
    closed,
  };
}

/** The status, headers and JSON body of the last answer in a raw text. */
export function lastAnswer(raw: string): { status: number; headers: Record<string, string>; body: unknown } {
  const start = raw.lastIndexOf('HTTP/1.1 ');
  const [head = '', text = ''] = raw.slice(start).split('\r\n\r\n', 2);
  const [statusLine = '', ...headerLines] = head.split('\r\n');
  const headers = Object.fromEntries(
    headerLines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { status: Number(statusLine.split(' ')[1]), headers, body: text === '' ? undefined : JSON.parse(text) };
}
