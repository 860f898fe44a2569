/** Whether this replica should be sent traffic, and what an operator should know in either case. */
import type { Serving } from './serving.ts';

export interface ReadinessCheck {
  readonly ready: boolean;
  /** Why not; or, where it is ready all the same, what is wrong. */
  readonly message?: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: { readonly routing: ReadinessCheck; readonly endpoints: ReadinessCheck };
}

const MAX_PROBLEMS = 20;

/**
 * Judges readiness. It is ready once a first snapshot has been settled and, if there are endpoints, at least one is
 * served; later failures are told and do not take it out, since what serves keeps serving.
 */
export function createReadiness(
  serving: Serving,
  routing: { ageMs: () => number | undefined; staleAfterMs: number },
): () => Readiness {
  let hasServed = false;
  return () => {
    const { convergence } = serving;
    const status = convergence.status();
    const served = status.some(({ applied }) => applied !== undefined);
    const isRouted = convergence.wanted !== undefined;
    hasServed ||= isRouted && convergence.settled && (served || status.length === 0);

    const problems = status.flatMap(({ wanted, problem }) =>
      problem === undefined ? [] : `endpoint "${wanted.name}": ${problem}`,
    );
    const loading = hasServed ? undefined : 'the first versions are being loaded';
    return {
      ready: isRouted && hasServed,
      checks: {
        routing: check(isRouted, routingMessage(isRouted, routing.ageMs(), routing.staleAfterMs)),
        endpoints: check(hasServed, problems.length > 0 ? sentence(problems) : loading),
      },
    };
  };
}

function routingMessage(isRouted: boolean, ageMs: number | undefined, staleAfterMs: number): string | undefined {
  if (!isRouted) return 'no routing snapshot yet: the registry has not answered and none is cached';
  if (ageMs === undefined) return 'the registry has not answered since the start; serving what is cached';
  if (ageMs <= staleAfterMs) return undefined;
  return `the registry has not answered for ${Math.round(ageMs / 1000)} s; serving what was last known`;
}

function sentence(problems: readonly string[]): string {
  const more = problems.length - MAX_PROBLEMS;
  return problems.slice(0, MAX_PROBLEMS).join('; ') + (more > 0 ? `; and ${more} more` : '');
}

function check(ready: boolean, message: string | undefined): ReadinessCheck {
  return message === undefined ? { ready } : { ready, message };
}
