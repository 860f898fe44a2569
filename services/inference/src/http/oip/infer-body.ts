/** The body of an inference request, read by the signature of whoever scores it: the short ways first, then the careful one. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Signature } from '@assay/contracts';
import type { InputBatch } from '@assay/scoring';
import { readJson } from '../read-json.ts';
import { rememberHead, takeAsKnown } from './known-head.ts';
import { type InferRequest, readInferRequest, readRawRequest } from './read-infer-request.ts';
import type { RequestedOutput } from './read-outputs.ts';
import { scanInferRequest } from './scan-infer-request.ts';
import { splitBody } from './split-body.ts';
import { takeFloats } from './take-floats.ts';

export class InferBody {
  readonly #body: Buffer;
  readonly #json: Buffer;
  /** The tensors behind the JSON. */
  readonly #binary: Buffer | undefined;
  readonly #maxRecords: number;
  #read: InferRequest | undefined;
  #readFor: Signature | undefined;
  #requestId: string | undefined;
  #requested: readonly RequestedOutput[] | undefined;

  /** @throws INVALID_ARGUMENT for a wrong length of the JSON in the headers */
  constructor(body: Buffer, headers: IncomingHttpHeaders, maxRecords: number) {
    const { json, binary } = splitBody(body, headers);
    this.#body = body;
    this.#json = json;
    this.#binary = binary;
    this.#maxRecords = maxRecords;
  }

  /** The id that the caller gave it, once its rows are read. */
  get requestId(): string | undefined {
    return this.#requestId;
  }

  /** The outputs that the caller wants, once its rows are read; undefined for all, in JSON. */
  get requested(): readonly RequestedOutput[] | undefined {
    return this.#requested;
  }

  /**
   * Puts the rows behind those of the batch.
   * @returns how many
   * @throws INVALID_ARGUMENT with each bad place
   */
  append(signature: Signature, batch: InputBatch): number {
    return this.#appendShortly(signature, batch) ?? this.#appendCarefully(signature, batch);
  }

  /** All of it, the careful way. */
  read(signature: Signature): InferRequest {
    if (this.#read !== undefined && this.#readFor === signature) return this.#read;
    const [json, binary, maxRecords] = [this.#json, this.#binary, this.#maxRecords];
    this.#readFor = signature;
    this.#read =
      binary !== undefined && json.length === 0
        ? readRawRequest(binary, signature, maxRecords)
        : readInferRequest(readJson(json, signature), signature, maxRecords, binary);
    return this.#read;
  }

  /** Undefined, with nothing appended, where it must be read with care. */
  #appendShortly(signature: Signature, batch: InputBatch): number | undefined {
    if (this.#binary === undefined) {
      const scanned = scanInferRequest(this.#body, signature, batch, this.#maxRecords);
      if (scanned !== undefined) this.#requestId = scanned.id;
      return scanned?.rows;
    }
    const taken = takeAsKnown(this.#json, this.#binary, signature, batch);
    if (taken === undefined) return undefined;
    this.#requested = taken.outputs;
    return taken.rows;
  }

  #appendCarefully(signature: Signature, batch: InputBatch): number {
    const request = this.read(signature);
    this.#requestId = request.id;
    this.#requested = request.outputs;
    if (this.#binary !== undefined && this.#json.length > 0) rememberHead(signature, this.#json, request);
    return takeFloats(request.inputs, batch) ?? batch.appendTensors(request.inputs);
  }
}
