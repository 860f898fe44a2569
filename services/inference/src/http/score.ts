/** One request of named records, whichever way it came in. */
import { AssayError, type Signature } from '@assay/contracts';
import { newId } from '@assay/runtime';
import { readCaller } from './caller.ts';
import { encodeAnswer } from './content-coding.ts';
import type { ScoringRoutesOptions } from './named-routes.ts';
import { readJson } from './read-json.ts';
import { hasRecordsOnly, scanScoreRequest } from './scan-score-request.ts';
import { predictionId, type ReadScoreRequest, readScoreRequest, writeScoreResponse } from './score-body.ts';
import { bodyBytes, type ScoringAnswer, type ScoringRequest } from './scoring-body.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

export type Score = (request: ScoringRequest) => Promise<ScoringAnswer>;

export function createScore({ dataplane, predictions, ...limits }: ScoringRoutesOptions): Score {
  return async (request) => {
    const receivedAtMs = performance.now();
    const bytes = bodyBytes(request, limits.bodyLimitBytes);
    const body = bytes instanceof Promise ? await bytes : bytes; // no turn is lost where there is nothing to decode
    const { name } = request.params as { name: string }; // of the route of named records
    /** Where it was read the careful way. */
    let read: ReadScoreRequest | undefined;
    const readWhole = (signature: Signature): ReadScoreRequest => {
      read = readScoreRequest(readJson(body, signature), limits);
      return read;
    };
    const scored = await dataplane.score(
      name,
      (signature) => {
        if (!hasRecordsOnly(body)) {
          const { records } = readWhole(signature);
          return (batch) => batch.appendRecords(records);
        }
        return (batch) => {
          const scanned = scanScoreRequest(body, batch, limits.maxRecords);
          if (scanned !== undefined) return scanned;
          const { records, explain } = readWhole(signature);
          if (explain) throw new AssayError('INVALID_ARGUMENT', 'records: is given twice');
          return batch.appendRecords(records);
        };
      },
      readCaller(request.raw, 'rest', receivedAtMs, {
        sizeBytes: body.length,
        explained: () => (read?.explain === true ? read.records : undefined),
      }),
    );
    const id = newId('prd');
    const drawn = predictions?.draw(scored, body.length);
    if (drawn !== undefined) {
      const { traceparent } = request.raw.headers;
      // Asked for later, when a shadow may have read the body by its own signature.
      let logged = read;
      drawn.log({
        door: 'rest',
        idOf: (row) => predictionId(id, row),
        recordOf(row) {
          const signature = scored.variant.live?.loaded.signature;
          if (signature !== undefined) logged ??= readScoreRequest(readJson(body, signature), limits);
          return logged?.records[row];
        },
        traceparentOf: () => traceparent,
      });
    }
    const answer = { statusCode: 200, text: writeScoreResponse(scored, id), headers: JSON_HEADERS } as const;
    return encodeAnswer(request.raw.headers, answer);
  };
}
