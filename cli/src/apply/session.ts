/** One run against a registry: its client, and what is asked of it again and again. */
import type { RegistryClient } from '@assay/client';
import { AssayError, type Model, type Page, type Webhook } from '@assay/contracts';

export interface VersionName {
  readonly model: string;
  readonly version: number;
}

export interface Session {
  readonly registry: RegistryClient;
  readonly signal: AbortSignal;
  /** undefined where there is no such version. */
  versionId(named: VersionName): Promise<string | undefined>;
  versionOf(id: string): Promise<VersionName>;
  modelName(id: string): Promise<string>;
  models(): Promise<readonly Model[]>;
  webhooks(): Promise<readonly Webhook[]>;
}

export function openSession(registry: RegistryClient, signal: AbortSignal): Session {
  const remembered = new Map<string, Promise<unknown>>();
  const once = <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const asked = (remembered.get(key) as Promise<T> | undefined) ?? ask(); // what the same key was asked before
    remembered.set(key, asked);
    return asked;
  };
  return {
    registry,
    signal,
    versionId: ({ model, version }) =>
      once(`version ${model}@${version}`, async () => {
        const found = await unlessMissing(registry.getVersion(model, version, { signal }));
        return found?.id;
      }),
    versionOf: (id) =>
      once(`version ${id}`, async () => {
        const { modelName, version } = await registry.getVersionById(id, { signal });
        return { model: modelName, version };
      }),
    modelName: (id) => once(`model ${id}`, async () => (await registry.getModel(id, { signal })).name),
    models: () => once('models', () => everyPage((query) => registry.listModels(query, { signal }))),
    webhooks: () => once('webhooks', () => everyPage((query) => registry.listWebhooks(query, { signal }))),
  };
}

/** What was found; undefined for NOT_FOUND. */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof AssayError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

export async function everyPage<T>(
  list: (query: { limit: number; after?: string }) => Promise<Page<T>>,
): Promise<readonly T[]> {
  const all: T[] = [];
  for (let after: string | undefined; ; ) {
    const { items, next } = await list({ limit: 1000, ...(after === undefined ? {} : { after }) });
    all.push(...items);
    if (next === undefined) return all;
    after = next;
  }
}
