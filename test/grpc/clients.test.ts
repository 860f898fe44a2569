/**
 * The clients of Triton and of KServe (PyPI) against the gRPC door, unchanged. What they pass is passed-operations.json:
 * what is answered one day is to be listed there. They cannot share a process: both bring the same protobuf file.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveStatic } from '../../services/inference/src/inference-under-test.ts';
import { identityModel } from '../../services/inference/src/models-under-test.ts';
import { openTls } from '../../services/inference/src/tls-under-test.ts';
import { ROOT, temporaryFolder } from '../parts/assay.ts';

const run = promisify(execFile);
const PYTHONPATH = join(ROOT, '.cache/python-inference-clients');
const HERE = fileURLToPath(new URL('.', import.meta.url));

describe('a client from PyPI', () => {
  const resources = new AsyncDisposableStack();
  let address = '';
  let encrypted: readonly [address: string, caFile: string] = ['', ''];

  beforeAll(async () => {
    const { path } = resources.use(await temporaryFolder());
    const { dir } = await identityModel(path);
    const inference = resources.use(await serveStatic(path, [{ name: 'identity', path: dir }], { grpcPort: 0 }));
    address = inference.service.addresses.grpc ?? '';
    const tls = resources.use(await openTls());
    const flags = { grpcPort: 0, ...tls.flags };
    const overTls = resources.use(await serveStatic(`${path}-tls`, [{ name: 'identity', path: dir }], flags));
    encrypted = [overTls.service.addresses.grpc ?? '', tls.certificates.caFile];
  });
  afterAll(() => resources.disposeAsync());

  async function expectPassed(client: string, args: readonly string[]): Promise<void> {
    const expected = JSON.parse(await readFile(join(HERE, 'passed-operations.json'), 'utf8'));
    const { stdout } = await run('python3', [join(HERE, `${client}.py`), ...args], {
      env: { ...process.env, PYTHONPATH },
      timeout: 120_000,
    });
    expect(JSON.parse(stdout)).toEqual(expected[client]);
  }

  it.each(['triton_client', 'kserve_client'])('%s passes what is listed', async (client) => {
    await expectPassed(client, [address]);
  });

  it('triton_client passes the same over TLS', async () => {
    await expectPassed('triton_client', encrypted);
  });
});
