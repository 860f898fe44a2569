import { AssayError, type AssayErrorOptions } from '@assay/contracts';

/**
 * The data is wrong, not what was asked of it: a broken row, a value of another type, a file that changed under the
 * reader. The message names the file and, where there is one, the row.
 */
export class DataError extends AssayError {
  constructor(message: string, options: AssayErrorOptions = {}) {
    super('INVALID_ARGUMENT', message, options);
    this.name = 'DataError';
  }
}
