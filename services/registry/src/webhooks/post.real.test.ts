import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { post } from './post.ts';
import { webhookNetworks } from './target.ts';

const networks = webhookNetworks(['127.0.0.0/8', '::1/128']);
const message = { headers: { 'webhook-id': 'evt_1' }, body: '{"a":1}' };
const options = { networks, timeoutMs: 5000, signal: new AbortController().signal };

let dir: string;
let tls: { key: string; cert: string };
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-tls-'));
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await promisify(execFile)('openssl', [...kind, ...names, '-keyout', keyFile, '-out', certFile]);
  tls = { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') };
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port; // listening on TCP
}

describe('posting to a receiver', () => {
  it('over TLS needs a certificate of an authority that is trusted', async () => {
    const seen: unknown[] = [];
    const port = await serve((request, response) => {
      seen.push(request.headers['webhook-id'], request.method, request.url);
      response.writeHead(204).end();
    });
    const answer = await post(`https://localhost:${port}/hook?x=1`, message, options);
    expect([answer.status, answer.error]).toEqual([undefined, expect.stringMatching(/self-signed certificate/)]);
    expect(seen).toEqual([]);

    const trusted = getCACertificates();
    setDefaultCACertificates([...trusted, tls.cert]);
    cleanups.push(async () => setDefaultCACertificates(trusted));
    for (const host of ['localhost', '127.0.0.1'])
      expect(await post(`https://${host}:${port}/hook?x=1`, message, options)).toMatchObject({ status: 204 });
    expect(seen).toEqual(['evt_1', 'POST', '/hook?x=1', 'evt_1', 'POST', '/hook?x=1']);
  });

  it('tells why no answer came: nobody listens, no such name, an address that may not be reached', async () => {
    const port = await serve(() => {});
    for (const cleanup of cleanups.splice(0)) await cleanup();
    const errorOf = async (url: string, permitted = networks) =>
      (await post(url, message, { ...options, networks: permitted })).error;
    expect(await errorOf(`https://127.0.0.1:${port}/`)).toContain('ECONNREFUSED');
    expect(await errorOf('https://nowhere.invalid/')).toMatch(/ENOTFOUND|EAI_AGAIN/);
    expect(await errorOf(`https://localhost:${port}/`, webhookNetworks([]))).toContain('no public address');
    expect(await errorOf(`https://127.0.0.1:${port}/`, webhookNetworks([]))).toContain('no public address');
  });

  it('ends when it is told to', async () => {
    const stopping = new AbortController();
    const trusted = getCACertificates();
    setDefaultCACertificates([...trusted, tls.cert]);
    cleanups.push(async () => setDefaultCACertificates(trusted));
    const port = await serve(() => stopping.abort(new Error('the registry stops'))); // and no answer
    const answer = await post(`https://localhost:${port}/`, message, { ...options, signal: stopping.signal });
    expect(answer).toMatchObject({ error: expect.not.stringContaining('no whole answer within') });
    expect(answer.status).toBeUndefined();
  });
});
