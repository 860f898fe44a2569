/** An export of a real registry, checked without it. */

import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRegistryClient } from '@assay/client';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../io.ts';
import { exportTo, verifyFile } from './audit-files.ts';

let dir: string;
let url: string;
let stop: () => Promise<void>;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-audit-files-'));
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ASSAY_DATA_DIR: join(dir, 'data'), ASSAY_LOG_LEVEL: 'silent', ASSAY_REGISTRY_PORT: '0' },
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('the registry ended before it listened')));
  });
  url = /http:\S+/.exec(line)?.[0] ?? '';
  stop = async () => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  await using registry = createRegistryClient({ url });
  for (const name of ['a', 'b', 'c']) await registry.createModel({ name });
});
afterAll(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
});

function kept(): { readonly io: Io; readonly said: { out: string; err: string } } {
  const said = { out: '', err: '' };
  const io: Io = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    env: {},
    cwd: dir,
    readStdin: async () => '',
    signal: new AbortController().signal,
  };
  return { io, said };
}

describe('assay audit export', () => {
  test('writes a file that assay audit verify --file finds whole, and broken once it was changed', async () => {
    await using registry = createRegistryClient({ url });
    // With a database in the data folder the key of checkpoints is made there, too.
    expect(await registry.verifyAudit()).toMatchObject({ valid: true, entries: 3, checkpoints: expect.any(Number) });

    const { io, said } = kept();
    await exportTo(io, 'audit.ndjson', { registry: url });
    expect(await verifyFile(io, 'audit.ndjson', {})).toBe(0);
    expect(said.out).toMatch(/^The audit chain holds: 3 entries, head [0-9a-f]{64}\n$/);

    const whole = await readFile(join(dir, 'audit.ndjson'), 'utf8');
    const lines = whole.trimEnd().split('\n');
    const changed = { ...lines, 2: String(lines[2]).replace('model.create', 'model.delete') };
    await writeFile(join(dir, 'changed.ndjson'), Object.values(changed).join('\n'));
    expect(await verifyFile(io, 'changed.ndjson', {})).toBe(4);
    expect(said.err).toContain('assay: the audit chain is broken at entry 2: entry 2 was changed');

    await writeFile(join(dir, 'cut.ndjson'), lines.slice(0, -1).join('\n'));
    expect(await verifyFile(io, 'cut.ndjson', {})).toBe(4);
    expect(said.err).toContain('broken at entry 3: entries 3 to 3 were removed from the end');
  });

  test('leaves no file where the answer is cut in the middle', async () => {
    const server = createServer((_request, response) => {
      response.write('{"format":"assay.audit-export.v1"');
      response.socket?.destroySoon();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo; // listening on TCP
    try {
      await expect(exportTo(kept().io, 'half.ndjson', { registry: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
      expect((await readdir(dir)).filter((name) => name.startsWith('half'))).toEqual([]);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('of a file that is not there says so', async () => {
    await expect(verifyFile(kept().io, 'none.ndjson', {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
