/** Principals that mean something already: those that act without a key, and the services with what each may do. */
import { AssayError, nearest, type PrincipalKind, type Scope } from '@assay/contracts';

/** Who acts when the registry itself takes over the keys of the bootstrap folder. */
export const BOOTSTRAP = 'bootstrap';

/** Who acts when the registry gives up on the receiver of a webhook. */
export const WEBHOOKS = 'webhooks';

/** Who acts when the registry collects by its schedule. */
export const COLLECTOR = 'collector';

/** `local`: whoever calls from this machine while there are no keys. */
const RESERVED: readonly string[] = ['local', BOOTSTRAP, WEBHOOKS, COLLECTOR];

/** @throws AssayError INVALID_ARGUMENT */
export function checkPrincipalName(name: string): void {
  if (!RESERVED.includes(name)) return;
  throw new AssayError('INVALID_ARGUMENT', `principal: "${name}" is reserved; choose another name`, {
    details: [
      { place: 'principal', message: `"${name}" is reserved`, expected: `a name other than ${RESERVED.join(', ')}` },
    ],
  });
}

export interface BootstrapRole {
  readonly kind: PrincipalKind;
  readonly scopes: readonly Scope[];
  readonly description: string;
}

/** Who may have a key in the bootstrap folder: the name of the file, and the least that each needs. */
const BOOTSTRAP_ROLES: Readonly<Record<string, BootstrapRole>> = {
  admin: { kind: 'person', scopes: ['admin'], description: 'The first administrator.' },
  inference: { kind: 'service', scopes: ['read'], description: 'Reads routing, packages and keys.' },
  training: {
    kind: 'service',
    scopes: ['read', 'register', 'promote'],
    description: 'Registers what its jobs have trained, and moves the alias that a spec names.',
  },
  batch: {
    kind: 'service',
    scopes: ['read', 'register'],
    description: 'Reads the versions that its jobs score with, and registers the datasets that they write.',
  },
  monitoring: { kind: 'service', scopes: ['read', 'promote'], description: 'Watches endpoints, and judges rollouts.' },
  metrics: { kind: 'service', scopes: ['read'], description: 'Prometheus, which scrapes /metrics.' },
};

export const BOOTSTRAP_NAMES: readonly string[] = Object.keys(BOOTSTRAP_ROLES);

/** @throws AssayError FAILED_PRECONDITION for a name that has no role */
export function bootstrapRole(name: string): BootstrapRole {
  const role = Object.hasOwn(BOOTSTRAP_ROLES, name) ? BOOTSTRAP_ROLES[name] : undefined;
  if (role !== undefined) return role;
  const suggestion = nearest(name, BOOTSTRAP_NAMES);
  throw new AssayError(
    'FAILED_PRECONDITION',
    `"${name}" is not one whose key may be in the bootstrap folder${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}; expected ${BOOTSTRAP_NAMES.join(', ')}`,
  );
}
