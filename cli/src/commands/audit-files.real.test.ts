/** An export of a real registry, checked without it. */

import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createRegistryClient } from '@assay/client';
import type { AuditCheckpoints } from '@assay/contracts';
import { entryUrl, nodeArguments } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Io } from '../io.ts';
import { exportTo, verify } from './audit-files.ts';

let dir: string;
let url: string;
let stop: () => Promise<void>;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-audit-files-'));
  const entry = fileURLToPath(entryUrl('services/registry', 'registry'));
  const child = spawn(process.execPath, [...nodeArguments(), entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ASSAY_DATA_DIR: join(dir, 'data'),
      ASSAY_LOG_LEVEL: 'silent',
      ASSAY_REGISTRY_PORT: '0',
      ASSAY_REGISTRY_AUDIT_CHECKPOINT_ENTRIES: '1',
    },
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
    expect(await verify(io, { file: 'audit.ndjson' })).toBe(0);
    expect(said.out).toMatch(/^The audit chain holds: 3 entries, head [0-9a-f]{64}\n$/);

    const whole = await readFile(join(dir, 'audit.ndjson'), 'utf8');
    const lines = whole.trimEnd().split('\n');
    const changed = { ...lines, 2: String(lines[2]).replace('model.create', 'model.delete') };
    await writeFile(join(dir, 'changed.ndjson'), Object.values(changed).join('\n'));
    expect(await verify(io, { file: 'changed.ndjson' })).toBe(4);
    expect(said.err).toContain('assay: the audit chain is broken at entry 2: entry 2 was changed');

    await writeFile(join(dir, 'cut.ndjson'), lines.slice(0, -1).join('\n'));
    expect(await verify(io, { file: 'cut.ndjson' })).toBe(4);
    expect(said.err).toContain('broken at entry 3: entries 3 to 3 were removed from the end');
  });

  test('is compared with signed checkpoints, of a bucket or a log, by keys that came another way', async () => {
    const folder = 'data/registry/blobs/audit/checkpoints';
    const names = () => readdir(join(dir, folder)).catch(() => []);
    const ofTheThird = async () => (await names()).find((name) => name.startsWith('0000000000000003'));
    await expect.poll(ofTheThird, { timeout: 20_000 }).toBeDefined();
    const { io, said } = kept();
    await exportTo(io, 'signed.ndjson', { registry: url });
    const answer = await fetch(`${url}/v1/audit/checkpoints`);
    const { keys } = (await answer.json()) as AuditCheckpoints; // as documented
    await writeFile(join(dir, 'keys.pem'), keys.map(({ publicKey }) => publicKey).join(''));
    const compared = { checkpoints: folder, publicKeys: 'keys.pem' };
    expect(await verify(io, { file: 'signed.ndjson', ...compared })).toBe(0);
    expect(said.out).toMatch(/3 entries, \d signed checkpoints, head/);

    // Who can write the database takes the last entry out, and moves the head back: the export itself is a whole chain.
    const [, first = '', second = ''] = (await readFile(join(dir, 'signed.ndjson'), 'utf8')).split('\n');
    const { sequence, hash } = JSON.parse(second) as { sequence: number; hash: string };
    const header = JSON.stringify({ format: 'assay.audit-export.v1', head: { sequence, hash } });
    await writeFile(join(dir, 'shorter.ndjson'), [header, first, second].join('\n'));
    expect(await verify(io, { file: 'shorter.ndjson' })).toBe(0);
    expect(await verify(io, { file: 'shorter.ndjson', ...compared })).toBe(4);
    expect(said.err).toContain('a signed checkpoint names entry 3');

    const checkpoint = JSON.parse(await readFile(join(dir, folder, (await ofTheThird()) ?? ''), 'utf8')) as object;
    const log = [{ msg: 'registry listens' }, { checkpoint, msg: 'audit checkpoint' }];
    await writeFile(join(dir, 'registry.log'), log.map((line) => JSON.stringify(line)).join('\n'));
    expect(await verify(io, { file: 'shorter.ndjson', ...compared, checkpoints: 'registry.log' })).toBe(4);

    const others = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
    await writeFile(join(dir, 'others.pem'), others);
    expect(await verify(io, { file: 'signed.ndjson', ...compared, publicKeys: 'others.pem' })).toBe(4);
    expect(said.err).toContain('is not signed by a key that is trusted');
  });

  test('is not compared with half of what that needs', async () => {
    const { io } = kept();
    await writeFile(join(dir, 'empty.log'), 'nothing\n');
    await writeFile(
      join(dir, 'any.pem'),
      generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }),
    );
    const refused = { code: 'INVALID_ARGUMENT' };
    for (const options of [
      { checkpoints: 'empty.log', publicKeys: 'any.pem' },
      { file: 'audit.ndjson', checkpoints: 'empty.log' },
      { file: 'audit.ndjson', publicKeys: 'any.pem' },
      { file: 'audit.ndjson', checkpoints: 'empty.log', publicKeys: 'any.pem' },
      { file: 'audit.ndjson', checkpoints: 'empty.log', publicKeys: 'empty.log' },
      { file: 'audit.ndjson', checkpoints: 'nowhere', publicKeys: 'any.pem' },
    ])
      await expect(verify(io, options), JSON.stringify(options)).rejects.toMatchObject(refused);
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
    await expect(verify(kept().io, { file: 'none.ndjson' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
