/**
 * What is wrong with a value that no branch of a union takes. The validator reports every branch; a reader wants only
 * the one that was meant, or, where none can be told, what would have been taken.
 */
import type { TSchema } from 'typebox';
import type { Validator } from 'typebox/compile';
import type { ErrorDetail } from './errors.ts';
import { nearest } from './nearest.ts';
import { joinPlace, show, toPlace, valueAt } from './places.ts';

export type ValidationError = ReturnType<Validator['Errors']>[number];

export interface UnionReading {
  /** Whether an error at this schema path belongs to a branch that was not meant. */
  isNotMeant(schemaPath: string): boolean;
  /** What to say in the place of a union's own error. */
  readonly details: ReadonlyMap<ValidationError, readonly ErrorDetail[]>;
}

interface Branch {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, { readonly const?: unknown }>>;
}

export function readUnions(
  errors: readonly ValidationError[],
  schema: TSchema,
  root: unknown,
  what: string,
): UnionReading {
  const notMeant: string[] = [];
  const details = new Map<ValidationError, ErrorDetail[]>();
  for (const error of errors) {
    if (error.keyword !== 'anyOf') continue;
    const path = `${error.schemaPath}/anyOf`;
    const branches = valueAt(schema, path.replace(/^#/, ''));
    if (!Array.isArray(branches)) continue;
    const value = valueAt(root, error.instancePath);
    const place = toPlace(error.instancePath, what);
    const reading = readUnion(branches, value, place, what);
    details.set(error, reading.details);
    branches.forEach((_, i) => {
      if (i !== reading.meant) notMeant.push(`${path}/${i}`);
    });
  }
  return {
    isNotMeant: (schemaPath) => notMeant.some((path) => schemaPath === path || schemaPath.startsWith(`${path}/`)),
    details,
  };
}

function readUnion(branches: readonly Branch[], value: unknown, place: string, what: string) {
  const tag = typeof value === 'object' && value !== null ? tagOf(branches) : undefined;
  if (tag !== undefined) {
    const carried = (value as Record<string, unknown>)[tag.name]; // an object; a missing key is undefined
    const meant = tag.values.indexOf(carried);
    if (meant >= 0) return { meant, details: [] };
    const known = tag.values.map(String);
    const suggestion = typeof carried === 'string' ? nearest(carried, known) : undefined;
    const message =
      carried === undefined
        ? 'is required'
        : `${show(carried)} is not one of the allowed values${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`;
    return {
      meant: -1,
      details: [{ place: joinPlace(place, tag.name, what), message, expected: `one of ${known.join(', ')}` }],
    };
  }
  const keys = typeof value === 'object' && value !== null ? keysOf(branches) : undefined;
  if (keys !== undefined) {
    const carried = keys.filter((key) => Object.hasOwn(Object(value), key));
    const [only, second] = carried;
    if (only !== undefined && second === undefined) return { meant: keys.indexOf(only), details: [] };
    const message =
      only === undefined ? `needs ${keys.join(' or ')}` : `has ${carried.join(' and ')}, which exclude each other`;
    return { meant: -1, details: [{ place, message, expected: `one of ${keys.join(', ')}` }] };
  }
  const sameType = branches.filter((branch) => branch.type === jsonType(value));
  const meant = sameType.length === 1 && sameType[0] !== undefined ? branches.indexOf(sameType[0]) : -1;
  if (meant >= 0) return { meant, details: [] };
  const expected = branches.map(describeBranch).join(' or ');
  return { meant: -1, details: [{ place, message: `must be ${expected}, got ${show(value)}`, expected }] };
}

/** The property whose literal value tells the branches of a tagged union apart. */
function tagOf(branches: readonly Branch[]): { name: string; values: unknown[] } | undefined {
  for (const name of Object.keys(branches[0]?.properties ?? {})) {
    const values = branches.map((branch) => branch.properties?.[name]?.const);
    if (values.every((value) => value !== undefined) && new Set(values).size === values.length) return { name, values };
  }
  return undefined;
}

/** Of each branch the key that it alone has, and requires: `path` of one, `dataset` of the other. */
function keysOf(branches: readonly Branch[]): string[] | undefined {
  const keys = branches.flatMap((branch) => {
    const others = branches.filter((other) => other !== branch);
    return (branch.required ?? []).find((key) => others.every(({ properties = {} }) => !(key in properties))) ?? [];
  });
  return keys.length === branches.length ? keys : undefined;
}

function describeBranch(branch: Branch): string {
  if (branch.const !== undefined) return show(branch.const);
  if (branch.enum !== undefined) return `one of ${branch.enum.map(String).join(', ')}`;
  return branch.type ?? 'something else';
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}
