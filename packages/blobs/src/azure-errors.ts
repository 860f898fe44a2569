/** What Azure Blob Storage, or the way to it, reports: as one clear line. */
import { AssayError, type ErrorCode } from '@assay/contracts';
import { RestError } from '@azure/storage-blob';

/** The HTTP status of an answer that the SDK gives as an error. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof RestError ? error.statusCode : undefined;
}

/** `error` as an AssayError; one that is no error of the store stays as it is. */
export function mapAzureError(error: unknown, where: string): unknown {
  if (!(error instanceof RestError)) return error;
  const told = (code: ErrorCode, message: string) =>
    new AssayError(code, `blobs in ${where}: ${message}`, { cause: error });
  const { statusCode: status, code = error.name } = error;
  if (status === undefined)
    return told('UNAVAILABLE', `the store cannot be reached (${code}); check it, and try again`);
  if (status === 404) return told('FAILED_PRECONDITION', 'there is no such container; make it, or correct its name');
  if (status === 401 || status === 403) {
    return told('FAILED_PRECONDITION', `the credentials were refused (${code}); check the connection string`);
  }
  if (status === 429 || status >= 500) return told('UNAVAILABLE', `the store failed (${code}); try again`);
  return told('INTERNAL', `the store refused the request: ${code}`);
}
