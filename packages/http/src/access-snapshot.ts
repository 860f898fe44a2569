/** The keys of a snapshot, laid out to be looked up. */
import { type KeySnapshot, type PrincipalKind, SCOPES, type Scope } from '@assay/contracts';

/** Who calls. */
export interface Caller {
  /** The principal's name, which never changes: what logs and audit entries say. */
  readonly principal: string;
  /** null for `local`, which is nobody's record. */
  readonly principalId: string | null;
  readonly kind: PrincipalKind;
  /** null where there are no keys. */
  readonly keyId: string | null;
  readonly scopes: ReadonlySet<Scope>;
  /** The endpoints that may be scored; null for all. */
  readonly endpoints: ReadonlySet<string> | null;
}

/** Whoever calls from this machine while there are no keys. */
export const LOCAL_CALLER: Caller = {
  principal: 'local',
  principalId: null,
  kind: 'person',
  keyId: null,
  scopes: new Set(SCOPES),
  endpoints: null,
};

export interface HeldKey {
  readonly secretSha256: Buffer;
  readonly caller: Caller;
}

export interface HeldKeys {
  readonly revision: number;
  readonly byId: ReadonlyMap<string, HeldKey>;
}

export function holdKeys({ revision, keys }: KeySnapshot): HeldKeys {
  const byId = new Map<string, HeldKey>();
  for (const key of keys) {
    byId.set(key.id, {
      secretSha256: Buffer.from(key.secretSha256, 'hex'),
      caller: {
        principal: key.principalName,
        principalId: key.principalId,
        kind: key.principalKind,
        keyId: key.id,
        scopes: new Set(SCOPES.filter((scope) => key.scopes.includes(scope))), // one that is not known here grants nothing
        endpoints: key.endpoints === undefined ? null : new Set(key.endpoints),
      },
    });
  }
  return { revision, byId };
}
