/** A version gives for its golden records what it gave when it was made. */
import { AssayError, type ErrorDetail, type Output } from '@assay/contracts';
import { type AssayManifest, type Golden, parseExactJson, stringifyExactJson } from '@assay/model-package';
import type { Scorer } from './interfaces.ts';

const MAX_DETAILS = 20;

export interface GoldenReport {
  readonly records: number;
  /** The largest difference of a number, within the tolerance; 0 when all were equal. */
  readonly largestDifference: number;
}

/**
 * Scores the golden records and compares with their expected outputs: floats within the tolerance, all else exactly.
 * @throws AssayError UNPROCESSABLE_MODEL; `details` names what differs: `golden.outputs[3].probabilities[1]`
 */
export async function verifyGolden(
  scorer: Scorer,
  pkg: { readonly manifest: Pick<AssayManifest, 'golden' | 'signature'> },
): Promise<GoldenReport> {
  const { golden, signature } = pkg.manifest;
  const batch = scorer.newBatch(golden.records.length);
  try {
    batch.appendRecords(golden.records);
  } catch (cause) {
    const error = AssayError.from(cause);
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `the golden records are not of the signature: golden.${error.message}`,
      {
        details: error.details.map((detail) => ({ ...detail, place: `golden.${detail.place}` })),
        cause,
      },
    );
  }
  const outputs = await scorer.run(batch);
  const difference: Difference = { largest: 0, details: [], golden };
  for (let row = 0; row < golden.records.length && difference.details.length < MAX_DETAILS; row++) {
    const actual = plainRecord(outputs.record(row));
    for (const output of signature.outputs) {
      const expected = golden.outputs[row]?.[output.name];
      compare(output, expected, actual[output.name], `golden.outputs[${row}].${output.name}`, difference);
    }
  }
  const [first] = difference.details;
  if (first !== undefined) {
    throw new AssayError(
      'UNPROCESSABLE_MODEL',
      `the golden records do not reproduce: ${first.place}: ${first.message}, expected ${first.expected ?? 'another value'}`,
      { details: difference.details },
    );
  }
  return { records: golden.records.length, largestDifference: difference.largest };
}

/** The outputs of a row as they would be read back from JSON, integers exact: the form of golden outputs. */
export function plainRecord(record: Record<string, unknown>): Record<string, unknown> {
  return parseExactJson(stringifyExactJson(record)) as Record<string, unknown>; // an object went in
}

interface Difference {
  largest: number;
  readonly details: ErrorDetail[];
  readonly golden: Golden;
}

function compare(output: Output, expected: unknown, actual: unknown, place: string, found: Difference): void {
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    for (let i = 0; i < expected.length; i++) compare(output, expected[i], actual[i], `${place}[${i}]`, found);
    return;
  }
  if (expected === actual || found.details.length >= MAX_DETAILS) return;
  const isFloat = output.dtype === 'float32' || output.dtype === 'float64';
  if (isFloat && typeof actual === 'number' && (typeof expected === 'number' || typeof expected === 'bigint')) {
    const { absolute, relative } = found.golden.tolerance;
    const difference = Math.abs(actual - Number(expected));
    if (difference <= absolute + relative * Math.abs(Number(expected))) {
      found.largest = Math.max(found.largest, difference);
      return;
    }
  }
  found.details.push({ place, message: `is ${shown(actual)}`, expected: shown(expected) });
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : stringifyExactJson(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
