/** For the tests of this service: the routes of a registry that a batch job uses, on a real port. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  AssayError,
  type CreateDatasetVersion,
  type DatasetVersion,
  type KeySnapshot,
  type Version,
} from '@assay/contracts';
import type { MadeModel } from './models-under-test.ts';

export interface RegistryUnderTest {
  readonly url: string;
  /** Adds a version of the model, and moves `champion` to it. */
  add(model: MadeModel): Version;
  /** Registers a version of a dataset of one file, as somebody else would have. */
  addDataset(name: string, file: { readonly name: string; readonly bytes: Uint8Array }): DatasetVersion;
  /** All versions of a dataset. */
  datasetVersions(name: string): readonly DatasetVersion[];
  /** The bytes that were put under a digest. */
  blob(sha256: string): Uint8Array | undefined;
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
  const blobs = new Map<string, Uint8Array>();
  const datasets = new Map<string, { version: DatasetVersion; key: string | undefined }[]>();

  function register(name: string, body: CreateDatasetVersion): DatasetVersion {
    const all = datasets.get(name) ?? [];
    const before = all.find(({ key }) => key !== undefined && key === body.idempotencyKey);
    if (before !== undefined) return before.version;
    const missing = body.files.find(({ sha256 }) => !blobs.has(sha256));
    if (missing !== undefined) throw new AssayError('FAILED_PRECONDITION', `${missing.name} was not put`);
    if (all.length > 0 && body.changes === undefined) throw new AssayError('INVALID_ARGUMENT', 'changes is required');
    const { idempotencyKey: key, ...told } = body;
    const text = { source: '', owner: '', licence: '', knownBias: '', description: '', changes: '' };
    const version: DatasetVersion = {
      ...text,
      layer: 'raw',
      personalData: [],
      parents: [],
      ...told,
      id: `ds_${name}_${all.length + 1}`,
      datasetId: `dst_${name}`,
      datasetName: name,
      version: all.length + 1,
      digest: sha256Of(Buffer.from(JSON.stringify([body.files, body.schema]))),
      fileCount: body.files.length,
      columnCount: body.schema.length,
      sizeBytes: body.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      createdAt: 0,
      createdBy: 'local',
    };
    datasets.set(name, [...all, { version, key }]);
    return version;
  }

  async function answerBlob(request: IncomingMessage, sha256: string): Promise<unknown> {
    if (request.method === 'HEAD') {
      if (!blobs.has(sha256)) throw new AssayError('NOT_FOUND', `there is no blob ${sha256}`);
      return {};
    }
    const bytes = await bodyOf(request);
    if (sha256Of(bytes) !== sha256) throw new AssayError('INVALID_ARGUMENT', `the bytes are not those of ${sha256}`);
    blobs.set(sha256, bytes);
    return {};
  }

  async function answerDataset(request: IncomingMessage, name: string, number: string, file: string): Promise<unknown> {
    if (request.method === 'POST') {
      const body: CreateDatasetVersion = JSON.parse(Buffer.from(await bodyOf(request)).toString());
      return register(name, body);
    }
    const all = (datasets.get(name) ?? []).map(({ version }) => version);
    const version = number === 'latest' ? all.at(-1) : all[Number(number) - 1];
    if (version === undefined) throw new AssayError('NOT_FOUND', `there is no version ${number} of ${name}`);
    return file === '' ? version : blobs.get(version.files.find((each) => each.name === file)?.sha256 ?? '');
  }

  function find(id: string) {
    const found = versions.find(({ version }) => version.id === id);
    if (found === undefined) throw new AssayError('NOT_FOUND', `there is no version ${id}`);
    return found;
  }

  async function answer(request: IncomingMessage): Promise<unknown> {
    authorizations.push(request.headers.authorization);
    if (state.isAway) throw new AssayError('UNAVAILABLE', 'the registry is away');
    const { pathname } = new URL(request.url ?? '/', 'http://registry');
    const parts = pathname.split('/').map(decodeURIComponent);
    const [, , kind = '', name = '', part = '', item = '', , file = ''] = parts;
    if (kind === 'blobs') return answerBlob(request, name);
    if (kind === 'datasets') return answerDataset(request, name, item, file);
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
    addDataset(name, { name: file, bytes }) {
      const sha256 = sha256Of(bytes);
      blobs.set(sha256, bytes);
      return register(name, {
        format: file.endsWith('.csv') ? 'csv' : 'parquet',
        files: [{ name: file, sha256, sizeBytes: bytes.length }],
        rows: 0,
        schema: [{ name: 'unknown', type: 'VARCHAR', nullable: true }],
        changes: 'new rows',
      });
    },
    datasetVersions: (name) => (datasets.get(name) ?? []).map(({ version }) => version),
    blob: (sha256) => blobs.get(sha256),
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

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(request));
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
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
