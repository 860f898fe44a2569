/** Named records in their usual form, from bytes straight into the batch: `{"records":[{…},{…}]}`. */
import type { InputBatch } from '@assay/scoring';
import { JsonScan, PUNCTUATION } from './json-scan.ts';

const RECORDS = Buffer.from('records');
const { COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE } = PUNCTUATION;

/**
 * Whether the body begins with its records and ends with a list, as far as can be seen from both ends: then nothing else is
 * in it, unless `records` is given twice.
 */
export function hasRecordsOnly(body: Buffer): boolean {
  const scan = new JsonScan(body);
  if (!scan.takes(OPEN) || !scan.takesKey(RECORDS)) return false;
  const end = lastOf(body, body.length);
  return body[end] === CLOSE && body[lastOf(body, end)] === CLOSE_LIST;
}

/** Where the last byte before `end` is that is no space. */
function lastOf(body: Buffer, end: number): number {
  let at = end - 1;
  for (let byte = body[at]; byte === 32 || byte === 10 || byte === 13 || byte === 9; byte = body[--at]);
  return at;
}

/**
 * @returns how many records of the body are in the batch now; undefined: none is, and the body is to be read the careful
 *   way, which takes more and says what is wrong
 */
export function scanScoreRequest(body: Buffer, batch: InputBatch, maxRecords: number): number | undefined {
  const before = batch.rows;
  const records = scanRecords(body, batch, maxRecords);
  if (records === undefined) batch.truncate(before);
  return records;
}

function scanRecords(body: Buffer, batch: InputBatch, maxRecords: number): number | undefined {
  // The last byte is looked at first, so that no loop runs past the end.
  if (body[body.length - 1] !== CLOSE) return undefined;
  const scan = new JsonScan(body);
  if (!scan.takes(OPEN) || !scan.takesKey(RECORDS) || !scan.takes(OPEN_LIST)) return undefined;
  let records = 0;
  do {
    if (records === maxRecords || !scan.moveTo(batch.scanRecord(body, scan.at))) return undefined;
    records++;
  } while (scan.takes(COMMA));
  return scan.takes(CLOSE_LIST) && scan.takes(CLOSE) && scan.isAtEnd ? records : undefined;
}
