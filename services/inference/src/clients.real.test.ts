/** The clients of Triton and KServe as they are published, unchanged, by every operation that they have for a model. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Flags, type InferenceUnderTest, serveStatic, temporaryFolder } from './inference-under-test.ts';
import { identityModel, versionModel } from './models-under-test.ts';
import { openTls } from './tls-under-test.ts';

const ROOT = new URL('../../../', import.meta.url);
const run = promisify(execFile);
const resources = new AsyncDisposableStack();

async function serve(flags: Flags): Promise<InferenceUnderTest> {
  const { path: dir } = resources.use(await temporaryFolder());
  const [identity, version] = [await identityModel(dir), await versionModel(dir, 7)];
  const models = [
    { name: 'identity', path: identity.dir },
    { name: 'seven', path: version.dir },
  ];
  return resources.use(await serveStatic(dir, models, flags));
}

/** The operations that a script of test/clients says have passed. */
async function passed(script: string, args: readonly string[], caFile?: string): Promise<string[]> {
  const { stdout } = await run('python3', [fileURLToPath(new URL(`test/clients/${script}`, ROOT)), ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      PYTHONPATH: fileURLToPath(new URL('.cache/python-inference-clients', ROOT)),
      ...(caFile === undefined ? {} : { SSL_CERT_FILE: caFile }),
    },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

const TRITON = [
  'is_server_live',
  'is_server_ready',
  'is_model_ready',
  'is_model_ready, version',
  'get_server_metadata',
  'get_model_metadata',
  'get_model_config',
  'get_model_repository_index',
  'load_model: refused, the registry is named',
  'unload_model: refused, the registry is named',
  'infer, as it comes',
  'infer, binary in, binary out',
  'infer, binary in, JSON out',
  'infer, JSON in, binary out',
  'infer, JSON in, JSON out',
  'infer, version',
  'infer, request id',
  'infer, gzip',
  'infer, deflate',
  'infer, an answer that is compressed',
  'infer, classification',
  'infer, unknown model: refused',
  'get_inference_statistics',
];

describe.each(['with the lane', 'without the lane', 'over TLS'])('%s', (way) => {
  let inference: InferenceUnderTest;
  let caFile: string | undefined;
  beforeAll(async () => {
    const tls = way === 'over TLS' ? resources.use(await openTls()) : undefined;
    caFile = tls?.certificates.caFile;
    inference = await serve({ lane: way !== 'without the lane', ...tls?.flags });
  });
  const triton = (flavour: string): Promise<string[]> => {
    const trust = caFile === undefined ? [] : [caFile];
    return passed('triton_http.py', [new URL(inference.url).host, flavour, ...trust]);
  };

  test('tritonclient.http', async () => {
    expect(await triton('sync')).toEqual([...TRITON, 'async_infer']);
  });

  test('tritonclient.http.aio', async () => {
    expect(await triton('aio')).toEqual(TRITON);
  });

  test("KServe's InferenceRESTClient", async () => {
    expect(await passed('kserve_rest.py', [inference.url], caFile)).toEqual([
      'is_server_live',
      'is_server_ready',
      'is_model_ready',
      'infer, JSON',
      'infer, binary',
      'infer, a wrong datatype: refused with the reason',
    ]);
  });
});

afterAll(() => resources.disposeAsync());
