/** One inference request of the Open Inference Protocol over REST, whichever way it came in. */
import type { IncomingHttpHeaders } from 'node:http';
import { AssayError } from '@assay/contracts';
import { newId } from '@assay/runtime';
import type { Scored } from '../../domain/dataplane.ts';
import type { ServedVariant } from '../../domain/routing-table.ts';
import type { LoggedRequest } from '../../predictions/prediction-log.ts';
import { recordOfTensors } from '../../predictions/record-of-tensors.ts';
import { readCaller } from '../caller.ts';
import { encodeAnswer } from '../content-coding.ts';
import type { ScoringRoutesOptions } from '../named-routes.ts';
import { predictionId } from '../score-body.ts';
import { bodyBytes, type ScoringAnswer, type ScoringRequest } from '../scoring-body.ts';
import { InferBody } from './infer-body.ts';
import { HEADER_LENGTH } from './split-body.ts';
import { type ResponseHead, type WrittenResponse, writeInferResponse } from './write-infer-response.ts';

/** A version pins one of the endpoint's variants. */
export interface ModelParams {
  readonly model: string;
  readonly version?: string;
}

/** The protocol has no place for ids of its own making. */
const PREDICTION_ID_HEADER = 'assay-prediction-id';
/** How many rows were not run for this request; absent where all were. */
const CACHED_ROWS_HEADER = 'assay-cached-rows';

export type Infer = (request: ScoringRequest) => Promise<ScoringAnswer>;

/** @returns what answers a request: its predictions are `ID-0`, `ID-1`, … of the id in the header */
export function createInfer({ dataplane, maxRecords, bodyLimitBytes, predictions }: ScoringRoutesOptions): Infer {
  return async (request) => {
    const receivedAtMs = performance.now();
    const { headers } = request.raw;
    checkContentType(headers);
    const bytes = bodyBytes(request, bodyLimitBytes);
    const body = bytes instanceof Promise ? await bytes : bytes; // no turn is lost where there is nothing to decode
    const asked = new InferBody(body, headers, maxRecords);
    const { model, version } = request.params as ModelParams; // of the routes of infer
    const scored = await dataplane.score(
      model,
      (signature) => (batch) => asked.append(signature, batch),
      readCaller(request.raw, 'oip', receivedAtMs, { version, sizeBytes: body.length }),
    );
    const id = newId('prd');
    predictions?.draw(scored, body.length)?.log(loggedRequest(asked, scored, id, headers));
    const written = writeInferResponse(headOf(scored), asked.requestId, scored.rows, asked.requested);
    return encodeAnswer(headers, answerOf(written, id, scored.rows.cached?.size));
  };
}

function loggedRequest(
  asked: InferBody,
  scored: Scored,
  id: string,
  { traceparent }: IncomingHttpHeaders,
): LoggedRequest {
  return {
    door: 'oip',
    idOf: (row) => predictionId(id, row),
    recordOf(row) {
      const signature = scored.variant.live?.loaded.signature;
      return signature === undefined ? undefined : recordOfTensors(signature, asked.read(signature).inputs, row);
    },
    traceparentOf: () => traceparent,
  };
}

function answerOf({ json, binary }: WrittenResponse, id: string, cachedRows: number | undefined): ScoringAnswer {
  const cached = cachedRows === undefined ? undefined : { [CACHED_ROWS_HEADER]: String(cachedRows) };
  if (binary === undefined) {
    const headers = { 'content-type': 'application/json', [PREDICTION_ID_HEADER]: id, ...cached };
    return { statusCode: 200, text: json, headers };
  }
  return {
    statusCode: 200,
    text: json,
    tail: binary,
    headers: {
      'content-type': 'application/octet-stream',
      [HEADER_LENGTH]: String(Buffer.byteLength(json)),
      [PREDICTION_ID_HEADER]: id,
      ...cached,
    },
  };
}

/** A body without a type, which aiohttp calls octet-stream, is JSON too; with bytes behind the JSON any type will do. */
function checkContentType(headers: IncomingHttpHeaders): void {
  if (headers[HEADER_LENGTH] !== undefined) return;
  const contentType = headers['content-type'];
  if (contentType === undefined || contentType === 'application/json') return;
  if (/^application\/(json|octet-stream) *(;|$)/i.test(contentType)) return;
  throw new AssayError(
    'UNSUPPORTED_MEDIA_TYPE',
    `the content type ${JSON.stringify(contentType)} is not read by this route; send application/json, or binary tensors with the header Inference-Header-Content-Length`,
  );
}

const heads = new WeakMap<ServedVariant, ResponseHead>();

/** What is the same in every answer of a variant, made once. */
function headOf({ endpoint, variant }: Scored): ResponseHead {
  let head = heads.get(variant);
  if (head === undefined) {
    const { name } = endpoint.endpoint;
    const text = `"model_name":${JSON.stringify(name)},"model_version":${JSON.stringify(String(variant.version.version))}`;
    head = { text, descriptions: new Map() };
    heads.set(variant, head);
  }
  return head;
}
