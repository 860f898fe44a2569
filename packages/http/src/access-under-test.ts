/** Keys, and an app with a route for each kind of access, for the tests of this package. */
import type { KeySnapshot, Scope } from '@assay/contracts';
import { createLogger, createRegistry, type LogLevel, type Registry } from '@assay/runtime';
import { createAccess, type KeySource } from './access.ts';
import { formatKeyText, newSecret, secretSha256 } from './access-key.ts';
import { holdKeys } from './access-snapshot.ts';
import { type App, createHttpApp } from './app.ts';
import { readyReport } from './health.ts';

export interface MadeKey {
  readonly text: string;
  readonly entry: KeySnapshot['keys'][number];
}

let made = 0;

export function makeKey(scopes: readonly (Scope | string)[], endpoints?: readonly string[]): MadeKey {
  const id = `key_${String(++made).padStart(26, '0')}`;
  const secret = newSecret();
  return {
    text: formatKeyText({ id, secret }),
    entry: {
      id,
      secretSha256: secretSha256(secret),
      principalId: `prn_${made}`,
      principalName: `principal-${made}`,
      principalKind: 'person',
      scopes: [...scopes],
      ...(endpoints === undefined ? {} : { endpoints: [...endpoints] }),
    },
  };
}

export function sourceOf(...keys: readonly MadeKey[]): KeySource {
  const held = holdKeys({ revision: 1, keys: keys.map((key) => key.entry) });
  return { current: () => held, size: keys.length, ageMs: 0 };
}

export interface GuardedApp {
  readonly app: App;
  readonly registry: Registry;
  readonly lines: string[];
  call(
    path: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ status: number; body: ReturnType<typeof JSON.parse>; headers: Record<string, unknown> }>;
}

export function guardedApp(keys: KeySource | undefined, level: LogLevel = 'info'): GuardedApp {
  const lines: string[] = [];
  const log = createLogger({
    service: 'sample',
    level,
    destination: { write: (line: string) => void lines.push(line) },
  });
  const registry = createRegistry();
  const app = createHttpApp({
    service: 'sample',
    version: '1.2.3',
    log,
    registry,
    ready: () => readyReport({ database: true }),
    describe: { title: 'Sample', description: 'For tests.' },
    access: createAccess({ log, registry, ...(keys === undefined ? {} : { keys }) }),
    requestLogRatio: 1,
  });
  const schema = { hide: true };
  const who = async (request: { caller: unknown }) => ({ caller: request.caller });
  app.get('/public', { schema, config: { access: 'public' } }, who);
  app.get('/own', { schema, config: { access: 'own' } }, who);
  app.get('/read', { schema, config: { access: 'read' } }, who);
  app.get('/promote', { schema, config: { access: 'promote' } }, who);
  app.get('/either', { schema, config: { access: ['score', 'read'] } }, who);
  app.get('/score/:name', { schema, config: { access: 'score', endpointParam: 'name' } }, who);
  return {
    app,
    registry,
    lines,
    async call(path, headers = {}) {
      const answer = await app.inject({ url: path, headers });
      return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
    },
  };
}

export function bearer(key: MadeKey): Record<string, string> {
  return { authorization: `Bearer ${key.text}` };
}
