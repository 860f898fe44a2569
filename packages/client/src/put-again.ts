/** A content that was there already, and unused, may be removed between the look and the registration: it is put again, once. */
import { AssayError } from '@assay/contracts';

export async function putAgainIfGone<Files, T>(
  put: () => Promise<Files>,
  register: (files: Files) => Promise<T>,
): Promise<T> {
  const files = await put();
  try {
    return await register(files);
  } catch (error) {
    if (!(error instanceof AssayError) || error.code !== 'FAILED_PRECONDITION') throw error;
    return register(await put());
  }
}
