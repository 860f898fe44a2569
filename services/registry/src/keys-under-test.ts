/** For the tests of this service: a registry whose callers need keys, and calls with any of them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreatedKey, CreateKey } from '@assay/contracts';
import { formatKeyText, newSecret } from '@assay/http';
import { newId } from '@assay/runtime';
import { expect } from 'vitest';
import { type RegistryUnderTest, startRegistry } from './registry-under-test.ts';

export interface KeyedRegistry extends AsyncDisposable {
  readonly url: string;
  readonly dir: string;
  readonly keysDir: string;
  /** The texts of the bootstrap keys, by principal. */
  readonly keys: Readonly<Record<string, string>>;
  /** `body` is what the route is documented to answer; undefined for what is no JSON. */
  call(
    key: string | undefined,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: ReturnType<typeof JSON.parse>; text: string }>;
  /** Makes a key as the administrator, and gives its text and id. */
  makeKey(body: Partial<CreateKey>): Promise<CreatedKey>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
  restart(): Promise<void>;
}

export function newKeyText(): string {
  return formatKeyText({ id: newId('key'), secret: newSecret() });
}

export async function writeKeys(
  keysDir: string,
  names: readonly string[] = ['admin', 'inference', 'training'],
): Promise<Record<string, string>> {
  await mkdir(keysDir, { recursive: true });
  const keys: Record<string, string> = {};
  for (const name of names) {
    keys[name] = newKeyText();
    await writeFile(join(keysDir, name), `${keys[name]}\n`);
  }
  return keys;
}

export async function startKeyedRegistry(flags: Record<string, unknown> = {}): Promise<KeyedRegistry> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-registry-'));
  const keysDir = join(dir, 'keys');
  const keys = await writeKeys(keysDir);
  const start = () =>
    startRegistry({ dir, flags: { bootstrapKeysDir: keysDir, ...flags }, deps: { checkPackage: async () => {} } });
  let running: RegistryUnderTest = await start();
  const keyed: KeyedRegistry = {
    get url() {
      return running.url.replace('0.0.0.0', '127.0.0.1');
    },
    dir,
    keysDir,
    keys,
    async call(key, method, path, body) {
      const response = await fetch(`${keyed.url}${path}`, {
        method,
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = text !== '' && response.headers.get('content-type')?.startsWith('application/json') === true;
      return { status: response.status, body: isJson ? JSON.parse(text) : undefined, text };
    },
    async makeKey(body) {
      const made = await keyed.call(keys.admin, 'POST', '/v1/keys', { principal: 'alice', scopes: ['read'], ...body });
      expect(made.text).toContain('"secret"');
      return made.body;
    },
    metrics: async () => (await keyed.call(keys.admin, 'GET', '/metrics')).text,
    stop: () => running.stop(),
    async restart() {
      await running.stop();
      running = await start();
    },
    async [Symbol.asyncDispose]() {
      await running.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return keyed;
}
