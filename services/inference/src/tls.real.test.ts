import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { floatRequest, grpcClient, outputsOf } from './grpc/grpc-under-test.ts';
import { type Flags, type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { versionModel } from './models-under-test.ts';
import { openTls, type TlsUnderTest } from './tls-under-test.ts';

const resources = new AsyncDisposableStack();
let tls: TlsUnderTest;
let models: { readonly name: string; readonly path: string }[];
beforeAll(async () => {
  tls = resources.use(await openTls());
  const { path } = resources.use(await temporaryFolder());
  models = [{ name: 'seven', path: (await versionModel(path, 7)).dir }];
});
afterAll(() => resources.disposeAsync());

/** The fingerprint of what is served there. */
async function certificateAt(address: string): Promise<string> {
  const [host = '', port] = address.split(':');
  const socket = connect({ host, port: Number(port), ca: tls.ca, ALPNProtocols: ['h2', 'http/1.1'] });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** Both doors, by the files that `flags` name. */
async function serve(flags: Flags = {}): Promise<InferenceUnderTest & { readonly grpc: string | undefined }> {
  const folder = await temporaryFolder();
  const inference = await serveStatic(folder.path, models, { grpcPort: 0, ...tls.flags, ...flags });
  return {
    ...inference,
    grpc: inference.service.addresses.grpc,
    async [Symbol.asyncDispose]() {
      await inference[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const SEVEN = { version: '0700000000000000' };
const RECORD = { records: [{ x: 1 }] };

describe('gRPC over TLS', () => {
  test('answers who trusts the authority, and nobody in plain text', async () => {
    await using inference = await serve();
    await using client = grpcClient(inference.grpc, { ca: tls.ca });
    expect(outputsOf(await client.infer(floatRequest('seven', [1])))).toEqual(SEVEN);
    for (const other of [grpcClient(inference.grpc), grpcClient(inference.grpc, { ca: [] })]) {
      await using stranger = other;
      expect((await stranger.infer(floatRequest('seven', [1]))).messages).toEqual([]);
    }
    const { text } = await inference.get('/metrics');
    expect(text).toContain('assay_tls_handshakes_failed_total 2\n');
  });

  test('ends without a call that fails, also on connections that are just encrypted', async () => {
    const inference = await serve({ drainDelayMs: 200 });
    const statuses = new Map<number, number>();
    let goesOn = true;
    const load = Array.from({ length: 8 }, async () => {
      while (goesOn) {
        await using client = grpcClient(inference.grpc, { ca: tls.ca });
        for (let i = 0; i < 5 && goesOn && !client.session.closed; i++) {
          const { status } = await client.infer(floatRequest('seven', [i]));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }
    });
    await expect.poll(() => statuses.get(0)).toBeGreaterThan(20);
    setTimeout(() => {
      goesOn = false; // load balancers have learnt of the drain
    }, 150);
    await inference[Symbol.asyncDispose]();
    await Promise.all(load);
    expect([...statuses.keys()]).toEqual([0]);
  });
});

test('mutual TLS holds at both doors', async () => {
  const { clientCertFile, clientKeyFile, caFile } = tls.certificates;
  await using inference = await serve({ tlsClientCaFile: caFile });
  const own = { ca: tls.ca, cert: await readFile(clientCertFile), key: await readFile(clientKeyFile) };
  await using known = grpcClient(inference.grpc, own);
  await using unknown = grpcClient(inference.grpc, { ca: tls.ca });
  expect(outputsOf(await known.infer(floatRequest('seven', [1])))).toEqual(SEVEN);
  expect((await unknown.infer(floatRequest('seven', [1]))).messages).toEqual([]);
  await expect(inference.post('/v1/endpoints/seven/score', RECORD)).rejects.toThrow(/fetch failed/);
});

test('files that are wrong end the start', async () => {
  const flags = { tlsKeyFile: tls.certificates.clientKeyFile };
  await expect(serve(flags)).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
    message: expect.stringMatching(/ASSAY_INFERENCE_TLS_KEY_FILE\) is not that of the certificate/),
  });
});

test('a renewed certificate is served by both doors, and no request fails meanwhile', async () => {
  await using folder = await temporaryFolder();
  const [tlsCertFile, tlsKeyFile] = [join(folder.path, 'tls.crt'), join(folder.path, 'tls.key')];
  await writeFile(tlsCertFile, await readFile(tls.certificates.serverCertFile));
  await writeFile(tlsKeyFile, await readFile(tls.certificates.serverKeyFile));
  await using inference = await serve({ tlsCertFile, tlsKeyFile });
  const doors = [new URL(inference.url).host, inference.grpc ?? ''];
  const before = await Promise.all(doors.map(certificateAt));
  const next = await tls.certificates.renewServer();
  await writeFile(tlsCertFile, next.cert);
  await writeFile(tlsKeyFile, next.key);
  const renewed = async () => {
    expect((await inference.post('/v1/endpoints/seven/score', RECORD)).status).toBe(200);
    await using client = grpcClient(inference.grpc, { ca: tls.ca });
    expect((await client.infer(floatRequest('seven', [1]))).status).toBe(0);
    const now = await Promise.all(doors.map(certificateAt));
    return now.every((certificate, i) => certificate !== before[i]);
  };
  await expect.poll(renewed, { timeout: 20_000 }).toBe(true);
  expect((await inference.get('/metrics')).text).toContain('assay_tls_reloads_total{outcome="loaded"} 1\n');
});
