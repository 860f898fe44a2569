/** The documents of a folder: each read, placed, and checked against the schema of its kind. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { AssayError, canonicalJson, type ErrorDetail, nearest, type ResourceDocument } from '@assay/contracts';
import { type PathToken, readYamlDocuments, type YamlDocument } from '@assay/runtime';
import Type from 'typebox';
import { readUserFile, unreadable } from '../user-files.ts';
import type { Kind } from './kind.ts';

const EXTENSIONS = ['.yaml', '.yml', '.json'];
const MAX_FILES = 10_000;

/** What begins every document; the rest is up to its kind. */
const Beginning = Type.Object({ kind: Type.String() });

/** A document of a file. */
export interface Document {
  readonly kind: Kind;
  readonly name: string;
  /** What the schema of its kind has taken; undefined for what is to be absent. */
  readonly spec: unknown;
  /** `platform/aliases.yaml:12` */
  readonly place: string;
  /** What is wrong at a path of it, with its line. */
  wrong(path: readonly PathToken[], message: string, expected?: string): AssayError;
}

/**
 * Every document below `dir`, or of the one file that it names. Hidden files and folders, and files that are neither YAML
 * nor JSON, are passed over.
 * @param dir as the person gave it: it begins every place
 * @throws AssayError INVALID_ARGUMENT with each wrong place of every file
 */
export async function readDocuments(cwd: string, dir: string, kinds: readonly Kind[]): Promise<Document[]> {
  const problems: ErrorDetail[] = [];
  const documents: Document[] = [];
  for (const path of await filesBelow(cwd, dir)) {
    const text = await readUserFile({ cwd }, path);
    try {
      for (const yaml of readYamlDocuments(text, path)) {
        const read = readDocument(yaml, kinds);
        if (Array.isArray(read)) problems.push(...read);
        else documents.push(read);
      }
    } catch (error) {
      if (!(error instanceof AssayError)) throw error;
      problems.push(...(error.details.length > 0 ? error.details : [{ place: path, message: error.message }]));
    }
  }
  problems.push(...saidTwice(documents));
  refuseProblems(problems);
  return documents;
}

/** The paths of the files that are read, in a fixed order. */
export async function filesBelow(cwd: string, dir: string): Promise<string[]> {
  const root = resolve(cwd, dir);
  const isFile = await stat(root).then(
    (stats) => stats.isFile(),
    (cause) => {
      throw unreadable(dir, cause, 'file or folder');
    },
  );
  if (isFile) return [dir];
  const paths: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    const entries = await readdir(resolve(cwd, folder), { withFileTypes: true }).catch((cause: unknown) => {
      throw unreadable(folder, cause, 'folder');
    });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.')) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await walk(path);
      else if (EXTENSIONS.includes(extname(entry.name))) paths.push(path);
    }
    if (paths.length > MAX_FILES) {
      throw new AssayError('INVALID_ARGUMENT', `${dir}: more than ${MAX_FILES} files; name a smaller folder`);
    }
  };
  await walk(dir);
  return paths;
}

/** @throws AssayError INVALID_ARGUMENT that tells all of them, if there are any */
export function refuseProblems(details: readonly ErrorDetail[]): void {
  const [first] = details;
  if (first === undefined) return;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, { details });
}

function readDocument(yaml: YamlDocument, kinds: readonly Kind[]): Document | ErrorDetail[] {
  const problems = yaml.problems(Beginning);
  if (problems.length > 0) return problems;
  const { kind: named } = yaml.value as { readonly kind: string }; // the schema has taken it
  const kind = kinds.find(({ name }) => name === named);
  if (kind === undefined) {
    const names = kinds.map(({ name }) => name);
    const suggestion = nearest(named, names);
    const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
    const expected = `one of ${names.join(', ')}`;
    return [{ place: yaml.place(['kind']), message: `there is no kind "${named}"${hint}`, expected }];
  }
  const wrong = yaml.problems(kind.schema);
  if (wrong.length > 0) return wrong;
  const document = yaml.value as ResourceDocument; // what the schemas of all kinds say
  return {
    kind,
    name: document.name,
    spec: 'spec' in document ? document.spec : undefined,
    place: yaml.place([]),
    wrong(path, message, expected) {
      const detail = { place: yaml.place(path), message, ...(expected === undefined ? {} : { expected }) };
      return new AssayError('INVALID_ARGUMENT', `${detail.place}: ${message}`, { details: [detail] });
    },
  };
}

function saidTwice(documents: readonly Document[]): ErrorDetail[] {
  const seen = new Map<string, Document>();
  const details: ErrorDetail[] = [];
  for (const document of documents) {
    const { kind, name, place } = document;
    const key = canonicalJson([kind.name, kind.identity(name)]);
    const before = seen.get(key);
    if (before === undefined) seen.set(key, document);
    else details.push({ place, message: `${kind.name} ${name} is in ${before.place} already` });
  }
  return details;
}
