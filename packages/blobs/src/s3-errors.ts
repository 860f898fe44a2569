/** What S3, or the way to it, reports: as one clear line. */
import { AssayError, type ErrorCode } from '@assay/contracts';

/** The HTTP status of an answer that the SDK gives as an error. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined;
  const { httpStatusCode } = error.$metadata as { httpStatusCode?: number }; // of the SDK's ServiceException
  return httpStatusCode;
}

/** `error` as an AssayError; one that is no error of the store stays as it is. */
export function mapS3Error(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || error instanceof AssayError) return error;
  const told = (code: ErrorCode, message: string) =>
    new AssayError(code, `blobs in ${where}: ${message}`, { cause: error });
  if (error.name === 'CredentialsProviderError') {
    return told(
      'FAILED_PRECONDITION',
      'no credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role',
    );
  }
  if (/Region is missing/.test(error.message)) {
    return told('FAILED_PRECONDITION', 'no region is known; set AWS_REGION, or ?region= in the url');
  }
  const status = statusOf(error);
  if (error.name === 'NoSuchBucket' || (status === 404 && error.name === 'NotFound')) {
    return told('FAILED_PRECONDITION', 'there is no such bucket; make it, or correct its name');
  }
  if (status === 301 || status === 307) {
    return told('FAILED_PRECONDITION', 'the bucket is in another region; set ?region= in the url');
  }
  if (status === 401 || status === 403) {
    return told('FAILED_PRECONDITION', `the credentials were refused (${error.name}); check the keys and their rights`);
  }
  if (status !== undefined && status >= 500) return told('UNAVAILABLE', `the store failed (${error.name}); try again`);
  if (status === 429 || error.name === 'SlowDown') return told('UNAVAILABLE', 'the store asks to slow down; try again');
  if (status !== undefined) return told('INTERNAL', `the store refused the request: ${error.name}`);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  if (/^(E[A-Z]+|TimeoutError|AbortError)$/.test(code) && code !== 'Error') {
    return told('UNAVAILABLE', `the store cannot be reached (${code}); check the endpoint, and try again`);
  }
  return error;
}
