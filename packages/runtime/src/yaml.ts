/** YAML for specs and config: strict, bounded, and every complaint with its line. */
import { AssayError, type ErrorDetail, explain } from '@assay/contracts';
import type { Static, TSchema } from 'typebox';
import {
  type Document,
  type DocumentOptions,
  isMap,
  isNode,
  isSeq,
  LineCounter,
  type Node,
  type ParseOptions,
  parseAllDocuments,
  parseDocument,
  stringify,
} from 'yaml';

/** Specs and config are written by hand; what is larger is a mistake. */
const MAX_YAML_CHARACTERS = 1_000_000;
const MAX_DEPTH = 64;
/** Checked before the text is parsed, which takes seconds for 100,000 brackets; quotes are not looked at, so it is generous. */
const MAX_BRACKETS = 1000;

export type PathToken = string | number;

/** A parsed document whose values can be found again in the text. */
export interface YamlDocument {
  readonly value: unknown;
  /** `spec.yaml:12: features[0].dtype`: the line of the key or item at `path`, or of the nearest parent that exists. */
  place(path: readonly PathToken[]): string;
  /** Each place where it is not what `schema` says, with its line and, for a typo, the nearest valid key. */
  problems(schema: TSchema): ErrorDetail[];
}

/**
 * `text` as what `schema` says.
 * @param fileName begins every place: `spec.yaml:12: features[0].dtype`
 * @throws AssayError INVALID_ARGUMENT with each wrong place, its line and, for a typo, the nearest valid key
 */
export function parseYaml<S extends TSchema>(schema: S, text: string, fileName: string): Static<S> {
  const document = readYaml(text, fileName);
  const details = document.problems(schema);
  if (details.length === 0) return document.value as Static<S>; // nothing was found that the schema does not say
  throw refusal(details);
}

/**
 * Reads YAML 1.2 without judging what it says.
 * @throws AssayError INVALID_ARGUMENT with the line, for syntax errors, duplicate keys, several documents and alias bombs
 */
export function readYaml(text: string, fileName: string): YamlDocument {
  const [document] = read(text, fileName, (options) => [parseDocument(text, options)]);
  if (document === undefined) throw new AssayError('INTERNAL', 'a text is one document, if an empty one');
  return document;
}

/**
 * Like {@link readYaml}, of a file that may hold several documents, with `---` between; empty ones are left out.
 * JSON is YAML, too.
 */
export function readYamlDocuments(text: string, fileName: string): YamlDocument[] {
  const documents = read(text, fileName, (options) => {
    const parsed = parseAllDocuments(text, options);
    return Array.isArray(parsed) ? parsed : []; // an empty stream is an object of its own
  });
  return documents.filter(({ value }) => value !== null);
}

/** What {@link readYaml} reads as this value again. */
export function writeYaml(value: unknown, options: { readonly sorted?: boolean } = {}): string {
  return stringify(value, {
    lineWidth: 0, // a text that was broken anew would be a change to whoever compares lines
    aliasDuplicateObjects: false,
    sortMapEntries: options.sorted === true,
  });
}

type Parse = (options: ParseOptions & DocumentOptions) => readonly Document[];

function read(text: string, fileName: string, parse: Parse): YamlDocument[] {
  if (text.length > MAX_YAML_CHARACTERS) {
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `${fileName}: ${text.length} characters; at most ${MAX_YAML_CHARACTERS} are read`,
    );
  }
  if (deepestBrackets(text) > MAX_BRACKETS)
    throw new AssayError('INVALID_ARGUMENT', `${fileName}: is nested too deeply`);
  const lines = new LineCounter();
  try {
    const documents = parse({ lineCounter: lines, prettyErrors: false, strict: true, uniqueKeys: true });
    const details = documents.flatMap(({ errors, warnings }) =>
      [...errors, ...warnings].map((error) => ({
        place: `${fileName}:${lines.linePos(error.pos[0]).line}`,
        message: error.message,
      })),
    );
    if (details.length > 0) throw refusal(details);
    return documents.map((document) => documentOf(document, lines, fileName));
  } catch (error) {
    if (error instanceof AssayError) throw error;
    const reason =
      error instanceof RangeError ? 'is nested too deeply' : error instanceof Error ? error.message : String(error);
    throw new AssayError('INVALID_ARGUMENT', `${fileName}: ${reason}`, { cause: error });
  }
}

function documentOf(document: Document, lines: LineCounter, fileName: string): YamlDocument {
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  const bad = forbidden(value, fileName);
  if (bad !== undefined) throw new AssayError('INVALID_ARGUMENT', bad);
  const place = (path: readonly PathToken[]): string => {
    const line = `${fileName}:${lineOf(document, lines, path)}`;
    return path.length === 0 ? line : `${line}: ${showPath(path)}`;
  };
  return {
    value,
    place,
    problems(schema) {
      const root = 'the document';
      return explain(schema, value, root).map((detail) => ({
        ...detail,
        place: place(detail.place === root ? [] : pathOf(detail.place)),
      }));
    },
  };
}

function deepestBrackets(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    if (bracket === '[' || bracket === '{') deepest = Math.max(deepest, ++depth);
    else if (depth > 0) depth--;
  }
  return deepest;
}

/** What no spec needs and what breaks code that walks it: extreme depth, and keys that are not plain data. */
function forbidden(root: unknown, fileName: string): string | undefined {
  const stack: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { value, depth } = top;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > MAX_DEPTH) return `${fileName}: is nested more than ${MAX_DEPTH} levels deep`;
    if (Object.hasOwn(value, '__proto__')) return `${fileName}: the key "__proto__" is not allowed`;
    for (const child of Object.values(value)) stack.push({ value: child, depth: depth + 1 });
  }
  return undefined;
}

function refusal(details: readonly ErrorDetail[]): AssayError {
  const first = details[0];
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  return new AssayError('INVALID_ARGUMENT', `${first?.place}: ${first?.message}${more}`, { details });
}

function lineOf(document: Document, lines: LineCounter, path: readonly PathToken[]): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? startOf(node) : 0;
  for (const token of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isNode(item.key) ? item.key : item.key) === String(token));
      if (pair === undefined) break;
      if (isNode(pair.key)) offset = startOf(pair.key);
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(token)];
      if (!isNode(item)) break;
      offset = startOf(item);
      node = item;
    } else break;
  }
  return lines.linePos(offset).line;
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

/** The inverse of how `explain` writes places: `features[0]["a b"].dtype` → `['features', 0, 'a b', 'dtype']`. */
function pathOf(place: string): PathToken[] {
  const tokens: PathToken[] = [];
  for (const [, index, quoted, name] of place.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)) {
    if (index !== undefined) tokens.push(Number(index));
    else if (quoted !== undefined) tokens.push(String(JSON.parse(quoted)));
    else if (name !== undefined) tokens.push(name);
  }
  return tokens;
}

function showPath(path: readonly PathToken[]): string {
  return path
    .map((token, i) => {
      if (typeof token === 'number') return `[${token}]`;
      if (!/^[A-Za-z_$][\w$-]*$/.test(token)) return `[${JSON.stringify(token)}]`;
      return i === 0 ? token : `.${token}`;
    })
    .join('');
}
