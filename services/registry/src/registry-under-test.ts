/** For the tests of this service: a real registry on a free port and a temporary folder, and packages to register. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ErrorBody, PackageFile, Signature, Version } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { type Lineage, writePackage } from '@assay/model-package';
import { float32Tensor, GraphBuilder } from '@assay/onnx';
import { createLogger, loadConfig, type Service } from '@assay/runtime';
import { registryConfig } from './config.ts';
import { createService } from './index.ts';
import type { RegistryDeps } from './service.ts';
import { databaseUrlOf } from './testing/database.ts';

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export interface RegistryUnderTest {
  readonly url: string;
  readonly dir: string;
  call<T>(method: string, path: string, body?: unknown): Promise<Answer<T>>;
  fails(method: string, path: string, body?: unknown): Promise<Answer<ErrorBody>>;
  put(bytes: Uint8Array, sha256?: string): Promise<Answer<unknown>>;
  upload(made: MadePackage): Promise<void>;
  register(model: string, made: MadePackage, more?: Record<string, unknown>): Promise<Answer<Version>>;
  /** Stops it; the folder stays. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startRegistry(
  options: { dir?: string; flags?: Record<string, unknown>; deps?: Partial<RegistryDeps> } = {},
): Promise<RegistryUnderTest> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'assay-registry-')));
  const config = loadConfig(registryConfig, {
    flags: { port: 0, dataDir: dir, logLevel: 'silent', ...options.flags },
    env: { ASSAY_REGISTRY_DATABASE_URL: databaseUrlOf(dir) },
  });
  const log = createLogger({ service: 'registry', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(dir, 'events.sqlite')}`, log });
  const close = async (service?: Service): Promise<void> => {
    await service?.close();
    await bus.close();
  };
  const removeDir = async (): Promise<void> => {
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  };
  let service: Service | undefined;
  try {
    service = await createService(config, { bus, log, ...options.deps });
    await service.start();
  } catch (error) {
    await close(service);
    await removeDir();
    throw error;
  }
  let stopped = false;
  const registry: RegistryUnderTest = {
    url: service.addresses.http ?? '',
    dir,
    async call<T>(method: string, path: string, body?: unknown) {
      const response = await fetch(`${registry.url}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: (text === '' ? undefined : JSON.parse(text)) as T, // what the route is documented to answer
      };
    },
    fails: (method, path, body) => registry.call<ErrorBody>(method, path, body),
    async put(bytes, sha256 = sha256Of(bytes)) {
      const response = await fetch(`${registry.url}/v1/blobs/${sha256}`, {
        method: 'PUT',
        body: Buffer.from(bytes),
        headers: { 'content-type': 'application/octet-stream' },
      });
      return { status: response.status, headers: response.headers, body: await response.json() };
    },
    async upload(made) {
      for (const bytes of made.contents.values()) await registry.put(bytes);
    },
    async register(model, made, more = {}) {
      await registry.upload(made);
      return registry.call<Version>('POST', `/v1/models/${model}/versions`, { files: made.files, ...more });
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      await close(service);
    },
    async [Symbol.asyncDispose]() {
      await registry.stop();
      await removeDir();
    },
  };
  return registry;
}

export interface MadePackage {
  readonly files: PackageFile[];
  /** By path. */
  readonly contents: Map<string, Uint8Array>;
}

export interface PackageOptions {
  /** What the graph adds to `x`: two packages with different numbers differ in their bytes and their answers. */
  readonly adds?: number;
  /** What assay.json says that the graph adds; other than `adds`, the golden records do not reproduce. */
  readonly promises?: number;
  /** The name of the one feature. */
  readonly feature?: string;
  /** Instead of the graph. */
  readonly onnx?: Uint8Array;
  readonly extraFiles?: Record<string, Uint8Array>;
  /** What assay.json says of how it was made. */
  readonly lineage?: Partial<Lineage>;
}

/** A small package: y = x + `adds`. */
export async function makePackage(options: PackageOptions = {}): Promise<MadePackage> {
  const { adds = 1, promises = adds, feature = 'x', extraFiles = {} } = options;
  const dir = await mkdtemp(join(tmpdir(), 'assay-package-'));
  try {
    const target = join(dir, 'package');
    const written = await writePackage(target, {
      onnx: options.onnx ?? additionGraph(feature, adds),
      signature: signatureOf(feature),
      golden: {
        source: 'example',
        records: [1, 2, 3].map((x) => ({ [feature]: x })),
        outputs: [1, 2, 3].map((x) => ({ y: x + promises })),
        tolerance: { absolute: 1e-6, relative: 1e-6 },
      },
      lineage: { datasetSha256s: [], libraries: {}, metrics: { auc: 0.75 }, ...options.lineage },
      createdAt: '2026-01-01T00:00:00Z',
      extraFiles,
    });
    const contents = new Map<string, Uint8Array>();
    for (const file of written.files) contents.set(file.path, await readFile(join(target, file.path)));
    return { files: written.files, contents };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export function signatureOf(feature: string): Signature {
  return {
    features: [{ name: feature, dtype: 'float32', shape: [], nullable: false }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [] }],
  };
}

function additionGraph(feature: string, adds: number): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input(feature, 'float32', ['N', 1]);
  graph.node('Add', [x, graph.constant(float32Tensor([adds]))], { outputs: ['y'] });
  graph.output('y', 'float32', ['N', 1]);
  return graph.build();
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
