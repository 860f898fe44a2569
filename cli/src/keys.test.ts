import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiKey } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { assay, fakeServices } from './fake-services.ts';

const TEXT = `assay_key_1_${'s'.repeat(43)}`;
const key: ApiKey = {
  id: 'key_1',
  principalId: 'prn_1',
  principalName: 'alice',
  principalKind: 'person',
  scopes: ['score', 'read'],
  endpoints: ['churn'],
  description: 'laptop',
  revision: 1,
  createdAt: 0,
  createdBy: 'admin',
  revokedAt: null,
  revokedBy: null,
};
const revoked: ApiKey = { ...key, id: 'key_0', revokedAt: 1000, revokedBy: 'admin' };

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function services(routes: Parameters<typeof fakeServices>[0]) {
  const made = await fakeServices(routes);
  cleanups.push(() => made.close());
  return made;
}

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-cli-keys-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A registry that says which key it was shown. */
async function listener(): Promise<{ url: string; shown: (string | undefined)[] }> {
  const shown: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    shown.push(request.headers.authorization);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":[]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo; // listening on TCP
  return { url: `http://127.0.0.1:${port}`, shown };
}

describe('assay keys', () => {
  test('create prints the text alone on standard output, so that it can be piped to where it belongs', async () => {
    const { url, requests } = await services({ 'POST /v1/keys': [201, { key, secret: TEXT }] });
    const args = [
      'keys',
      'create',
      'alice',
      '--scopes',
      'score, read',
      '--endpoints',
      'churn',
      '--service',
      '--registry',
      url,
    ];
    const { code, out, err } = await assay(args);
    expect(code).toBe(0);
    expect(out).toBe(`${TEXT}\n`);
    expect(err).toContain('key_1 of alice (score, read). It is shown this once');
    expect(requests[0]?.body).toEqual({
      principal: 'alice',
      kind: 'service',
      scopes: ['score', 'read'],
      endpoints: ['churn'],
    });
  });

  test('create knows the scopes', async () => {
    const { code, err } = await assay([
      'keys',
      'create',
      'alice',
      '--scopes',
      'scor',
      '--registry',
      'http://127.0.0.1:1',
    ]);
    expect(code).not.toBe(0);
    expect(err).toContain('there is no scope "scor"; did you mean "score"?');
    expect((await assay(['keys', 'create', 'alice'])).err).toContain("'--scopes <list>' not specified");
  });

  test('list shows the keys that hold, from every page; with --all the revoked ones too', async () => {
    const { url } = await services({ 'GET /v1/keys': [200, { items: [revoked, key] }] });
    const held = await assay(['keys', 'list', '--registry', url]);
    expect(held.out).toMatch(/^ID +PRINCIPAL +SCOPES/);
    expect(held.out).toMatch(/key_1 +alice +score,read +churn +1970-01-01 00:00:00 +- +laptop/);
    expect(held.out).not.toContain('key_0');
    expect((await assay(['keys', 'list', '--all', '--registry', url])).out).toContain('key_0');
    const { items } = JSON.parse((await assay(['keys', 'list', '--json', '--registry', url])).out);
    expect(items).toEqual([key]);
  });

  test('show and revoke name one key', async () => {
    const { url } = await services({
      'GET /v1/keys/key_1': [200, key],
      'POST /v1/keys/key_1/revoke': [200, { ...key, revokedAt: 1000, revokedBy: 'admin' }],
    });
    expect((await assay(['keys', 'show', 'key_1', '--registry', url])).out).toMatch(
      /^id +key_1\nprincipal +alice \(person, prn_1\)/,
    );
    expect((await assay(['keys', 'revoke', 'key_1', '--registry', url])).out).toBe(
      'Key key_1 of alice is revoked. Services refuse it within 5 s.\n',
    );
    expect((await assay(['keys', 'show', 'key_2', '--registry', url])).code).not.toBe(0);
  });

  test('init makes a folder of keys for its owner alone, and leaves what is there', { timeout: 30_000 }, async () => {
    const cwd = await folder();
    const first = await assay(['keys', 'init', 'keys'], { cwd });
    expect(first.out).toContain(`Made in ${join(cwd, 'keys')}: admin, inference, training, batch, monitoring, metrics`);
    const texts = new Map<string, string>();
    for (const name of await readdir(join(cwd, 'keys'))) {
      texts.set(name, await readFile(join(cwd, 'keys', name), 'utf8'));
      expect((await stat(join(cwd, 'keys', name))).mode & 0o777).toBe(0o600);
    }
    expect(new Set(texts.values()).size).toBe(6);
    expect(first.out).not.toContain(texts.get('admin')?.trim().slice(-43));
    await rm(join(cwd, 'keys', 'batch'));
    const second = await assay(['keys', 'init', 'keys'], { cwd });
    expect(second.out).toMatch(/: batch\n.*left as they are: admin, inference, training, monitoring, metrics/s);
    expect(await readFile(join(cwd, 'keys', 'admin'), 'utf8')).toBe(texts.get('admin'));
    const inFile = await assay(['keys', 'init', 'keys/admin/more'], { cwd });
    expect(inFile.code).toBe(2);
    expect(inFile.err).toContain('keys/admin/more cannot be written: a part of that path is a file');
  });
});

describe('the key of a command', () => {
  test('is that of the environment, or of the file that it names', async () => {
    const { url, shown } = await listener();
    const cwd = await folder();
    await writeFile(join(cwd, 'key'), `${TEXT}\n`);
    await assay(['models', '--registry', url], { env: { ASSAY_API_KEY: TEXT } });
    await assay(['models', '--registry', url], { env: { ASSAY_API_KEY_FILE: 'key' }, cwd });
    await assay(['models', '--registry', url]);
    expect(shown).toEqual([`Bearer ${TEXT}`, `Bearer ${TEXT}`, undefined]);
  });

  test("beside an Assay that runs here is its administrator's, and goes nowhere else", async () => {
    const { url, shown } = await listener();
    const dataDir = await folder();
    await mkdir(join(dataDir, 'keys'));
    await writeFile(join(dataDir, 'keys', 'admin'), `${TEXT}\n`);
    const services = { registry: { http: url } };
    await writeFile(join(dataDir, 'run.json'), JSON.stringify({ pid: process.pid, version: '1', services }));
    await assay(['models', '--data-dir', dataDir]);
    await assay(['models', '--data-dir', dataDir, '--registry', url]);
    expect(shown).toEqual([`Bearer ${TEXT}`, undefined]);
  });

  test('in a file that cannot be read, or given twice, is a mistake that is told', async () => {
    const missing = await assay(['models', '--registry', 'http://127.0.0.1:1'], {
      env: { ASSAY_API_KEY_FILE: '/nowhere/key' },
    });
    expect(missing.err).toContain('ASSAY_API_KEY_FILE names /nowhere/key, which cannot be read');
    const twice = await assay(['models', '--registry', 'http://127.0.0.1:1'], {
      env: { ASSAY_API_KEY: TEXT, ASSAY_API_KEY_FILE: 'key' },
    });
    expect(twice.err).toContain('both ASSAY_API_KEY and ASSAY_API_KEY_FILE are set');
    expect(twice.err).not.toContain(TEXT);
  });
});
