import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { Agent, type RequestOptions, request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type PeerCertificate } from 'node:tls';
import { promisify } from 'node:util';
import { createRegistry, defineConfig } from '@assay/runtime';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { appUnderTest } from './app-under-test.ts';
import { drainAndClose } from './drain.ts';
import { listen } from './listen.ts';
import { openServerTls } from './server-tls.ts';
import { type Certificates, makeCertificates } from './testing/certificates.ts';
import { type TlsConfig, tlsSettings } from './tls-config.ts';

const definition = defineConfig('sample', tlsSettings);
const NONE: TlsConfig = { tlsCertFile: undefined, tlsKeyFile: undefined, tlsClientCaFile: undefined };

let dir: string;
let certificates: Certificates;
let own: TlsConfig;
let ca: Buffer;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-tls-'));
  certificates = await makeCertificates(dir);
  own = { ...NONE, tlsCertFile: certificates.serverCertFile, tlsKeyFile: certificates.serverKeyFile };
  ca = await readFile(certificates.caFile);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function start(config: TlsConfig = own, limits: { headersTimeoutMs?: number } = {}) {
  const registry = createRegistry();
  const tls = await openServerTls(definition, config, { lookMs: 20 });
  const { app, lines } = appUnderTest({ registry, tls, limits });
  const url = await listen(app, { host: '127.0.0.1', port: 0 });
  cleanups.push(() => drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 0 }));
  return { app, url, lines, port: Number(new URL(url).port), metrics: () => registry.metrics() };
}

/** One request on a connection of its own. */
async function get(url: string, options: RequestOptions = {}): Promise<number | undefined> {
  const sent = request(`${url}/livez`, { ca, agent: false, ...options }).end();
  const [response] = await once(sent, 'response');
  for await (const _chunk of response);
  return response.statusCode;
}

/** The certificate that is served now. */
async function served(port: number): Promise<PeerCertificate> {
  const socket = connect({ port, host: '127.0.0.1', ca });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

describe('TLS', () => {
  test('is spoken to clients that trust the authority, by another scheme in the URL', async () => {
    const { url, metrics } = await start();
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(await get(url)).toBe(200);
    await expect(get(url, { ca: await readFile(certificates.otherCaFile) })).rejects.toThrow(/unable to verify/);
    expect(await metrics()).toMatch(/assay_tls_certificate_expiration_timestamp_seconds 1\d{9}\n/);
  });

  test('is understood by curl, which also names a wrong authority', async () => {
    const { url } = await start();
    const curl = (caFile: string) => promisify(execFile)('curl', ['-sS', '--cacert', caFile, `${url}/livez`]);
    expect((await curl(certificates.caFile)).stdout).toBe('{"status":"ok"}');
    await expect(curl(certificates.otherCaFile)).rejects.toThrow(/SSL certificate problem/);
  });

  test('is of version 1.2 or later, with HTTP/1.1 in it', async () => {
    const { port } = await start();
    const handshake = async (options: ConnectionOptions) => {
      const socket = connect({ port, host: '127.0.0.1', ca, ...options });
      await once(socket, 'secureConnect');
      const spoken = [socket.getProtocol(), socket.alpnProtocol];
      socket.destroy();
      return spoken;
    };
    expect(await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).toEqual(['TLSv1.3', 'http/1.1']);
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toEqual(['TLSv1.2', false]);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(handshake(old)).rejects.toThrow(/alert protocol version/);
  });

  test('is not answered in plain text, and what fails before it is encrypted is counted', async () => {
    const { port, metrics, app } = await start(own, { headersTimeoutMs: 200 });
    const plain = connectTcp(port, '127.0.0.1');
    plain.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const silent = connectTcp(port, '127.0.0.1');
    const received: unknown[] = [];
    for (const socket of [plain, silent]) socket.on('data', (chunk) => received.push(chunk));
    await Promise.all([plain, silent].map((socket) => once(socket, 'close')));
    expect(received).toEqual([]);
    expect(await metrics()).toContain('assay_tls_handshakes_failed_total 2\n');
    expect(await metrics()).not.toMatch(/assay_http_parser_errors_total\{/);
    expect(app.server.listening).toBe(true);
  });

  test('keeps count of connections and drains them as without it', async () => {
    const { app, url, port, metrics } = await start();
    const agent = new Agent({ keepAlive: true });
    const sockets = [connectTcp(port, '127.0.0.1'), connect({ port, host: '127.0.0.1', ca })];
    const ended = sockets.map((socket) =>
      once(
        socket.resume().on('error', () => {}),
        'close',
      ),
    );
    expect(await get(url, { agent })).toBe(200);
    await expect.poll(metrics).toContain('assay_http_connections 3\n');
    expect(await drainAndClose(app, { drainDelayMs: 0, closeTimeoutMs: 5000 })).toEqual({ cutOff: 0 });
    await Promise.all(ended);
    expect(await metrics()).toContain('assay_http_connections 0\n');
    agent.destroy();
  });
});

describe('mutual TLS', () => {
  test('lets in who shows a certificate of the authority, and nobody else', async () => {
    const { url, metrics } = await start({ ...own, tlsClientCaFile: certificates.caFile });
    const [cert, key] = [await readFile(certificates.clientCertFile), await readFile(certificates.clientKeyFile)];
    expect(await get(url, { cert, key })).toBe(200);
    await expect(get(url)).rejects.toThrow();
    const other = { cert: await readFile(certificates.otherCaFile), key: await readFile(join(dir, 'other.key')) };
    await expect(get(url, other)).rejects.toThrow();
    await expect.poll(metrics).toContain('assay_tls_handshakes_failed_total 2\n');
  });
});

describe('settings that cannot be right end the start in one line', () => {
  const failing = (config: Partial<TlsConfig>) => openServerTls(definition, { ...own, ...config });
  const wrong = (message: RegExp) => ({ code: 'FAILED_PRECONDITION', message: expect.stringMatching(message) });

  test('nothing set is no TLS', async () => {
    expect(await openServerTls(definition, NONE)).toBeUndefined();
  });

  test.each([
    [{ tlsKeyFile: undefined }, /ASSAY_SAMPLE_TLS_CERT_FILE and ASSAY_SAMPLE_TLS_KEY_FILE belong together/],
    [{ tlsCertFile: undefined }, /ASSAY_SAMPLE_TLS_CERT_FILE and ASSAY_SAMPLE_TLS_KEY_FILE belong together/],
    [{ ...NONE, tlsClientCaFile: '/x' }, /^TLS: ASSAY_SAMPLE_TLS_CLIENT_CA_FILE needs ASSAY_SAMPLE_TLS_CERT_FILE and/],
    [{ tlsCertFile: '/no/such' }, /^TLS: there is no file \/no\/such \(ASSAY_SAMPLE_TLS_CERT_FILE\)$/],
    [{ tlsKeyFile: tmpdir() }, / is a folder; expected a file \(ASSAY_SAMPLE_TLS_KEY_FILE\)$/],
  ] as const)('%j', async (config, message) => {
    await expect(failing(config)).rejects.toMatchObject(wrong(message));
  });

  test('files that hold something else, or another key', async () => {
    const { serverCertFile, serverKeyFile, clientKeyFile } = certificates;
    const garbage = join(dir, 'garbage');
    await writeFile(garbage, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    await expect(failing({ tlsCertFile: serverKeyFile })).rejects.toMatchObject(wrong(/holds no certificate in PEM/));
    await expect(failing({ tlsCertFile: garbage })).rejects.toMatchObject(wrong(/holds no certificate in PEM/));
    await expect(failing({ tlsKeyFile: serverCertFile })).rejects.toMatchObject(wrong(/holds no private key without/));
    await expect(failing({ tlsClientCaFile: serverKeyFile })).rejects.toMatchObject(wrong(/holds no certificate/));
    await expect(failing({ tlsKeyFile: clientKeyFile })).rejects.toMatchObject(
      wrong(/the key in .*client\.key \(ASSAY_SAMPLE_TLS_KEY_FILE\) is not that of the certificate in .*server\.pem/),
    );
    await writeFile(garbage, 'no PEM at all');
    await expect(failing({ tlsCertFile: garbage })).rejects.toMatchObject(
      wrong(/garbage .* holds no certificate in PEM$/),
    );
  });
});

describe('a renewal', () => {
  /** As Kubernetes lays a Secret: the folder is a link, which is replaced. */
  async function mounted() {
    const volume = await mkdtemp(join(dir, 'volume-'));
    let count = 0;
    const swap = async (files: { readonly cert: string | Buffer; readonly key: string | Buffer }) => {
      const version = await mkdtemp(join(volume, 'version-'));
      await writeFile(join(version, 'tls.crt'), files.cert);
      await writeFile(join(version, 'tls.key'), files.key);
      const link = join(volume, `link-${count++}`);
      await symlink(version, link);
      await rename(link, join(volume, '..data'));
    };
    await swap({ cert: await readFile(certificates.serverCertFile), key: await readFile(certificates.serverKeyFile) });
    return {
      swap,
      config: {
        ...NONE,
        tlsCertFile: join(volume, '..data', 'tls.crt'),
        tlsKeyFile: join(volume, '..data', 'tls.key'),
      },
    };
  }

  test('is served to new connections while requests come, none of which fails', async () => {
    const { swap, config } = await mounted();
    const { url, port, metrics, lines } = await start(config);
    const before = await served(port);
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    let goesOn = true;
    const answers = Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        let count = 0;
        for (; goesOn; count++) expect(await get(url, i < 4 ? { agent } : {})).toBe(200);
        return count;
      }),
    );
    for (let renewal = 1; renewal <= 3; renewal++) {
      await swap(await certificates.renewServer());
      await expect.poll(metrics).toContain(`assay_tls_reloads_total{outcome="loaded"} ${renewal}\n`);
    }
    goesOn = false;
    for (const count of await answers) expect(count).toBeGreaterThan(3);
    expect((await served(port)).fingerprint256).not.toBe(before.fingerprint256);
    expect(lines.filter(({ msg }) => msg === 'another TLS certificate is served')).toHaveLength(3);
    agent.destroy();
  });

  test('that is wrong is told once and counted, and the certificate before is served until it is right', async () => {
    const { swap, config } = await mounted();
    const { url, port, metrics, lines } = await start(config);
    const before = await served(port);
    const next = await certificates.renewServer();
    const { key: otherKey } = await certificates.renewServer();
    await swap({ cert: next.cert, key: otherKey });
    await expect.poll(metrics).toContain('assay_tls_reloads_total{outcome="failed"} 1\n');
    expect((await served(port)).fingerprint256).toBe(before.fingerprint256);
    expect(await get(url)).toBe(200);
    const told = () => lines.filter(({ level }) => level === 'error');
    expect(told()).toMatchObject([{ err: { message: expect.stringContaining('is not that of the certificate') } }]);
    await swap(next);
    await expect.poll(metrics).toContain('assay_tls_reloads_total{outcome="loaded"} 1\n');
    expect(await metrics()).toContain('assay_tls_reloads_total{outcome="failed"} 1\n');
    expect(told()).toHaveLength(1);
    expect((await served(port)).fingerprint256).not.toBe(before.fingerprint256);
  });
});
