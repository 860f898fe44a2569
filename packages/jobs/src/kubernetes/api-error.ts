/** What the API server refuses, in plain words: which right, room or object is missing, and who can change that. */
import { AssayError } from '@assay/contracts';

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export interface ApiStatus {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
}

/** An answer that is no success. */
export class ApiError extends Error {
  readonly status: ApiStatus;
  readonly retryAfterMs: number | undefined;

  constructor(status: ApiStatus, retryAfterMs?: number) {
    super(`${status.code} ${status.reason}: ${status.message}`);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The connection failed: refused, reset, no such host, a certificate that is not trusted. */
export class ApiUnreachable extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ApiUnreachable';
  }
}

const TRANSIENT: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** Whether the same call may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ApiUnreachable) return true;
  return error instanceof ApiError && TRANSIENT.has(error.status.code);
}

export function hasStatus(error: unknown, code: number): boolean {
  return error instanceof ApiError && error.status.code === code;
}

/** A quota is answered with 403 as a missing right is; only the text tells. It is of capacity, which comes and goes. */
const QUOTA = /exceeded quota/i;
const FORBIDDEN = /cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?/;

/** @param what the call was for: `launch job_1.1` */
export function toAssayError(thrown: unknown, what: string, namespace: string): unknown {
  if (thrown instanceof ApiUnreachable) {
    return new AssayError('UNAVAILABLE', `${what}: the Kubernetes API cannot be reached: ${thrown.message}`, {
      cause: thrown,
    });
  }
  if (!(thrown instanceof ApiError)) return thrown;
  const { code, reason, message } = thrown.status;
  const cause = { cause: thrown };
  if (code === 401) {
    const text = 'Kubernetes does not know the token of this service (401); its service account or kubeconfig is wrong';
    return new AssayError('FAILED_PRECONDITION', `${what}: ${text}`, cause);
  }
  if (code === 403 && QUOTA.test(message)) {
    return new AssayError('UNAVAILABLE', `${what}: the quota of namespace ${namespace} is used up: ${message}`, cause);
  }
  if (code === 403) return new AssayError('FAILED_PRECONDITION', `${what}: ${forbidden(message, namespace)}`, cause);
  if (code === 404 && /namespaces? "/.test(message)) {
    const advice = 'make it, or set another in the settings of jobs';
    return new AssayError('FAILED_PRECONDITION', `${what}: there is no namespace ${namespace}; ${advice}`, cause);
  }
  if (code === 400 || code === 413 || code === 422) {
    const text = `Kubernetes refuses what the settings of jobs say (${code} ${reason}): ${message}`;
    return new AssayError('INVALID_ARGUMENT', `${what}: ${text}`, cause);
  }
  if (isTransient(thrown)) {
    return new AssayError(
      'UNAVAILABLE',
      `${what}: the Kubernetes API is not ready (${code} ${reason}): ${message}`,
      cause,
    );
  }
  return new AssayError('INTERNAL', `${what}: Kubernetes answered ${code} ${reason}: ${message}`, cause);
}

function forbidden(message: string, namespace: string): string {
  const [, verb, resource, group] = FORBIDDEN.exec(message) ?? [];
  if (verb === undefined || resource === undefined) return `Kubernetes forbids it (403): ${message}`;
  const right = `${verb} ${resource}${group === undefined || group === '' ? '' : `.${group}`}`;
  return (
    `the service account of this service may not ${right} in namespace ${namespace} (403). ` +
    `Its Role there needs that verb; docs/jobs.md lists all. Kubernetes says: ${message}`
  );
}
