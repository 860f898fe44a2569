/**
 * A kind of resource: a file of `kinds/` defines it, and a line of `kinds/index.ts` makes it known. The rest (reading,
 * comparing, planning, applying, exporting) knows no kind.
 */
import { canonicalJson } from '@assay/contracts';
import type { TSchema } from 'typebox';
import type { Document } from './documents.ts';
import type { Session } from './session.ts';

export interface Definition<Spec, Found> {
  /** As documents name it: `Model`. */
  readonly kind: string;
  /** Of the whole document. */
  readonly schema: TSchema;
  /** Where `assay export` writes them: `models`. */
  readonly folder: string;
  /** Two names that are one resource have one identity. Default: the name. */
  identity?(name: string): string;
  /** @throws AssayError of `document.wrong` for a name that cannot be one */
  find(document: Document, session: Session): Promise<Found | undefined>;
  /** What is there, as a file says it. What has its default is left out, so that two specs can be compared. */
  specOf(found: Found, session: Session): Promise<Spec>;
  /**
   * What the file says, in that same form.
   * @throws AssayError of `document.wrong` for what can be seen to fail now: a version that is not there
   */
  wanted(spec: Spec, document: Document, found: Found | undefined, session: Session): Promise<Spec>;
  /** Compare-and-set against `found`. Gives what the person should know, if anything. */
  write(change: Writing<Spec, Found>, session: Session): Promise<string | undefined>;
  /** Absent for a kind that is never deleted: then its schema knows no `absent`. */
  remove?(found: Found, session: Session): Promise<void>;
  list(session: Session): AsyncIterable<Exported<Spec>>;
}

export interface Writing<Spec, Found> {
  readonly name: string;
  readonly spec: Spec;
  /** As it was when the plan was made; both are undefined for what is not there yet. */
  readonly found: Found | undefined;
  readonly before: Spec | undefined;
  /** What this apply has done before. */
  readonly done: readonly Step[];
}

export interface Exported<Spec> {
  readonly name: string;
  readonly spec: Spec;
  /** Of its file, without the ending, where the name cannot be one. */
  readonly fileName?: string;
}

/** A change that a plan holds. */
export interface Step {
  readonly action: 'make' | 'change' | 'delete';
  readonly kind: Kind;
  readonly name: string;
  readonly place: string;
  /** Specs; undefined for what is not there. */
  readonly before: unknown;
  readonly after: unknown;
  run(done: readonly Step[]): Promise<string | undefined>;
}

/** A definition whose types nobody outside of it needs. */
export interface Kind {
  readonly name: string;
  readonly schema: TSchema;
  readonly folder: string;
  identity(name: string): string;
  /** undefined where there is nothing to do. */
  plan(document: Document, session: Session): Promise<Step | undefined>;
  list(session: Session): AsyncIterable<Exported<unknown>>;
}

export function defineKind<Spec, Found>(definition: Definition<Spec, Found>): Kind {
  const { find, specOf, wanted, write, remove } = definition;
  const kind: Kind = {
    name: definition.kind,
    schema: definition.schema,
    folder: definition.folder,
    identity: definition.identity ?? ((name) => name),
    list: (session) => definition.list(session),
    async plan(document, session) {
      const { name, place } = document;
      const found = await find(document, session);
      const before = found === undefined ? undefined : await specOf(found, session);
      if (document.spec === undefined) {
        if (found === undefined || remove === undefined) return undefined;
        const run = async (): Promise<undefined> => {
          await remove(found, session);
        };
        return { action: 'delete', kind, name, place, before, after: undefined, run };
      }
      const spec = await wanted(document.spec as Spec, document, found, session); // its schema has taken it
      if (before !== undefined && canonicalJson(before) === canonicalJson(spec)) return undefined;
      return {
        action: found === undefined ? 'make' : 'change',
        kind,
        name,
        place,
        before,
        after: spec,
        run: (done) => write({ name, spec, found, before, done }, session),
      };
    },
  };
  return kind;
}

/** What may be undefined in `T` may be left out. */
type Sparse<T> = T extends unknown
  ? { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
      [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
    }
  : never;

/** `spec` without what is undefined, an empty text, an empty list or an empty object: what has its default. */
export function withoutDefaults<T extends object>(spec: T): Sparse<T> {
  const kept = Object.entries(spec).filter(([, value]) => {
    if (value === undefined || value === '') return false;
    return typeof value !== 'object' || value === null || Object.keys(value).length > 0;
  });
  return Object.fromEntries(kept) as Sparse<T>; // what a spec requires is never empty: its schema has taken it
}
