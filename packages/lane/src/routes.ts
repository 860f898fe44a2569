/** From a path to the route of the lane that takes it. */
import type { LaneRoute } from './interfaces.ts';

export interface Match {
  readonly route: LaneRoute;
  readonly params: Readonly<Record<string, string>>;
}

export interface LaneRoutes {
  find(method: string, path: string): Match | undefined;
}

/** Longer than any name or id of Assay. */
const MAX_PARAM_LENGTH = 256;
/** Paths seen before; bounded, as callers choose them. */
const MAX_KNOWN = 1000;

export function createRoutes(routes: readonly LaneRoute[]): LaneRoutes {
  const patterns = routes.map((route) => ({ route, segments: route.pattern.split('/') }));
  const known = new Map<string, Match>();

  function match(method: string, path: string): Match | undefined {
    const given = path.split('/');
    for (const { route, segments } of patterns) {
      if (route.method !== method || segments.length !== given.length) continue;
      const params: Record<string, string> = {};
      const fits = segments.every((segment, i) => {
        const value = given[i] ?? '';
        if (!segment.startsWith(':')) return segment === value;
        params[segment.slice(1)] = value;
        return value.length > 0 && value.length <= MAX_PARAM_LENGTH && value !== '.' && value !== '..';
      });
      if (fits) return { route, params };
    }
    return undefined;
  }

  return {
    find(method, path) {
      const key = `${method} ${path}`;
      const seen = known.get(key);
      if (seen !== undefined) return seen;
      const found = match(method, path);
      if (found === undefined) return undefined;
      if (known.size >= MAX_KNOWN) known.clear();
      known.set(key, found);
      return found;
    },
  };
}
