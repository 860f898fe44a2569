/** Scoring bodies: bytes → JSON once, with nothing lost on the way. */
import { isUtf8 } from 'node:buffer';
import type { Signature } from '@assay/contracts';
import { parseJson } from '@assay/http';
import { parseExactJson } from '@assay/model-package';

/**
 * The JSON value in `body`. Integers beyond 2^53 are bigints if the signature has int64 features; parsing them costs more,
 * and elsewhere a number is a double. How deep it is nested is for whoever reads it to bound: parsing does not recurse.
 * @throws INVALID_ARGUMENT: empty, not UTF-8, not JSON (with line and column), or nested too deep
 */
export function readJson(body: Buffer, signature: Signature): unknown {
  // Decoding would replace what is not UTF-8, and another string than the caller's would be scored.
  if (isUtf8(body)) {
    try {
      const text = body.toString('utf8');
      return hasIntegers(signature) && !BEYOND_INT64.test(text) ? parseExactJson(text) : JSON.parse(text);
    } catch {
      // Said better below.
    }
  }
  return parseJson(body);
}

/**
 * No int64 has so many digits, and a bigint of a million costs a second. Such a text is read as doubles; the encoder refuses
 * integers that have lost their exact value.
 */
const BEYOND_INT64 = /\d{40}/;

const withIntegers = new WeakMap<Signature, boolean>();

function hasIntegers(signature: Signature): boolean {
  let has = withIntegers.get(signature);
  if (has === undefined) {
    has = signature.features.some((feature) => feature.dtype === 'int64');
    withIntegers.set(signature, has);
  }
  return has;
}
