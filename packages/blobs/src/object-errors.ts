/** What the object stores have to say of a blob. */
import { AssayError } from '@assay/contracts';

export function notFound(key: string): AssayError {
  return new AssayError('NOT_FOUND', `there is no blob ${key}`);
}

export function alreadyExists(key: string): AssayError {
  return new AssayError('ALREADY_EXISTS', `there is a blob ${key} already`);
}

/** Another put came between the look and the read: the size and range that were told are no longer true. */
export function replaced(key: string, cause: unknown): AssayError {
  return new AssayError('UNAVAILABLE', `blob ${key}: was replaced; read it again`, { cause: new ReplacedCause(cause) });
}

export function isReplaced(error: AssayError): boolean {
  return error.cause instanceof ReplacedCause;
}

/** Marks the one UNAVAILABLE that reading on does not help against. */
class ReplacedCause extends Error {
  constructor(cause: unknown) {
    super('the condition that it is the same object did not hold', { cause });
  }
}
