/**
 * Registry and inference are not upgraded in one moment, so each works beside the other of one format before or after it.
 * `format-1` holds what Assay 0.1 writes: it stays as it is, and a later format gets a folder of its own beside it.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type Event, matches, type PackageFile, type RoutingSnapshot } from '@assay/contracts';
import { openDatabaseEventBus } from '@assay/events';
import { createLogger } from '@assay/runtime';
import { expect, test, vi } from 'vitest';
import { type InferenceUnderTest, serveRegistry } from '../../services/inference/src/inference-under-test.ts';
import { startRegistry } from '../../services/registry/src/registry-under-test.ts';
import { temporaryFolder } from '../parts/assay.ts';

const FORMAT_1 = join(import.meta.dirname, 'format-1');
const within = { timeout: 20_000, interval: 20 };

interface Routed {
  readonly routing: RoutingSnapshot;
  /** By path. */
  readonly files: ReadonlyMap<string, Buffer>;
}

test('inference serves what a registry of the format before routes', async () => {
  await using folder = await temporaryFolder();
  await using registry = await answerAs(await format1());
  await using inference = await serveRegistry(folder.path, registry.url);
  await serves7(inference);
});

test('inference serves what a newer registry routes, whatever it says beside, and starts again without it', async () => {
  await using folder = await temporaryFolder();
  {
    await using registry = await answerAs(fromLater(await format1()));
    await using inference = await serveRegistry(folder.path, registry.url);
    await serves7(inference);
  }
  await using alone = await serveRegistry(folder.path, 'http://127.0.0.1:1');
  await serves7(alone);
});

test('the registry takes a package of the format before, and tells inference of it all that that one reads', async () => {
  await using folder = await temporaryFolder();
  const { files, routing } = await format1();
  await using registry = await startRegistry();
  await registry.call('POST', '/v1/models', { name: 'flights' });
  const package1 = { files: routing.versions.flatMap((version) => version.files), contents: new Map(files) };
  const registered = await registry.register('flights', package1);
  expect(registered).toMatchObject({ status: 201, body: { version: 1, digest: routing.versions[0]?.digest } });
  await registry.call('PUT', '/v1/models/flights/aliases/champion', { version: 1, expectedRevision: 0 });
  await using inference = await serveRegistry(folder.path, registry.url);
  await serves7(inference);

  const schema = await readJson<Parameters<typeof matches>[0]>('routing.schema.json');
  const { body } = await registry.call<RoutingSnapshot>('GET', '/v1/routing');
  expect(body.endpoints).toHaveLength(1);
  expect(matches(schema, body)).toBe(true);
  expect(matches(schema, { ...body, endpoints: [{ name: 'flights' }] })).toBe(false);
});

test('an event of the format before arrives, and what a newer one says beside is kept', async () => {
  await using folder = await temporaryFolder();
  const log = createLogger({ service: 'skew', level: 'silent' });
  const bus = await openDatabaseEventBus({ url: `sqlite:${join(folder.path, 'events.sqlite')}`, log });
  const { signal } = new AbortController();
  const before: Event = await readJson('event.json');
  const later = {
    ...before,
    id: 'evt_2',
    sequence: 5,
    partitionkey: 'x',
    data: { ...Object(before.data), later: [1] },
  };
  await bus.publish('assay.models.v1', [before, later], { signal });
  const received: Event[] = [];
  const options = { topics: ['assay.models.v1'], delivery: { group: 'skew' }, from: 'earliest', signal } as const;
  const subscription = await bus.subscribe(options, async (event) => void received.push(event));
  await vi.waitFor(() => expect(received).toEqual([before, later]), within);
  await subscription.close();
  await bus.close();
});

async function serves7(inference: InferenceUnderTest): Promise<void> {
  await vi.waitFor(async () => {
    const { status, body } = await inference.post('/v1/endpoints/flights/score', { records: [{ x: 1 }] });
    expect(status).toBe(200);
    expect(body.predictions[0].outputs.version).toBe(7);
  }, within);
}

async function format1(): Promise<Routed> {
  const routing: RoutingSnapshot = await readJson('routing.json');
  const paths = routing.versions.flatMap(({ files }) => files.map(({ path }) => path));
  const files = paths.map(async (path) => [path, await readFile(join(FORMAT_1, 'package', path))] as const);
  return { routing, files: new Map(await Promise.all(files)) };
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(FORMAT_1, name), 'utf8')) as T; // what an earlier version wrote as that
}

/** The same with keys that nobody knows yet, in the package too; but for its signature, in which no key is passed over. */
function fromLater({ routing, files }: Routed): Routed {
  const { signature, ...manifest } = JSON.parse(String(files.get('assay.json')));
  const text = Buffer.from(JSON.stringify({ signature, ...withMore(manifest) }));
  const sha256 = createHash('sha256').update(text).digest('hex');
  const changed = (file: PackageFile): PackageFile =>
    file.path === 'assay.json' ? { ...file, sha256, sizeBytes: text.length } : file;
  const versions = routing.versions.map((version) => ({
    ...version,
    digest: sha256,
    files: version.files.map(changed),
  }));
  return { routing: withMore({ ...routing, versions }), files: new Map([...files, ['assay.json', text]]) };
}

/** Lists of names to things (files, metrics, outputs) have no keys of their own. */
const MAPS = new Set(['files', 'libraries', 'metrics', 'records', 'outputs', 'contract']);

function withMore<T>(value: T, key = ''): T {
  if (Array.isArray(value)) return value.map((item) => withMore(item, key)) as T; // as many of the same
  if (typeof value !== 'object' || value === null) return value;
  if (MAPS.has(key) && !('path' in value)) return value;
  const members = Object.entries(value).map(([name, member]) => [name, withMore(member, name)]);
  return { ...Object.fromEntries(members), saidLater: { anything: [1] } };
}

/** The two routes of a registry that inference asks. */
async function answerAs({ routing, files }: Routed): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://registry');
    const path = /^\/v1\/versions\/[^/]+\/files\/(.+)$/.exec(pathname)?.[1];
    if (path !== undefined) response.end(files.get(decodeURIComponent(path)));
    else if (searchParams.get('after') === String(routing.revision))
      request.on('close', () => undefined); // nothing new
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(routing));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const dispose = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: dispose };
}
