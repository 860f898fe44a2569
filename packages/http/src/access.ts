/**
 * Who may call what. A route declares what it needs (`config: { access: 'promote' }`); a call shows its key as
 * `Authorization: Bearer assay_…`, the one way that HTTP libraries, the clients of the Open Inference Protocol, MLflow
 * and Prometheus all know. Nothing else is read as a key: not a query, not a cookie, not another header.
 *
 * A key is checked against digests that the process holds (access-follow.ts), so that no call waits for another service,
 * and in constant time. That costs some 2 µs; a door may remember what it found for as long as `held()` is the same, so
 * that nothing outlives a revoked key.
 * Without keys the caller is `local`, may do everything, and the app listens on loopback only.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { AssayError, type Scope } from '@assay/contracts';
import {
  counter,
  createLogLimiter,
  createMetrics,
  defineMetrics,
  gauge,
  type Logger,
  type Registry,
} from '@assay/runtime';
import { parseKeyText } from './access-key.ts';
import { type Caller, type HeldKeys, LOCAL_CALLER } from './access-snapshot.ts';

/**
 * What a route needs: a scope, or any one of several; `public`: nothing; `own`: a credential that the route checks
 * itself, such as the token of a job. The scope `admin` permits everything.
 */
export type RouteAccess = 'public' | 'own' | Scope | readonly Scope[];

export const accessMetrics = defineMetrics('http', {
  refusals: counter({
    name: 'assay_http_access_refusals_total',
    help: 'Calls refused for their key, by reason: missing, several (more than one Authorization header), malformed, unknown (or revoked, or with a wrong secret), unverifiable (no keys are held, or they are too old), scope, endpoint.',
    labels: ['reason'],
  }),
  keys: gauge({ name: 'assay_http_access_keys', help: 'Keys that are held; 0 where none are needed.' }),
  age: gauge({
    name: 'assay_http_access_keys_age_seconds',
    help: 'Time since the held keys were last confirmed by the registry; 0 where none are needed.',
  }),
});

/** The keys of all, as far as this process knows. */
export interface KeySource {
  /**
   * What holds now.
   * @throws AssayError UNAVAILABLE when no keys are known yet, or they are too old to be believed
   */
  current(): HeldKeys;
  readonly size: number;
  readonly ageMs: number;
}

export interface AccessOptions {
  readonly log: Logger;
  readonly registry: Registry;
  /** Absent: there are no keys. */
  readonly keys?: KeySource;
}

export interface Access {
  /** Whether calls need keys. */
  readonly isRequired: boolean;
  /**
   * The caller, if it may.
   * @param authorizations the value of every `Authorization` header, or metadata entry, of the call
   * @param endpoint the endpoint that the call would score
   * @throws AssayError UNAUTHENTICATED, PERMISSION_DENIED, or UNAVAILABLE when keys cannot be checked now
   */
  check(call: CheckedCall, needed: Exclude<RouteAccess, 'public' | 'own'>, endpoint?: string): Caller;
  /** What keys are checked against now; undefined where there are no keys, or they cannot be checked. */
  held(): HeldKeys | undefined;
  /** For `readyReport`: true, or why no key can be checked. */
  ready(): true | string;
}

export interface CheckedCall {
  readonly authorizations: readonly string[];
  readonly requestId: string;
  readonly remoteAddress: string | undefined;
}

const NO_AUTHORIZATION: readonly string[] = [];
const REFUSALS_LOGGED_PER_SECOND = 2;
/** Compared with when there is no such key, so that an unknown id takes as long as a wrong secret. */
const NO_DIGEST = Buffer.alloc(32);

export function createAccess({ log, registry, keys }: AccessOptions): Access {
  const { metrics } = createMetrics(accessMetrics, { registry });
  const [count, age] = [metrics.keys.bind({}), metrics.age.bind({})];
  metrics.age.onScrape(() => age.set((keys?.ageMs ?? 0) / 1000));
  metrics.keys.onScrape(() => count.set(keys?.size ?? 0));
  const digest = Buffer.alloc(32);
  const limiter = createLogLimiter(REFUSALS_LOGGED_PER_SECOND);

  function refused(reason: string, call: CheckedCall, error: AssayError, keyId?: string): AssayError {
    metrics.refusals.bind({ reason }).inc();
    const heldBack = limiter.take();
    if (heldBack !== undefined) {
      const { requestId, remoteAddress } = call;
      log.warn({ reason, keyId, requestId, remoteAddress, heldBack }, 'a call was refused for its key');
    }
    return error;
  }

  const unauthenticated = (message: string) => new AssayError('UNAUTHENTICATED', message);

  function local(call: CheckedCall): Caller {
    if (call.authorizations.length === 0) return LOCAL_CALLER;
    // Refused, not ignored: whoever shows a key believes to act under a name of its own.
    const message = 'Authorization: there are no API keys here, so it cannot be checked; send no such header';
    throw refused('unknown', call, unauthenticated(message));
  }

  function authenticate(call: CheckedCall, source: KeySource): Caller {
    const [authorization, second] = call.authorizations;
    if (authorization === undefined) {
      throw refused('missing', call, unauthenticated('an API key is needed; send it as Authorization: Bearer assay_…'));
    }
    if (second !== undefined) {
      // A proxy may have looked at the other one.
      const message = `the call has ${call.authorizations.length} Authorization headers; send one`;
      throw refused('several', call, unauthenticated(message));
    }
    const key = parseKeyText(/^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? '');
    if (key === undefined) {
      const message = 'Authorization: expected Bearer and the whole text of an API key, assay_ID_SECRET';
      throw refused('malformed', call, unauthenticated(message));
    }
    let keys: HeldKeys;
    try {
      keys = source.current();
    } catch (error) {
      throw refused('unverifiable', call, AssayError.from(error), key.id);
    }
    const found = keys.byId.get(key.id);
    // As text into a buffer that is there already: a digest as a new buffer costs three times as much.
    digest.write(hash('sha256', key.secret), 'hex');
    const isRight = timingSafeEqual(digest, found?.secretSha256 ?? NO_DIGEST);
    if (found === undefined || !isRight) {
      const message = `the API key ${key.id} is unknown or revoked, or its secret is wrong`;
      throw refused('unknown', call, unauthenticated(message), key.id);
    }
    return found.caller;
  }

  return {
    isRequired: keys !== undefined,
    check(call, needed, endpoint) {
      const caller = keys === undefined ? local(call) : authenticate(call, keys);
      if (!permits(caller, needed)) {
        const scopes = typeof needed === 'string' ? needed : needed.join(' or ');
        const message = `this needs the scope ${scopes}; key ${caller.keyId} of ${caller.principal} has ${[...caller.scopes].join(', ') || 'none'}`;
        throw refused('scope', call, new AssayError('PERMISSION_DENIED', message), caller.keyId ?? undefined);
      }
      if (endpoint !== undefined && caller.endpoints !== null && !caller.endpoints.has(endpoint)) {
        const message = `key ${caller.keyId} of ${caller.principal} may not score ${JSON.stringify(endpoint)}; it is limited to ${listed(caller.endpoints)}`;
        throw refused('endpoint', call, new AssayError('PERMISSION_DENIED', message), caller.keyId ?? undefined);
      }
      return caller;
    },
    held() {
      try {
        return keys?.current();
      } catch {
        return undefined; // `check` says why
      }
    },
    ready() {
      try {
        keys?.current();
        return true;
      } catch (error) {
        return AssayError.from(error).message;
      }
    },
  };
}

function permits(caller: Caller, needed: Scope | readonly Scope[]): boolean {
  if (caller.scopes.has('admin')) return true;
  return typeof needed === 'string' ? caller.scopes.has(needed) : needed.some((scope) => caller.scopes.has(scope));
}

const MAX_LISTED = 5;

function listed(endpoints: ReadonlySet<string>): string {
  const names = [...endpoints].slice(0, MAX_LISTED).join(', ');
  return endpoints.size > MAX_LISTED ? `${names} and ${endpoints.size - MAX_LISTED} more` : names;
}

/**
 * Every `Authorization` header of a request. Node's `headers` keeps the first and drops the others in silence; what a
 * proxy before us looked at might be another.
 * @param rawHeaders `IncomingMessage.rawHeaders`: names and values in turn
 */
export function authorizationsOf(rawHeaders: readonly string[]): readonly string[] {
  let found: string[] | undefined;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length !== 13 || name.toLowerCase() !== 'authorization') continue;
    found ??= [];
    found.push(rawHeaders[i + 1] ?? '');
  }
  return found ?? NO_AUTHORIZATION;
}
