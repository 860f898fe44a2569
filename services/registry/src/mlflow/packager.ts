/**
 * Registering by a client of MLflow, second half: a version that waits gets its package, and becomes a version of the
 * registry like any other. One at a time, in the order in which they came; what waits is a row, so that a process that is
 * killed goes on at its next start. The graph is loaded in a child process with limits.
 *
 * A model that no endpoint can serve is registered all the same, with the reason.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { AssayError, type PackageFile } from '@assay/contracts';
import { type MlModelSummary, openPackage, readMlModel } from '@assay/model-package';
import type { Logger } from '@assay/runtime';
import type { RegistryConfig } from '../config.ts';
import { checksOf } from '../domain/version-checks.ts';
import { originOf, pinnedLibraries, UNKNOWN_ORIGIN, type VersionOrigin } from '../domain/version-origin.ts';
import { blobKey } from '../registration/blob-keys.ts';
import type { Registration } from '../registration/register-version.ts';
import { claimBlobs } from '../store/blob-claims.ts';
import { fromJson } from '../store/tables.ts';
import { insertVersion, type NewVersion } from '../store/versions.ts';
import { type ArtifactFile, filesIn } from './store/artifacts.ts';
import type { MlflowVersionsTable } from './store/mlflow-tables.ts';
import { isPending, pendingVersions } from './store/reserve-version.ts';
import { versionRoot } from './store/version-files.ts';
import { NO_FILES, unservableVersion } from './unservable-version.ts';

/** Makes a package of the ONNX file at `onnxPath` in the new folder `dir`, in a child process with limits. */
export type MakePackage = (
  onnxPath: string,
  options: { readonly dir: string; readonly examplesPath?: string; readonly signal: AbortSignal },
) => Promise<unknown>;

export interface Packager {
  /** Waits until the version has its package, or `waitMs` have passed. */
  finished(versionId: string, waitMs: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const MAX_MLMODEL_BYTES = 4 * 1024 * 1024;
const MAX_REQUIREMENTS_BYTES = 1024 * 1024;
const MAX_EXAMPLE_BYTES = 64 * 1024 * 1024;
/** Between tries while something is away that the package needs. */
const RETRY_MS = 5000;
const VERSIONS_AT_ONCE = 20;

export function startPackager(parts: {
  readonly registration: Registration;
  readonly config: RegistryConfig;
  readonly makePackage: MakePackage;
  readonly log: Logger;
}): Packager {
  const { registration, log } = parts;
  const stopping = new AbortController();
  const waiters = new Map<string, Set<() => void>>();
  let wake = Promise.withResolvers<void>();

  const running = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const wakes = wake.promise;
      const failed = await packageAll();
      const again = failed ? delay(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {}) : undefined;
      await Promise.race([wakes, ...(again === undefined ? [] : [again])]);
    }
  }

  /** @returns whether some wait for a later try */
  async function packageAll(): Promise<boolean> {
    try {
      for (;;) {
        const rows = await pendingVersions(registration.store.database.db, VERSIONS_AT_ONCE);
        let failures = 0;
        for (const row of rows) {
          if (stopping.signal.aborted) return false;
          if (!(await packageOne(row))) failures += 1;
        }
        if (failures > 0) return true;
        if (rows.length < VERSIONS_AT_ONCE) return false;
      }
    } catch (err) {
      if (!stopping.signal.aborted)
        log.warn({ err }, 'the versions that wait for a package cannot be read; trying again');
      return true;
    }
  }

  async function packageOne(row: MlflowVersionsTable): Promise<boolean> {
    try {
      const made = await newVersionOf(row);
      const actor = {
        principal: row.principal,
        keyId: row.key_id,
        requestId: row.request_id,
        traceparent: row.traceparent,
      };
      const { version } = await insertVersion(registration.store, actor, row.model_id, made);
      log.info(
        { versionId: row.version_id, model: version.modelName, version: row.version, notServable: made.notServable },
        'version registered',
      );
    } catch (error) {
      if (stopping.signal.aborted) return false;
      const isGone = error instanceof AssayError && error.code === 'NOT_FOUND'; // deleted meanwhile
      if (!isGone) {
        log.warn({ err: error, versionId: row.version_id }, 'a package cannot be made now; trying again');
        return false;
      }
    }
    for (const tell of waiters.get(row.version_id) ?? []) tell();
    return true;
  }

  async function newVersionOf(row: MlflowVersionsTable): Promise<NewVersion> {
    const root = versionRoot(row.version_id);
    const files = (await filesIn(registration.store.database.db, root)).map((file) => ({
      ...file,
      path: file.path.slice(root.length + 1),
    }));
    const about = {
      reserved: { id: row.version_id, version: row.version },
      description: row.description,
      tags: fromJson<Record<string, string>>(row.tags),
    };
    try {
      const made = await packaged(files);
      return { ...about, ...made, origin: withLibraries(made.origin, await librariesOf(files)) };
    } catch (error) {
      const isUnservable = error instanceof AssayError && UNSERVABLE.has(error.code);
      if (!isUnservable) throw error;
      const origin = withLibraries(UNKNOWN_ORIGIN, await librariesOf(files));
      return { ...about, ...unservableVersion(error.message.replace(/^the model was refused: /, ''), files, origin) };
    }
  }

  async function packaged(
    files: readonly ArtifactFile[],
  ): Promise<Pick<NewVersion, 'claim' | 'digest' | 'files' | 'signature' | 'metrics' | 'origin' | 'checks'>> {
    const model = await describedBy(files);
    const onnx = files.find(({ path }) => path === model.onnxFile);
    if (onnx === undefined) throw unservable(whyNoOnnx(model, files));
    if (onnx.sizeBytes > parts.config.maxBlobBytes) {
      throw unservable(`${onnx.path} has ${onnx.sizeBytes} bytes, a graph may have ${parts.config.maxBlobBytes}`);
    }
    const { stagingDir } = registration;
    const dir = await mkdtemp(join(stagingDir, 'mlflow-'));
    try {
      const onnxPath = join(dir, 'model.onnx');
      await download(onnx, onnxPath);
      const examplesPath = await exampleOf(files, model, dir);
      const target = join(dir, 'package');
      await registration.slots.use(
        () =>
          parts.makePackage(onnxPath, {
            dir: target,
            signal: stopping.signal,
            ...(examplesPath === undefined ? {} : { examplesPath }),
          }),
        stopping.signal,
      );
      const opened = await openPackage(target, {
        maxTotalBytes: parts.config.maxPackageBytes,
        signal: stopping.signal,
      });
      const keys = opened.files.map(({ sha256 }) => blobKey(sha256));
      const claim = await claimBlobs(registration.store.database, keys); // it runs out by itself where this is in vain
      for (const file of opened.files) await keep(target, file);
      const { signature, lineage } = opened.manifest;
      return {
        ...{ claim, digest: opened.digest, files: opened.files, signature, metrics: lineage.metrics },
        ...{ origin: originOf(opened.manifest), checks: checksOf(opened.manifest) },
      };
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /** Of the environment that MLflow wrote down beside the model. */
  async function librariesOf(files: readonly ArtifactFile[]): Promise<Record<string, string>> {
    const file = files.find(({ path }) => path === 'requirements.txt');
    return file === undefined || file.sizeBytes > MAX_REQUIREMENTS_BYTES
      ? {}
      : pinnedLibraries(await textOf(file, MAX_REQUIREMENTS_BYTES));
  }

  async function describedBy(files: readonly ArtifactFile[]): Promise<MlModelSummary> {
    const file = files.find(({ path }) => path === 'MLmodel');
    if (file === undefined) {
      throw unservable(files.length === 0 ? NO_FILES : 'it has no MLmodel file, so MLflow made no model of it');
    }
    return readMlModel(await textOf(file, MAX_MLMODEL_BYTES));
  }

  async function textOf(file: ArtifactFile, maxBytes: number): Promise<string> {
    if (file.sizeBytes > maxBytes) throw unservable(`${file.path} has ${file.sizeBytes} bytes, more than ${maxBytes}`);
    const { body } = await registration.blobs.get(file.blobKey, { signal: stopping.signal });
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  async function exampleOf(
    files: readonly ArtifactFile[],
    model: MlModelSummary,
    dir: string,
  ): Promise<string | undefined> {
    const file = files.find(({ path }) => path === model.example?.file);
    if (file === undefined || file.sizeBytes > MAX_EXAMPLE_BYTES || !file.path.endsWith('.json')) return undefined;
    const path = join(dir, 'example.json');
    await download(file, path);
    try {
      JSON.parse(await readFile(path, 'utf8'));
      return path;
    } catch {
      return undefined; // a help where it can be read, never a condition
    }
  }

  async function download(file: ArtifactFile, path: string): Promise<void> {
    const { body } = await registration.blobs.get(file.blobKey, { signal: stopping.signal });
    const hash = createHash('sha256');
    const hashed = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of body) {
        hash.update(chunk);
        yield chunk;
      }
    };
    await pipeline(Readable.from(hashed(), { objectMode: false }), createWriteStream(path, { flags: 'wx' }), {
      signal: stopping.signal,
    });
    if (hash.digest('hex') !== file.sha256) {
      throw new AssayError('INTERNAL', `the stored content of ${file.path} is not the one with sha256 ${file.sha256}`);
    }
  }

  async function keep(dir: string, file: PackageFile): Promise<void> {
    const key = blobKey(file.sha256);
    const before = await registration.blobs.head(key, { signal: stopping.signal });
    if (before !== undefined) return;
    const path = join(dir, ...file.path.split('/'));
    await registration.blobs.put(key, createReadStream(path), { sha256: file.sha256, signal: stopping.signal });
  }

  return {
    async finished(versionId, waitMs, signal) {
      const told = Promise.withResolvers<void>();
      const all = waiters.get(versionId) ?? new Set();
      all.add(told.resolve);
      waiters.set(versionId, all);
      const before = wake;
      wake = Promise.withResolvers<void>();
      before.resolve();
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(waitMs), stopping.signal]);
      timeout.addEventListener('abort', () => told.resolve(), { once: true });
      try {
        if (await isPending(registration.store.database.db, versionId)) await told.promise;
      } finally {
        all.delete(told.resolve);
        if (all.size === 0) waiters.delete(versionId);
      }
    },
    async close() {
      stopping.abort(new AssayError('CANCELLED', 'the registry stops'));
      wake.resolve();
      await running;
    },
  };
}

/** What another try would not change. */
const UNSERVABLE: ReadonlySet<string> = new Set([
  'UNPROCESSABLE_MODEL',
  'INVALID_ARGUMENT',
  'PAYLOAD_TOO_LARGE',
  'UNIMPLEMENTED',
]);

function withLibraries(origin: VersionOrigin, libraries: Readonly<Record<string, string>>): VersionOrigin {
  return { ...origin, told: { ...origin.told, libraries: { ...origin.told.libraries, ...libraries } } };
}

function unservable(why: string): AssayError {
  return new AssayError('UNPROCESSABLE_MODEL', why);
}

function whyNoOnnx({ flavors, onnxFile }: MlModelSummary, files: readonly ArtifactFile[]): string {
  if (onnxFile !== undefined && files.some(({ path }) => path.startsWith(`${onnxFile}/`))) {
    return `its weights are outside of its graph (${onnxFile} is a folder); log it with save_as_external_data=False`;
  }
  if (onnxFile !== undefined) return `its MLmodel names ${onnxFile}, and that file was not logged`;
  return `it has no ONNX flavor (it has ${flavors.join(', ') || 'none'}); log it with mlflow.onnx.log_model`;
}
