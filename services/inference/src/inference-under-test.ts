/** For the tests of this service: the real service on a free port. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, loadConfig, type Service } from '@assay/runtime';
import { type InferenceConfig, inferenceConfig } from './config.ts';
import type { ModelSource } from './routing/open-source.ts';
import { createStaticModels, type StaticModel } from './routing/static-source.ts';
import { createService } from './service.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly bytes: Buffer;
  /** As JSON.parse reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into the body as it expects it to be
  readonly body: any;
}

export interface InferenceUnderTest {
  readonly url: string;
  readonly service: Service;
  /** `body` is sent as it is when it is text or bytes, else as JSON. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  get(path: string): Promise<Answer>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type Flags = Readonly<Record<string, unknown>>;

/** A temporary folder that goes away at the end of its scope. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'assay-inference-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export async function serveStatic(
  dir: string,
  models: readonly StaticModel[],
  flags: Flags = {},
): Promise<InferenceUnderTest> {
  return serveModels(dir, await createStaticModels(models, { workDir: join(dir, 'made') }), flags);
}

export async function serveModels(dir: string, models: ModelSource, flags: Flags = {}): Promise<InferenceUnderTest> {
  const config = loadConfig(inferenceConfig, {
    flags: { port: 0, logLevel: 'silent', cacheDir: join(dir, 'cache'), ...flags },
  });
  return startService(await createService(config, { models, log: silent() }));
}

/** @param overrides what no flag can set: secrets, and values beyond the limits of settings */
export async function serveRegistry(
  dir: string,
  registryUrl: string,
  flags: Flags = {},
  overrides: Partial<InferenceConfig> = {},
): Promise<InferenceUnderTest> {
  const config = loadConfig(inferenceConfig, {
    flags: {
      port: 0,
      logLevel: 'silent',
      cacheDir: join(dir, 'cache'),
      registryUrl,
      retryFirstMs: 20,
      retryMaxMs: 200,
      ...flags,
    },
  });
  return startService(await createService({ ...config, ...overrides }, { log: silent() }));
}

function silent() {
  return createLogger({ service: 'inference', level: 'silent' });
}

async function startService(service: Service): Promise<InferenceUnderTest> {
  try {
    await service.start();
  } catch (error) {
    await service.close();
    throw error;
  }
  const url = service.addresses.http ?? '';
  const call = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(`${url}${path}`, init);
    const bytes = Buffer.from(await response.arrayBuffer());
    const text = bytes.toString();
    return { status: response.status, headers: response.headers, text, bytes, body: parsed(text) };
  };
  return {
    url,
    service,
    post(path, body, headers = {}) {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array;
      return call(path, {
        method: 'POST',
        // Copied, since fetch's types want a buffer that is not shared.
        body: isRaw ? (typeof body === 'string' ? body : new Uint8Array(body)) : JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      });
    },
    get: (path) => call(path, {}),
    [Symbol.asyncDispose]: () => service.close(),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
