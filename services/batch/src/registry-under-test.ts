/** For the tests of this service: the routes of a registry that a batch job uses, on a real port. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AssayError, type KeySnapshot, type Version } from '@assay/contracts';
import type { MadeModel } from './models-under-test.ts';

export interface RegistryUnderTest {
  readonly url: string;
  /** Adds a version of the model, and moves `champion` to it. */
  add(model: MadeModel): Version;
  /** While true every call is answered with 503. */
  isAway: boolean;
  /** What callers may show; given as the snapshot of keys. */
  keys: KeySnapshot['keys'];
  /** Of every call. */
  readonly authorizations: readonly (string | undefined)[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startRegistry(model = 'flights'): Promise<RegistryUnderTest> {
  const versions: { readonly version: Version; readonly dir: string }[] = [];
  const state: { isAway: boolean; keys: KeySnapshot['keys'] } = { isAway: false, keys: [] };
  const authorizations: (string | undefined)[] = [];

  function find(id: string) {
    const found = versions.find(({ version }) => version.id === id);
    if (found === undefined) throw new AssayError('NOT_FOUND', `there is no version ${id}`);
    return found;
  }

  async function answer(request: IncomingMessage): Promise<unknown> {
    authorizations.push(request.headers.authorization);
    if (state.isAway) throw new AssayError('UNAVAILABLE', 'the registry is away');
    const { pathname } = new URL(request.url ?? '/', 'http://registry');
    const [, , kind = '', name = '', part = '', item = ''] = pathname.split('/').map(decodeURIComponent);
    if (kind === 'keys' && name === 'snapshot') return { revision: 1, keys: state.keys } satisfies KeySnapshot;
    if (kind === 'versions' && part === '') return find(name).version;
    if (kind === 'versions' && part === 'files') return readFile(join(find(name).dir, item));
    if (kind !== 'models' || name !== model) throw new AssayError('NOT_FOUND', `there is no model ${name}`);
    const last = versions.at(-1)?.version;
    if (part === 'aliases' && item === 'champion' && last !== undefined) {
      const { id, modelId, modelName, version } = last;
      const revision = versions.length;
      return { modelId, modelName, alias: item, versionId: id, version, revision, movedAt: 0, movedBy: 'local' };
    }
    const numbered = versions.find(({ version }) => String(version.version) === item);
    if (part === 'versions' && numbered !== undefined) return numbered.version;
    throw new AssayError('NOT_FOUND', `there is no ${part} ${item}`);
  }

  const server = createServer((request, response) => void serve(request, response, answer));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    get isAway() {
      return state.isAway;
    },
    set isAway(isAway) {
      state.isAway = isAway;
    },
    get keys() {
      return state.keys;
    },
    set keys(keys) {
      state.keys = keys;
    },
    authorizations,
    add({ dir, digest, files, manifest }) {
      const number = versions.length + 1;
      const version: Version = {
        id: `ver_${number}`,
        modelId: `mdl_${model}`,
        modelName: model,
        version: number,
        digest,
        files: [...files],
        signature: manifest.signature,
        metrics: {},
        aliases: [],
        description: '',
        tags: {},
        createdAt: 0,
        createdBy: 'local',
      };
      versions.push({ version, dir });
      return version;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (request: IncomingMessage) => Promise<unknown>,
): Promise<void> {
  try {
    const body = await answer(request);
    const isFile = body instanceof Uint8Array;
    response.writeHead(200, { 'content-type': isFile ? 'application/octet-stream' : 'application/json' });
    response.end(isFile ? body : JSON.stringify(body));
  } catch (thrown) {
    const error = AssayError.from(thrown);
    response.writeHead(error.kind.httpStatus, { 'content-type': 'application/json' });
    response.end(JSON.stringify(error.toBody('req_test')));
  }
}
