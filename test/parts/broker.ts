/** A real Apache Kafka broker (KRaft) on loopback, by test/parts/kafka. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts } from './ports.ts';

const run = promisify(execFile);
export const KAFKA_TOOL = fileURLToPath(new URL('./kafka/kafka', import.meta.url));

export interface Broker extends AsyncDisposable {
  readonly bootstrap: string;
  /** Stops the node and starts it again on the same data. */
  restart(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface BrokerOptions {
  /** Lines for server.properties, later than its own; given the client port, whose next one is the controller's. */
  readonly settings?: readonly string[] | ((port: number) => readonly string[]);
}

export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-kafka-'));
  const port = await freePorts(2); // the broker's and the controller's
  const { settings: given = [] } = options;
  const settings = (typeof given === 'function' ? given(port) : given).flatMap((setting) => ['--set', setting]);
  const tool = (...args: string[]) => run(KAFKA_TOOL, [...args, '--dir', dir], { maxBuffer: 1 << 24 });
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
