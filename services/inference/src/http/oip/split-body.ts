/** A body with binary tensors: JSON first, as long as a header says, then the bytes of the tensors in the order of the inputs. */
import type { IncomingHttpHeaders } from 'node:http';
import { AssayError } from '@assay/contracts';

export const HEADER_LENGTH = 'inference-header-content-length';

export interface SplitBody {
  readonly json: Buffer;
  /** Undefined where the header is not there: all is JSON. */
  readonly binary: Buffer | undefined;
}

/** @throws INVALID_ARGUMENT for a header that is no length within the body */
export function splitBody(body: Buffer, headers: IncomingHttpHeaders): SplitBody {
  const text = headers[HEADER_LENGTH];
  if (text === undefined) return { json: body, binary: undefined };
  const length = typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(length <= body.length)) {
    const expected = `a number of bytes from 0 to ${body.length}, those of the body without its Content-Encoding`;
    throw new AssayError(
      'INVALID_ARGUMENT',
      `header Inference-Header-Content-Length: ${JSON.stringify(text)} is no length of the JSON; expected ${expected}`,
      { details: [{ place: 'header Inference-Header-Content-Length', message: 'is no length of the JSON', expected }] },
    );
  }
  return { json: body.subarray(0, length), binary: body.subarray(length) };
}
