/** A real Apache Kafka broker (KRaft) on loopback, by test/parts/kafka. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const TOOL = fileURLToPath(new URL('./kafka/kafka', import.meta.url));

export interface Broker extends AsyncDisposable {
  readonly bootstrap: string;
  /** Stops the node and starts it again on the same data. */
  restart(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface BrokerOptions {
  /** Lines for server.properties. */
  readonly settings?: readonly string[];
}

export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-kafka-'));
  const port = await twoFreePorts();
  const settings = (options.settings ?? []).flatMap((setting) => ['--set', setting]);
  const tool = (...args: string[]) => run(TOOL, [...args, '--dir', dir], { maxBuffer: 1 << 24 });
  try {
    const { stdout } = await tool('start', '--port', String(port), ...settings);
    return {
      bootstrap: stdout.trim(),
      restart: async () => {
        await tool('node', 'stop', '1');
        await tool('node', 'start', '1');
      },
      kill: async () => void (await tool('node', 'kill', '1')),
      start: async () => void (await tool('node', 'start', '1')),
      [Symbol.asyncDispose]: async () => {
        await tool('stop', '--wipe');
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await tool('stop', '--wipe').catch(() => undefined);
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/** The tool takes a port and the next one: the broker's and the controller's. */
async function twoFreePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = await listenOn(0);
    const port = addressOf(first);
    const second = await listenOn(port + 1).catch(() => undefined);
    first.close();
    second?.close();
    if (second !== undefined) return port;
  }
  throw new Error('no two free ports beside each other');
}

async function listenOn(port: number) {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: Awaited<ReturnType<typeof listenOn>>): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  return address.port;
}
