/** The connections of one client, opened by its first call: undici is 1.4 MB of source, and not every client makes a call. */
import { setTimeout as wait } from 'node:timers/promises';
import { AssayError } from '@assay/contracts';
import type { Agent, Dispatcher } from 'undici';

export interface Connections {
  /** @throws UNAVAILABLE after `close` */
  open(): Promise<Dispatcher>;
  /** Waits for calls in flight, for some seconds at most, then closes the connections. */
  close(): Promise<void>;
}

const CLOSE_TIMEOUT_MS = 5000;

export function createConnections(options: Agent.Options): Connections {
  let agent: Promise<Agent> | undefined;
  let closing: Promise<void> | undefined;
  return {
    async open() {
      if (closing !== undefined) throw new AssayError('UNAVAILABLE', 'this client is closed');
      // By the default export: it is CommonJS, of which the bundle has no other.
      agent ??= import('undici').then(({ default: undici }) => new undici.Agent(options));
      return agent;
    },
    close() {
      closing ??= closeAgent(agent);
      return closing;
    },
  };
}

async function closeAgent(opening: Promise<Agent> | undefined): Promise<void> {
  const agent = await opening;
  if (agent === undefined) return;
  const overdue = new AbortController();
  const patience = wait(CLOSE_TIMEOUT_MS, undefined, { signal: overdue.signal }).catch(() => undefined);
  await Promise.race([agent.close(), patience]);
  overdue.abort();
  await agent.destroy(); // nothing to do after an orderly close
}
