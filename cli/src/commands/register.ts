/** `assay register`: a version from a file or a folder. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import { AssayError, type Version } from '@assay/contracts';
import type { Io } from '../io.ts';
import { facts, json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { unreadable } from '../user-files.ts';
import { moveAliasTo } from './alias.ts';

export interface RegisterOptions extends TargetOptions {
  readonly alias?: string;
  readonly description?: string;
}

export async function register(io: Io, name: string, path: string, options: RegisterOptions): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'assay-register-'));
  try {
    const dir = await packageOf(resolve(io.cwd, path), path, work, io.signal);
    await using registry = createRegistryClient(await peerOf('registry', io, options));
    await ensureModel(registry, name, io.signal);
    const description = options.description === undefined ? {} : { description: options.description };
    const version = await registry.uploadPackage(name, dir, { ...description, signal: io.signal });
    const alias =
      options.alias === undefined ? undefined : await moveAliasTo(registry, name, options.alias, version.id, io.signal);
    if (options.json) io.out(json(alias === undefined ? version : { ...version, alias }));
    else io.out(summary(version, options.alias));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The folder itself where it is a package; else one made for its graph, in a child process, since graphs can crash. */
async function packageOf(full: string, path: string, work: string, signal: AbortSignal): Promise<string> {
  const onnxPath = await graphOf(full, path);
  if (onnxPath === undefined) return full;
  const { packageOnnxInChild } = await import('@assay/scoring');
  const dir = join(work, 'package');
  await packageOnnxInChild(onnxPath, { dir, signal });
  return dir;
}

/** The ONNX file to make a package for; undefined where `full` is a package already. */
async function graphOf(full: string, path: string): Promise<string | undefined> {
  const found = await stat(full).catch((cause: unknown) => {
    throw unreadable(path, cause, 'file or folder');
  });
  if (!found.isDirectory()) {
    if (full.endsWith('.onnx')) return full;
    throw new AssayError('INVALID_ARGUMENT', `${path} is not an .onnx file; expected FILE.onnx or a folder`);
  }
  const names = await readdir(full);
  if (names.includes('assay.json')) return undefined;
  if (names.includes('model.onnx')) return join(full, 'model.onnx'); // as MLflow logs it, for one
  throw new AssayError('INVALID_ARGUMENT', `${path} holds neither assay.json (a package) nor model.onnx`);
}

export async function ensureModel(registry: RegistryClient, name: string, signal: AbortSignal): Promise<void> {
  try {
    await registry.createModel({ name }, { signal });
  } catch (error) {
    if (!(error instanceof AssayError) || error.code !== 'ALREADY_EXISTS') throw error;
  }
}

/** What was registered, for a reader. */
export function summary(version: Version, alias: string | undefined): string {
  return facts([
    ['model', version.modelName],
    ['version', String(version.version)],
    ...(alias === undefined ? [] : [['alias', alias] as const]),
    ['digest', version.digest],
    ['features', version.signature.features.map(({ name, dtype }) => `${name}:${dtype}`).join(' ')],
    ['outputs', version.signature.outputs.map(({ name, dtype }) => `${name}:${dtype}`).join(' ')],
    ['id', version.id],
  ]);
}
