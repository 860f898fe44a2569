import { ERROR_KINDS, type ErrorBody, type ErrorCode } from '@assay/contracts';
import Type, { type TUnsafe } from 'typebox';

/** The component of that name is in every document: it is the default answer of every route. */
export const ERROR_REF = '#/components/schemas/Error';

/** The error answers of a route, by status, for its description; two codes may share a status. */
export function errorResponses(...codes: readonly ErrorCode[]): Record<number, TUnsafe<ErrorBody>> {
  const descriptions = new Map<number, string>();
  for (const code of codes) {
    const { httpStatus, description } = ERROR_KINDS[code];
    const before = descriptions.get(httpStatus);
    descriptions.set(httpStatus, `${before === undefined ? '' : `${before} `}${code}: ${description}`);
  }
  const schema = (description: string) => Type.Unsafe<ErrorBody>({ $ref: ERROR_REF, description });
  return Object.fromEntries([...descriptions].map(([status, description]) => [status, schema(description)]));
}
