/**
 * Ports for servers that are stopped and started again at the same address. They are below those that the system gives to
 * outgoing connections (32768 and up by default): of these one is taken by a client while the server is down, even by the
 * very client that tries to reach it.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const FIRST = 15_000;
const LAST = 32_000;

/** The first of `count` free ports in a row. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = randomInt(FIRST, LAST - count);
    if (await areFree(first, count)) return first;
  }
  throw new Error(`no ${count} free ports in a row from ${FIRST} to ${LAST}`);
}

async function areFree(first: number, count: number): Promise<boolean> {
  for (let port = first; port < first + count; port++) {
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      return false; // in use
    } finally {
      server.close();
    }
  }
  return true;
}
