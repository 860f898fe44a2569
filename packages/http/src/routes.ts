/** What the app knows of its routes, to say more than "not found". */
import { AssayError, nearest } from '@assay/contracts';

export interface RouteTable {
  add(method: string, pattern: string): void;
  /** Why no route took this request: METHOD_NOT_ALLOWED with the methods that exist, or NOT_FOUND with the nearest. */
  explainMiss(method: string, url: string): { error: AssayError; allow?: string };
}

interface KnownRoute {
  readonly segments: readonly string[];
  readonly methods: Set<string>;
}

const MAX_COMPARED_LENGTH = 200;

export function createRouteTable(): RouteTable {
  const routes = new Map<string, KnownRoute>();
  return {
    add(method, pattern) {
      const known = routes.get(pattern) ?? { segments: pattern.split('/'), methods: new Set<string>() };
      known.methods.add(method);
      routes.set(pattern, known);
    },
    explainMiss(method, url) {
      const path = url.split('?', 1)[0] ?? '';
      const segments = path.split('/');
      // Words before parameters, as OpenAPI matches paths: what only a parameter's route takes is none of the word's.
      const fitting = [...routes.values()]
        .filter((route) => fits(route.segments, segments))
        .sort((a, b) => byWords(a.segments, b.segments));
      const closest = fitting.filter((route) => byWords(route.segments, fitting[0]?.segments ?? []) === 0);
      const methods = new Set(closest.flatMap((route) => [...route.methods]));
      const shown = path.length > MAX_COMPARED_LENGTH ? `${path.slice(0, MAX_COMPARED_LENGTH)}…` : path;
      if (methods.size > 0) {
        const allow = [...methods].sort().join(', ');
        const message = `${method} is not a method of ${shown}; it takes ${allow}`;
        return { error: new AssayError('METHOD_NOT_ALLOWED', message), allow };
      }
      const suggestion =
        path.length > MAX_COMPARED_LENGTH
          ? undefined
          : nearest(
              path,
              [...routes.values()].map((route) => fill(route.segments, segments)),
            );
      const hint = suggestion === undefined ? 'GET /openapi.json lists what there is' : `did you mean ${suggestion}?`;
      return { error: new AssayError('NOT_FOUND', `there is no route ${method} ${shown}; ${hint}`) };
    },
  };
}

function fits(pattern: readonly string[], segments: readonly string[]): boolean {
  const isOpen = pattern.at(-1) === '*';
  if (isOpen ? segments.length < pattern.length : segments.length !== pattern.length) return false;
  return pattern.every((part, i) => part === '*' || (part.startsWith(':') ? segments[i] !== '' : part === segments[i]));
}

/** The pattern with a word where the other has a parameter comes first, from the left. */
function byWords(a: readonly string[], b: readonly string[]): number {
  const openness = (part = '*') => (part === '*' ? 2 : part.startsWith(':') ? 1 : 0);
  const at = a.findIndex((part, i) => openness(part) !== openness(b[i]));
  return at === -1 ? 0 : openness(a[at]) - openness(b[at]);
}

/** A pattern with the names that the caller used, so that only its fixed words are compared. */
function fill(pattern: readonly string[], segments: readonly string[]): string {
  return pattern.map((part, i) => (part.startsWith(':') ? (segments[i] ?? part) : part)).join('/');
}
