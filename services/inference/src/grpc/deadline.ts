/** The header `grpc-timeout`: up to eight digits and a unit. */
import { AssayError } from '@assay/contracts';

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * How long the caller waits, in milliseconds; undefined when it does not say.
 * @throws INVALID_ARGUMENT
 */
export function readTimeoutMs(header: string | string[] | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits, unit = ''] = (typeof header === 'string' && /^(\d{1,8})([HMSmun])$/.exec(header)) || [];
  const unitMs = UNIT_MS[unit];
  if (digits === undefined || unitMs === undefined) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `grpc-timeout: ${JSON.stringify(header)} is no time-out; expected at most eight digits and one of H, M, S, m, u, n`,
    );
  }
  return Number(digits) * unitMs;
}
