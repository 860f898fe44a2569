/** What the gates of a model guard, what may be set as gates, and how a move that they hold back is refused. */
import { AssayError, type ErrorDetail, type GateResult, type Gates } from '@assay/contracts';

const REQUIREMENTS = [
  'approvals',
  'metrics',
  'betterThanChampion',
  'checks',
  'shadow',
] as const satisfies (keyof Gates)[];

/** Where a version is to go. */
export type Destination =
  /** `endpoints`: those that follow the alias, or will. */
  | { readonly kind: 'alias'; readonly alias: string; readonly endpoints: readonly string[] }
  | { readonly kind: 'endpoint'; readonly endpoint: string }
  /** MLflow's. Nothing follows it here; a client that loads `models:/NAME/Production` does. */
  | { readonly kind: 'production' };

export function requireAnything(gates: Gates): boolean {
  return REQUIREMENTS.some((requirement) => gates[requirement] !== undefined);
}

/** Whether a version must pass the gates before it goes there. */
export function isGuarded(gates: Gates, to: Destination): boolean {
  if (!requireAnything(gates)) return false;
  const names = (list: readonly string[] | undefined, name: string) => list === undefined || list.includes(name);
  switch (to.kind) {
    case 'alias':
      return names(gates.aliases, to.alias) || to.endpoints.some((name) => names(gates.endpoints, name));
    case 'endpoint':
      return names(gates.endpoints, to.endpoint);
    case 'production':
      return true;
  }
}

/**
 * @param hasKeys whether callers have keys; without them everyone is one principal
 * @throws AssayError INVALID_ARGUMENT with each gate that could never be met, or that would hold nothing back;
 *   FAILED_PRECONDITION for approvals where there are no keys
 */
export function checkGates(gates: Gates, hasKeys: boolean): void {
  const details: ErrorDetail[] = [];
  const wrong = (place: string, message: string, expected: string) =>
    details.push({ place: `gates.${place}`, message, expected });
  for (const list of ['metrics', 'betterThanChampion'] as const) {
    const seen = new Set<string>();
    for (const [i, { metric }] of (gates[list] ?? []).entries()) {
      if (seen.has(metric)) wrong(`${list}[${i}].metric`, `"${metric}" comes twice`, 'each metric once');
      seen.add(metric);
    }
  }
  for (const [i, { metric, min, max }] of (gates.metrics ?? []).entries()) {
    if (min === undefined && max === undefined)
      wrong(`metrics[${i}]`, `${metric} has no bound`, '`min`, `max` or both');
    if (min !== undefined && max !== undefined && min > max) {
      wrong(`metrics[${i}]`, `no ${metric} is above ${min} and below ${max}`, '`min` below `max`');
    }
  }
  if (gates.aliases?.length === 0 && gates.endpoints?.length === 0) {
    wrong('aliases', 'no alias and no endpoint is guarded', 'one at least in `aliases` or `endpoints`');
  }
  if (gates.shadow !== undefined && gates.endpoints?.length === 0) {
    wrong('shadow', 'rows count at guarded endpoints, and none is guarded', 'one at least in `endpoints`');
  }
  const [first] = details;
  if (first) throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
  if (gates.approvals !== undefined && !hasKeys) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      'gates.approvals: without API keys everyone is `local`, and nobody could approve what `local` registered; turn keys on first (docs/security.md)',
      { details: [{ place: 'gates.approvals', message: 'there are no API keys', expected: 'a registry with keys' }] },
    );
  }
}

/** A move that gates hold back. MLflow's clients are told PERMISSION_DENIED: see mlflow/errors.ts. */
export class GatesNotMet extends AssayError {
  constructor(what: string, missing: readonly GateResult[]) {
    const names = missing.map(({ gate }) => gate).join(', ');
    super(
      'FAILED_PRECONDITION',
      `${what}: gates are not met: ${names}. Meet them, or let an administrator force it with a reason.`,
      { details: missing.map(detailOf) },
    );
  }
}

function detailOf({ gate, required, found, action }: GateResult): ErrorDetail {
  return {
    place: `gates.${gate}`,
    message: `there is: ${found}${action === undefined ? '' : `; to do: ${action}`}`,
    expected: required,
  };
}
