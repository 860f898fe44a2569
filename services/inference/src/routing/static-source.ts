/** Models from files, without a registry: what `assay serve` serves. They are read once, when it starts. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import {
  AssayError,
  matches,
  Name,
  type RoutedEndpoint,
  type RoutedVersion,
  type RoutingSnapshot,
  type Signature,
} from '@assay/contracts';
import { MANIFEST_FILE, MODEL_FILE, type ModelPackage, openPackage } from '@assay/model-package';
import { Slots } from '../domain/slots.ts';
import type { PackageSource, RoutingSource } from '../domain/version.ts';
import { fetchModel, isModelUrl } from './model-url.ts';
import type { ModelSource } from './open-source.ts';
import { makePackage } from './plain-onnx.ts';

export interface StaticModel {
  /** The endpoint's name; default: that of the file or folder. */
  readonly name?: string;
  /**
   * An ONNX file; a package (`assay.json` beside its files); a folder `model.onnx`; a model (folders `1`, `2`, … of either);
   * or, without a name, a folder of models. Or the URL of one: `file://`, `s3://`, `az://` (model-url.ts).
   */
  readonly path: string;
}

export interface StaticModelsOptions {
  /** Where packages are made for plain ONNX files, and models of URLs are kept. */
  readonly workDir: string;
  readonly defaultTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

interface FoundVersion {
  readonly model: string;
  readonly number: number;
  /** An ONNX file or the folder of a package. */
  readonly path: string;
  /** As a person named it. */
  readonly from: string;
}

/** Models of URLs are fetched so many at a time. */
const MAX_FETCHES = 4;

const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * The source of these models, one endpoint each. The highest version of a model answers; a caller can pin the others.
 * @throws INVALID_ARGUMENT for a path that holds no model, or a name that is taken twice; UNPROCESSABLE_MODEL for a model
 *   that cannot be served
 */
export async function createStaticModels(
  models: readonly StaticModel[],
  options: StaticModelsOptions,
): Promise<ModelSource> {
  const fetches = new Slots(MAX_FETCHES);
  const located = models.map(async (model) => {
    const versions = await findVersions(await locate(model, options, fetches));
    return versions.map((version) => ({
      ...version,
      from: isModelUrl(model.path) ? withoutParameters(model.path) : version.path,
    }));
  });
  const found = (await Promise.all(located)).flat();
  checkNames(found);
  const dirs = new Map<string, string>();
  const endpoints = new Map<string, { contract: Signature; versions: RoutedVersion[] }>();
  for (const version of found.toSorted((a, b) => a.number - b.number)) {
    options.signal?.throwIfAborted();
    const pkg = await openFound(version, options);
    const routed: RoutedVersion = {
      id: `${version.model}:${version.number}`,
      modelId: version.model,
      modelName: version.model,
      version: version.number,
      digest: pkg.digest,
      files: [...pkg.files],
    };
    dirs.set(routed.id, pkg.dir);
    // In ascending order, so that the contract is that of the highest version.
    const versions = endpoints.get(version.model)?.versions ?? [];
    endpoints.set(version.model, { contract: pkg.manifest.signature, versions: [...versions, routed] });
  }
  const snapshot = snapshotOf(endpoints, options.defaultTimeoutMs ?? DEFAULT_TIMEOUT_MS);
  return { routing: fixedRouting(snapshot), packages: fixedPackages(dirs), isStatic: true };
}

/** The same model on this disk. */
async function locate(model: StaticModel, options: StaticModelsOptions, fetches: Slots): Promise<StaticModel> {
  if (!isModelUrl(model.path)) return model;
  const { workDir, signal = new AbortController().signal } = options;
  const fetchIt = () => fetchModel(model.path, { dir: join(workDir, 'fetched'), signal });
  return { ...model, path: await fetches.run(fetchIt, signal) };
}

function withoutParameters(url: string): string {
  return url.replace(/[?#].*$/, '');
}

async function findVersions({ name, path }: StaticModel): Promise<Omit<FoundVersion, 'from'>[]> {
  const kind = await kindOf(path);
  const model = name ?? basename(resolve(path), extname(path) === '.onnx' ? '.onnx' : '');
  if (kind === 'version') return [{ model, number: 1, path: await versionPath(path) }];
  const children = (await readdir(path, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const numbered = children.filter((entry) => /^[1-9]\d{0,8}$/.test(entry.name));
  if (numbered.length > 0) {
    return Promise.all(
      numbered.map(async (entry) => {
        const folder = join(path, entry.name);
        if ((await kindOf(folder)) !== 'version') throw noModel(folder);
        return { model, number: Number(entry.name), path: await versionPath(folder) };
      }),
    );
  }
  if (name !== undefined || children.length === 0) throw noModel(path);
  return (
    await Promise.all(children.map((entry) => findVersions({ name: entry.name, path: join(path, entry.name) })))
  ).flat();
}

async function kindOf(path: string): Promise<'version' | 'folder'> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw new AssayError('INVALID_ARGUMENT', `there is no file or folder ${path}`, { cause });
  });
  if (stats.isFile()) return 'version';
  const entries = await readdir(path);
  return entries.includes(MANIFEST_FILE) || entries.includes(MODEL_FILE) ? 'version' : 'folder';
}

async function versionPath(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory()) return path;
  const entries = await readdir(path);
  return entries.includes(MANIFEST_FILE) ? path : join(path, MODEL_FILE);
}

function noModel(path: string): AssayError {
  return new AssayError(
    'INVALID_ARGUMENT',
    `${path} holds no model: expected ${MODEL_FILE}, a package (${MANIFEST_FILE}), or folders 1, 2, … with one of them`,
  );
}

function checkNames(found: readonly FoundVersion[]): void {
  if (found.length === 0) throw new AssayError('INVALID_ARGUMENT', 'there are no models to serve');
  const seen = new Set<string>();
  for (const { model, number } of found) {
    if (!matches(Name, model)) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `"${model}" is no name for an endpoint: letters, digits, ".", "_" and "-"`,
      );
    }
    const key = `${model}:${number}`;
    if (seen.has(key)) throw new AssayError('INVALID_ARGUMENT', `version ${number} of "${model}" is given twice`);
    seen.add(key);
  }
}

async function openFound({ path, model, from }: FoundVersion, options: StaticModelsOptions): Promise<ModelPackage> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const isPackage = (await stat(path)).isDirectory();
  try {
    return await openPackage(isPackage ? path : await makePackage(path, options.workDir, signal), signal);
  } catch (thrown) {
    const error = AssayError.from(thrown);
    if (error.code === 'INTERNAL') throw thrown;
    throw new AssayError(error.code, `cannot serve "${model}" from ${from}: ${error.message}`, {
      details: error.details,
      cause: thrown,
    });
  }
}

function snapshotOf(
  endpoints: ReadonlyMap<string, { contract: Signature; versions: readonly RoutedVersion[] }>,
  defaultTimeoutMs: number,
): RoutingSnapshot {
  return {
    revision: 1,
    endpoints: Array.from(endpoints, ([name, { contract, versions }]): RoutedEndpoint => {
      const variants = versions.map(({ id }, i) => ({ versionId: id, weight: i === versions.length - 1 ? 10_000 : 0 }));
      return { id: name, name, revision: 1, contract, salt: name, defaultTimeoutMs, variants };
    }),
    versions: [...endpoints.values()].flatMap(({ versions }) => versions),
  };
}

/** Answers once; then there is nothing new until the end. */
function fixedRouting(snapshot: RoutingSnapshot): RoutingSource {
  return {
    next(after, signal) {
      if (after === undefined) return Promise.resolve(snapshot);
      return new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    },
  };
}

function fixedPackages(dirs: ReadonlyMap<string, string>): PackageSource {
  return {
    fetch: async ({ id }) => {
      const dir = dirs.get(id);
      if (dir === undefined) throw new AssayError('NOT_FOUND', `there is no version ${id}`);
      return dir;
    },
  };
}
