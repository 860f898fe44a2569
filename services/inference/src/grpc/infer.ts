/** One inference request of the Open Inference Protocol over gRPC, alone or in a stream. */
import type { Signature } from '@assay/contracts';
import type { RouteNeeds } from '@assay/http';
import { newId } from '@assay/runtime';
import type { Scored } from '../domain/dataplane.ts';
import type { ServedVariant } from '../domain/routing-table.ts';
import type { ScoringRoutesOptions } from '../http/named-routes.ts';
import { checkClasses } from '../http/oip/read-outputs.ts';
import { predictionId } from '../http/score-body.ts';
import { recordOfTensors } from '../predictions/record-of-tensors.ts';
import { type WireInferRequest, type WireOutput, wrong } from './read-infer-request.ts';
import { appendRows, readTensors } from './read-tensors.ts';
import { type PlannedMessage, planInferResponse, responseHead } from './write-infer-response.ts';

export type InferOptions = Pick<ScoringRoutesOptions, 'dataplane' | 'maxRecords' | 'predictions'>;

/** Who asks, and how long and for what they wait. */
export interface InferCaller {
  readonly receivedAtMs: number;
  /** From `receivedAtMs`; undefined: as long as the endpoint says. */
  readonly timeoutMs: number | undefined;
  readonly routingKey: string | undefined;
  /** As it came; a stream's is that of all its messages. */
  readonly traceparent: unknown;
  readonly signal: AbortSignal;
  /** @throws PERMISSION_DENIED where the caller may not do this */
  check(needs: RouteNeeds): void;
}

export type Infer = (request: WireInferRequest, caller: InferCaller) => Promise<PlannedMessage>;

export function createInfer({ dataplane, maxRecords, predictions }: InferOptions): Infer {
  return async (request, caller) => {
    const { modelName, modelVersion, id, outputs } = request;
    caller.check({ access: 'score', endpoint: modelName });
    const scored = await dataplane.score(
      modelName,
      (signature) => {
        checkOutputs(outputs, signature);
        return (batch) => appendRows(request, signature, batch, maxRecords);
      },
      {
        door: 'grpc',
        receivedAtMs: caller.receivedAtMs,
        timeoutMs: caller.timeoutMs,
        key: caller.routingKey,
        version: modelVersion === '' ? undefined : modelVersion,
        sizeBytes: request.bytes.length,
        signal: caller.signal,
      },
    );
    const prediction = newId('prd');
    const { traceparent } = caller;
    predictions?.draw(scored, request.bytes.length)?.log({
      door: 'grpc',
      idOf: (row) => predictionId(prediction, row),
      recordOf: (row) => {
        const signature = scored.variant.live?.loaded.signature;
        if (signature === undefined) return undefined;
        return recordOfTensors(signature, readTensors(request, signature, maxRecords), row);
      },
      traceparentOf: () => traceparent,
    });
    return planInferResponse(headOf(scored), id, prediction, scored.rows, outputs);
  };
}

function checkOutputs(outputs: readonly WireOutput[], signature: Signature): void {
  if (outputs.length === 0) return;
  const known = signature.outputs.map(({ name }) => name);
  outputs.forEach(({ name, classes }, i) => {
    const place = `outputs[${i}].name`;
    if (!known.includes(name)) {
      throw wrong(place, `the model has no output ${JSON.stringify(name.slice(0, 60))}`, `one of ${known.join(', ')}`);
    }
    if (outputs.findIndex((other) => other.name === name) !== i) throw wrong(place, `asks for "${name}" twice`);
    checkClasses(classes, name, signature, `outputs[${i}].parameters.classification`);
  });
}

const heads = new WeakMap<ServedVariant, Buffer>();

function headOf({ endpoint, variant }: Scored): Buffer {
  let head = heads.get(variant);
  if (head === undefined) {
    head = responseHead(endpoint.endpoint.name, String(variant.version.version));
    heads.set(variant, head);
  }
  return head;
}
