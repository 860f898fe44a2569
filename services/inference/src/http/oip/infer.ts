/** One inference request of the Open Inference Protocol over REST, whichever way it came in. */
import type { IncomingHttpHeaders } from 'node:http';
import { AssayError, type Signature } from '@assay/contracts';
import { newId } from '@assay/runtime';
import type { Scored } from '../../domain/dataplane.ts';
import type { ServedVariant } from '../../domain/routing-table.ts';
import { recordOfTensors } from '../../predictions/record-of-tensors.ts';
import { readCaller } from '../caller.ts';
import { encodeAnswer } from '../content-coding.ts';
import type { ScoringRoutesOptions } from '../named-routes.ts';
import { readJson } from '../read-json.ts';
import { predictionId } from '../score-body.ts';
import { bodyBytes, type ScoringAnswer, type ScoringRequest } from '../scoring-body.ts';
import { rememberHead, takeAsKnown } from './known-head.ts';
import { type InferRequest, readInferRequest, readRawRequest } from './read-infer-request.ts';
import type { RequestedOutput } from './read-outputs.ts';
import { scanInferRequest } from './scan-infer-request.ts';
import { HEADER_LENGTH, splitBody } from './split-body.ts';
import { takeFloats } from './take-floats.ts';
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
    const { json, binary } = splitBody(body, headers);
    const { model, version } = request.params as ModelParams; // of the routes of infer
    let read: InferRequest | undefined;
    let readFor: Signature | undefined;
    let requestId: string | undefined;
    let requested: readonly RequestedOutput[] | undefined;
    const readWhole = (signature: Signature): InferRequest => {
      if (read !== undefined && readFor === signature) return read;
      readFor = signature;
      read =
        binary !== undefined && json.length === 0
          ? readRawRequest(binary, signature, maxRecords)
          : readInferRequest(readJson(json, signature), signature, maxRecords, binary);
      return read;
    };
    const scored = await dataplane.score(
      model,
      (signature) => (batch) => {
        if (binary === undefined) {
          const scanned = scanInferRequest(body, signature, batch, maxRecords);
          if (scanned !== undefined) {
            requestId = scanned.id;
            return scanned.rows;
          }
        } else {
          const taken = takeAsKnown(json, binary, signature, batch);
          if (taken !== undefined) {
            requestId = taken.id;
            requested = taken.outputs;
            return taken.rows;
          }
        }
        const request = readWhole(signature);
        requestId = request.id;
        requested = request.outputs;
        if (binary !== undefined && json.length > 0) rememberHead(signature, json, request);
        return takeFloats(request.inputs, batch) ?? batch.appendTensors(request.inputs);
      },
      readCaller(request.raw, 'oip', receivedAtMs, { version, sizeBytes: body.length }),
    );
    const id = newId('prd');
    const drawn = predictions?.draw(scored, body.length);
    if (drawn !== undefined) {
      const { traceparent } = headers;
      drawn.log({
        door: 'oip',
        idOf: (row) => predictionId(id, row),
        recordOf: (row) => {
          const signature = scored.variant.live?.loaded.signature;
          return signature === undefined ? undefined : recordOfTensors(signature, readWhole(signature).inputs, row);
        },
        traceparentOf: () => traceparent,
      });
    }
    const written = writeInferResponse(headOf(scored), requestId, scored.rows, requested);
    return encodeAnswer(headers, answerOf(written, id, scored.rows.cached?.size));
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
  if (contentType === undefined || /^application\/(json|octet-stream) *(;|$)/i.test(contentType)) return;
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
