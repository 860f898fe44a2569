/** `assay datasets add`: what the files hold is read from them, then they are uploaded and registered. */
import { basename, resolve } from 'node:path';
import { createRegistryClient, type LocalDatasetFile, type RegistryClient } from '@assay/client';
import {
  AssayError,
  DATASET_FILE_NAME_PATTERN,
  type DatasetColumn,
  type DatasetFormat,
  type DatasetLayer,
  type DatasetVersion,
  MAX_DATASET_FILES,
} from '@assay/contracts';
import type { DataFile } from '@assay/tables';
import type { Io } from '../io.ts';
import { json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { bytesText, datasetFacts, filesText, findVersion } from './datasets.ts';
import { readTable } from './datasets-read.ts';

export interface AddOptions extends TargetOptions {
  readonly format?: DatasetFormat;
  readonly type: readonly string[];
  readonly layer?: DatasetLayer;
  readonly source?: string;
  readonly owner?: string;
  readonly licence?: string;
  readonly knownBias?: string;
  readonly personalData?: readonly string[];
  readonly description?: string;
  readonly changes?: string;
  readonly parent: readonly string[];
}

/** What was said of the version before is said of this one, too, unless an option says otherwise. */
export async function add(io: Io, name: string, paths: readonly string[], options: AddOptions): Promise<void> {
  const { signal } = io;
  const types = Object.fromEntries(options.type.map(readType));
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const parents: string[] = [];
  for (const parent of options.parent) parents.push((await findVersion(registry, parent, signal)).id);

  const files = await findFiles(io, paths);
  const named = files.map(localFileOf);
  checkNames(named);
  const before = await newestOf(registry, name, signal);
  const personalData = options.personalData ?? before?.personalData ?? [];
  const read = await readTable(files, {
    ...options,
    types,
    personalData,
    personalDataOf:
      options.personalData === undefined && before !== undefined
        ? `the personal data of version ${before.version} (--personal-data says it anew)`
        : '--personal-data',
    signal,
  });
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const otherwise = before === undefined ? [] : changesOf(before.schema, read.schema);
  if (!options.json && before !== undefined && otherwise.length > 0) {
    io.err(`Since version ${before.version}: ${otherwise.join(', ')}.\n`);
  }
  const rows = read.rows === 1 ? '1 row' : `${read.rows} rows`;
  if (!options.json) io.err(`${filesText(files.length)}, ${bytesText(sizeBytes)}, ${rows}: registering …\n`);
  const version = await registry.registerDataset(
    name,
    {
      ...read,
      files: named,
      layer: options.layer ?? before?.layer ?? 'raw',
      source: options.source ?? before?.source ?? '',
      owner: options.owner ?? before?.owner ?? '',
      licence: options.licence ?? before?.licence ?? '',
      knownBias: options.knownBias ?? before?.knownBias ?? '',
      description: options.description ?? before?.description ?? '',
      personalData: [...personalData],
      ...(options.changes === undefined ? {} : { changes: options.changes }),
      ...(parents.length === 0 ? {} : { parents }),
    },
    { signal },
  );
  io.out(options.json ? json(version) : datasetFacts(version));
}

/** What a reader of the version before would stumble over. */
function changesOf(before: readonly DatasetColumn[], now: readonly DatasetColumn[]): string[] {
  const old = new Map(before.map((column) => [column.name, column]));
  const names = new Set(now.map(({ name }) => name));
  const gone = before.filter(({ name }) => !names.has(name)).map(({ name }) => `${name} is gone`);
  const others = now.flatMap(({ name, type, nullable }) => {
    const known = old.get(name);
    if (known === undefined) return [`${name} is new`];
    if (known.type !== type) return [`${name} is ${type} (was ${known.type})`];
    return nullable && !known.nullable ? [`${name} has missing values`] : [];
  });
  return [...gone, ...others];
}

/** undefined for the first version of a dataset. */
async function newestOf(
  registry: RegistryClient,
  name: string,
  signal: AbortSignal,
): Promise<DatasetVersion | undefined> {
  try {
    return await registry.getDatasetVersion(name, undefined, { signal });
  } catch (error) {
    if (error instanceof AssayError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** `COLUMN=TYPE` */
function readType(text: string): [string, string] {
  const equals = text.lastIndexOf('=');
  if (equals > 0 && equals < text.length - 1) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new AssayError('INVALID_ARGUMENT', `--type ${text}: expected COLUMN=TYPE, such as code=VARCHAR`);
}

async function findFiles(io: Io, paths: readonly string[]): Promise<DataFile[]> {
  const { findDataFiles } = await import('@assay/tables');
  const found = new Map<string, DataFile>();
  for (const path of paths) {
    const files = await findDataFiles(resolve(io.cwd, path), io.signal).catch((error: unknown) => {
      throw withoutPlace(error);
    });
    for (const file of files) found.set(file.path, file);
  }
  if (found.size > MAX_DATASET_FILES) {
    throw new AssayError('INVALID_ARGUMENT', `${found.size} files; a dataset version has ${MAX_DATASET_FILES} at most`);
  }
  return [...found.values()];
}

/** The place of a spec in a message means nothing on a command line. */
function withoutPlace(error: unknown): unknown {
  if (!(error instanceof AssayError) || !error.message.startsWith('source.path: ')) return error;
  return new AssayError(error.code, error.message.slice('source.path: '.length), { cause: error });
}

function localFileOf({ path, sha256, sizeBytes }: DataFile): LocalDatasetFile {
  return { name: basename(path), file: path, content: { sha256, sizeBytes } };
}

function checkNames(files: readonly LocalDatasetFile[]): void {
  const seen = new Map<string, string>();
  for (const { name, file } of files) {
    if (!new RegExp(DATASET_FILE_NAME_PATTERN).test(name)) {
      throw new AssayError(
        'INVALID_ARGUMENT',
        `${file}: a file of a dataset has a name of letters, digits, . _ = and -, not beginning with . or -; rename it`,
      );
    }
    const before = seen.get(name.toLowerCase());
    if (before !== undefined) {
      throw new AssayError('INVALID_ARGUMENT', `${before} and ${file} have the same name in the dataset; rename one`);
    }
    seen.set(name.toLowerCase(), file);
  }
}
