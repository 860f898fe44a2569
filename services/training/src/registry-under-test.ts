/** For the tests of this service: the routes of a registry that a job uses, on a real port, keeping what it is given. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import {
  AssayError,
  type CreateVersion,
  type DatasetVersion,
  type ErrorDetail,
  type KeySnapshot,
  type Version,
} from '@assay/contracts';
import { readManifest } from '@assay/model-package';

export interface RegistryUnderTest {
  readonly url: string;
  readonly versions: readonly Version[];
  /** Alias → version id. */
  readonly aliases: ReadonlyMap<string, string>;
  /** How often a version was asked to be made, repetitions included. */
  readonly registrations: number;
  /** What callers may show; given as the snapshot of keys. */
  keys: KeySnapshot['keys'];
  /** What holds every alias back. */
  missingGates: readonly ErrorDetail[];
  /** Makes version 1 of a dataset of CSV files, by their names. */
  putDataset(name: string, files: Readonly<Record<string, string>>): DatasetVersion;
  /** The next version is registered and its caller gets no answer; resolves when that has happened. */
  swallowNextAnswer(): Promise<void>;
  /** Writes the files of a version into a folder. */
  writePackage(version: Version, dir: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Answer {
  readonly status: number;
  /** JSON, or the bytes of a file. */
  readonly body?: unknown;
}

export async function startRegistry(): Promise<RegistryUnderTest> {
  const models = new Set<string>();
  const blobs = new Map<string, Buffer>();
  const versions: Version[] = [];
  const keys = new Map<string, Version>();
  const datasets = new Map<string, DatasetVersion>();
  const aliases = new Map<string, { versionId: string; revision: number }>();
  let callers: KeySnapshot['keys'] = [];
  let registrations = 0;
  let missingGates: readonly ErrorDetail[] = [];
  let swallow: PromiseWithResolvers<void> | undefined;

  function register(model: string, body: CreateVersion): Version {
    registrations++;
    const before = keys.get(`${model}/${body.idempotencyKey}`);
    if (before !== undefined) return before;
    const manifestFile = body.files.find((file) => file.path === 'assay.json');
    const bytes = blobs.get(manifestFile?.sha256 ?? '');
    if (bytes === undefined) throw new AssayError('UNPROCESSABLE_MODEL', 'assay.json was not uploaded');
    const manifest = readManifest(bytes.toString());
    const version: Version = {
      id: `ver_${versions.length + 1}`,
      modelId: `mdl_${model}`,
      modelName: model,
      version: versions.length + 1,
      digest: manifestFile?.sha256 ?? '',
      files: body.files,
      signature: manifest.signature,
      metrics: manifest.lineage.metrics,
      aliases: [],
      description: body.description ?? '',
      tags: body.tags ?? {},
      createdAt: Date.now(),
      createdBy: 'local',
    };
    versions.push(version);
    keys.set(`${model}/${body.idempotencyKey}`, version);
    return version;
  }

  function putDataset(name: string, contents: Readonly<Record<string, string>>): DatasetVersion {
    const files = Object.entries(contents).map(([file, text]) => {
      const bytes = Buffer.from(text);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      blobs.set(sha256, bytes);
      return { name: file, sha256, sizeBytes: bytes.length };
    });
    const dataset: DatasetVersion = {
      id: `dsv_${name}`,
      datasetId: `ds_${name}`,
      datasetName: name,
      version: 1,
      digest: createHash('sha256').update(JSON.stringify(files)).digest('hex'),
      format: 'csv',
      rows: 0,
      fileCount: files.length,
      columnCount: 1,
      sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      layer: 'raw',
      source: 'made up',
      owner: '',
      licence: 'CC0-1.0',
      knownBias: '',
      personalData: [],
      description: '',
      changes: '',
      parents: [],
      createdAt: 0,
      createdBy: 'local',
      files,
      schema: [],
    };
    datasets.set(name, dataset);
    return dataset;
  }

  function answer(request: IncomingMessage, body: Buffer): Answer | undefined {
    const { pathname } = new URL(request.url ?? '/', 'http://registry');
    const [, , kind = '', name = '', part = '', item = '', , file = ''] = pathname.split('/').map(decodeURIComponent);
    const route = `${request.method} ${kind}${name === '' ? '' : '/x'}${part === '' ? '' : `/${part}`}${item === '' ? '' : '/y'}`;
    const json = () => JSON.parse(body.toString()); // only for routes that take JSON
    const modelOf = (id: string) => ({
      id: `mdl_${id}`,
      name: id,
      description: '',
      revision: 1,
      latestVersion: null,
      aliases: {},
      createdAt: 0,
      updatedAt: 0,
    });
    const aliasOf = (alias: string) => {
      const found = aliases.get(alias);
      const version = versions.find(({ id }) => id === found?.versionId);
      if (found === undefined || version === undefined) throw new AssayError('NOT_FOUND', `there is no alias ${alias}`);
      const { modelId, modelName } = version;
      return { modelId, modelName, alias, ...found, version: version.version, movedAt: 0, movedBy: 'local' };
    };
    switch (route) {
      case 'GET keys/x':
        return { status: 200, body: { revision: 1, keys: callers } satisfies KeySnapshot };
      case 'GET models/x':
        if (!models.has(name)) throw new AssayError('NOT_FOUND', `there is no model ${name}`);
        return { status: 200, body: modelOf(name) };
      case 'POST models':
        models.add(json().name);
        return { status: 201, body: modelOf(json().name) };
      case 'HEAD blobs/x':
        return { status: blobs.has(name) ? 200 : 404 };
      case 'PUT blobs/x':
        if (createHash('sha256').update(body).digest('hex') !== name)
          throw new AssayError('INVALID_ARGUMENT', 'digest');
        blobs.set(name, body);
        return { status: 201, body: { sha256: name, sizeBytes: body.length } };
      case 'POST models/x/versions': {
        const version = register(name, json());
        if (swallow === undefined) return { status: 201, body: version };
        swallow.resolve();
        swallow = undefined;
        return undefined;
      }
      case 'GET datasets/x/versions/y': {
        const dataset = datasets.get(name);
        if (dataset === undefined) throw new AssayError('NOT_FOUND', `there is no dataset ${name}`);
        if (file === '') return { status: 200, body: dataset };
        return { status: 200, body: blobs.get(dataset.files.find((one) => one.name === file)?.sha256 ?? '') };
      }
      case 'GET models/x/aliases/y':
        return { status: 200, body: aliasOf(item) };
      case 'PUT models/x/aliases/y':
        if ((aliases.get(item)?.revision ?? 0) !== json().expectedRevision)
          throw new AssayError('STALE_REVISION', 'moved');
        if (missingGates.length > 0)
          throw new AssayError('FAILED_PRECONDITION', 'gates are not met', { details: missingGates });
        aliases.set(item, { versionId: json().version, revision: json().expectedRevision + 1 });
        return { status: 200, body: aliasOf(item) };
      default:
        throw new AssayError('NOT_FOUND', `no route ${route}`);
    }
  }

  const server = createServer((request, response) => {
    void serve(request, response, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    versions,
    get aliases() {
      return new Map([...aliases].map(([alias, { versionId }]) => [alias, versionId]));
    },
    get registrations() {
      return registrations;
    },
    get keys() {
      return callers;
    },
    set keys(keys) {
      callers = keys;
    },
    get missingGates() {
      return missingGates;
    },
    set missingGates(details) {
      missingGates = details;
    },
    putDataset,
    swallowNextAnswer() {
      swallow = Promise.withResolvers();
      return swallow.promise;
    },
    async writePackage(version, dir) {
      for (const file of version.files) {
        const path = join(dir, file.path);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, blobs.get(file.sha256) ?? '');
      }
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
  answer: (request: IncomingMessage, body: Buffer) => Answer | undefined,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const respond = (status: number, body: unknown) =>
    Buffer.isBuffer(body)
      ? response.writeHead(status, { 'content-type': 'application/octet-stream' }).end(body)
      : response
          .writeHead(status, { 'content-type': 'application/json' })
          .end(body === undefined ? '' : JSON.stringify(body));
  try {
    const answered = answer(request, Buffer.concat(chunks));
    if (answered !== undefined) respond(answered.status, answered.body);
  } catch (thrown) {
    const error = AssayError.from(thrown);
    respond(error.kind.httpStatus, error.toBody('req_test'));
  }
}
