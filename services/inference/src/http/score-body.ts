/** Named records in, predictions out. */
import { AssayError, type ErrorDetail, nearest } from '@assay/contracts';
import type { Scored } from '../domain/dataplane.ts';

export interface ScoreLimits {
  readonly maxRecords: number;
  readonly maxExplainedRecords: number;
}

export interface ReadScoreRequest {
  readonly records: readonly unknown[];
  readonly explain: boolean;
}

/**
 * The records of a body; what is in them is the encoder's to check.
 * @throws INVALID_ARGUMENT; PAYLOAD_TOO_LARGE for more than the limits
 */
export function readScoreRequest(body: unknown, limits: ScoreLimits): ReadScoreRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw wrong({ place: 'body', message: 'must be an object', expected: '{"records": [{…}]}' });
  }
  for (const key in body) {
    if (key !== 'records' && key !== 'explain') {
      const meant = nearest(key.slice(0, 64), ['records', 'explain']);
      const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
      throw wrong({
        place: 'body',
        message: `unknown key ${JSON.stringify(key.slice(0, 64))}${hint}`,
        expected: 'records or explain',
      });
    }
  }
  const { records, explain = false } = body as { records?: unknown; explain?: unknown }; // a missing key is undefined
  if (typeof explain !== 'boolean') throw wrong({ place: 'explain', message: 'must be true or false' });
  if (!Array.isArray(records)) throw wrong({ place: 'records', message: 'must be a list of records' });
  if (records.length === 0) throw wrong({ place: 'records', message: 'is empty; one record at least is expected' });
  const maxRecords = explain ? Math.min(limits.maxRecords, limits.maxExplainedRecords) : limits.maxRecords;
  if (records.length > maxRecords) {
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `records: ${records.length} are too many; one request${explain ? ' for explanations' : ''} may have ${maxRecords}`,
    );
  }
  return { records, explain };
}

function wrong(detail: ErrorDetail): AssayError {
  const expected = detail.expected === undefined ? '' : `; expected ${detail.expected}`;
  return new AssayError('INVALID_ARGUMENT', `${detail.place}: ${detail.message}${expected}`, { details: [detail] });
}

const heads = new WeakMap<Scored['variant'], string>();

/** What is the same in every answer of a variant, made once. */
function headOf({ endpoint, variant }: Scored): string {
  let head = heads.get(variant);
  if (head === undefined) {
    const { modelName, version, id, digest } = variant.version;
    const fields = { model: modelName, version, versionId: id, digest, routingRevision: endpoint.endpoint.revision };
    head = `${JSON.stringify(fields).slice(0, -1)},"predictions":[`;
    heads.set(variant, head);
  }
  return head;
}

/** The id of a prediction: the request's own, time-ordered and unique, and the number of its record. */
export function predictionId(requestId: string, row: number): string {
  return `${requestId}-${row}`;
}

/** The response as text. */
export function writeScoreResponse(scored: Scored, requestId: string): string {
  const { outputs, firstRow, rows, cached } = scored.rows;
  let text = headOf(scored);
  for (let row = 0; row < rows; row++) {
    if (row > 0) text += ',';
    text += `{"id":"${predictionId(requestId, row)}","outputs":${JSON.stringify(outputs.record(firstRow + row))}`;
    const explanation = scored.explanations?.[row];
    if (explanation !== undefined) text += `,"explanation":${JSON.stringify(explanation)}`;
    text += cached?.has(row) === true ? ',"cached":true}' : '}';
  }
  return `${text}]}`;
}
