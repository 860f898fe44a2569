import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Postgres, startPostgres } from '@assay/database/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEventBus } from './conformance.ts';
import { openDatabaseEventBus } from './index.ts';

let server: Postgres;
let schemas = 0;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

describeEventBus('PostgreSQL', async () => {
  const url = server.url(`events_${++schemas}`);
  const log = { warn: () => undefined, error: () => undefined };
  return {
    connect: () => openDatabaseEventBus({ url, log, pollMs: 20 }),
    cleanup: async () => undefined, // the server is removed with all its schemas
  };
});

const program = fileURLToPath(new URL('./fixtures/working-service.ts', import.meta.url));

it('loses no acknowledged event, and skips none, when a member of a group is killed with -9 at work', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-events-'));
  const url = `sqlite:${join(dir, 'events.sqlite')}`;
  const service = spawn(process.execPath, [program, url, '1000000'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let printed = '';
    service.stdout.on('data', (data: Buffer) => {
      printed += data.toString();
    });
    const numbers = (what: string) =>
      [...printed.matchAll(new RegExp(`^${what} (\\d+)\n`, 'gm'))].map((m) => Number(m[1]));
    await expect.poll(() => numbers('handled').length, { timeout: 60_000 }).toBeGreaterThan(40);
    service.kill('SIGKILL');
    await once(service, 'close');

    const published = numbers('published').length;
    const handledBefore = numbers('handled');
    const seen: number[] = [];
    const bus = await openDatabaseEventBus({ url, log: { warn: console.error, error: console.error }, pollMs: 20 });
    await bus.subscribe(
      { topics: ['assay.test.v1'], delivery: { group: 'g' }, from: 'latest' },
      async ({ sequence }) => {
        seen.push(sequence);
      },
    );
    await expect.poll(() => seen.at(-1), { timeout: 60_000 }).toBeGreaterThanOrEqual(published - 1);
    await bus.close();
    const [first = -1] = seen;
    expect(first).toBeLessThanOrEqual(handledBefore.length); // some are handled twice, and none is left out between
    expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => first + i));
  } finally {
    service.kill('SIGKILL');
    await rm(dir, { recursive: true });
  }
});
