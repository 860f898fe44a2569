/**
 * ModelStreamInfer: messages of one stream are scored at the same time, in batches with all other requests, and answered
 * in their order. A message that fails is answered by what was wrong with it; the others do not notice.
 */
import { AssayError } from '@assay/contracts';
import { PREFIX_BYTES, writePrefix } from './framing.ts';
import type { Infer, InferCaller } from './infer.ts';
import type { StreamCall, StreamHandler, StreamMethod } from './method.ts';
import { BYTES, bytesField, varintBytes, writeVarint } from './protobuf-wire.ts';
import { readInferRequest, type WireInferRequest } from './read-infer-request.ts';
import { readRoutingKey } from './routing-key.ts';
import type { PlannedMessage } from './write-infer-response.ts';

/** Of one stream: what may wait in it before its caller is held back. */
export interface StreamBounds {
  readonly maxMessages: number;
  /** Of messages without an answer, the answers that are expected to them, and answers before which one is missing. */
  readonly maxBytes: number;
}

/** A place in the order of answers. */
interface Slot {
  answer: Buffer | undefined;
}

/** How much of `maxBytes` an answer is taken for before there was one. */
const FIRST_SHARE = 1 / 16;
/** How fast a large answer is forgotten among smaller ones. */
const FORGOTTEN_SHARE = 1 / 8;

export function inferStreamMethod(infer: Infer, bounds: StreamBounds): StreamMethod {
  return { kind: 'stream', access: 'score', open: (call) => new InferStream(infer, bounds, call) };
}

class InferStream implements StreamHandler {
  readonly #infer: Infer;
  readonly #bounds: StreamBounds;
  readonly #call: StreamCall;
  readonly #routingKey: string | undefined;
  /** Messages that are not answered yet, in their order. */
  readonly #slots: Slot[] = [];
  /** Of the messages in `#slots` without an answer, and of the answers there. */
  #heldBytes = 0;
  #withoutAnswer = 0;
  /** What the next answer is taken for: how large it is, is known when it is made. */
  #expectedBytes: number | undefined;
  #hasEnded = false;
  #isFlushDue = false;
  #makeRoom: (() => void) | undefined;

  constructor(infer: Infer, bounds: StreamBounds, call: StreamCall) {
    this.#infer = infer;
    this.#bounds = bounds;
    this.#call = call;
    this.#routingKey = readRoutingKey(call.head.headers);
  }

  get isQuiet(): boolean {
    return this.#slots.length === 0;
  }

  message(bytes: Buffer): Promise<void> | undefined {
    const slot: Slot = { answer: undefined };
    this.#slots.push(slot);
    this.#heldBytes += bytes.length;
    this.#withoutAnswer++;
    let request: WireInferRequest | undefined;
    const answered = (answer: Buffer) => {
      slot.answer = answer;
      this.#heldBytes += answer.length - bytes.length;
      this.#withoutAnswer--;
      this.#expectedBytes = Math.max(answer.length, (this.#expectedBytes ?? 0) * (1 - FORGOTTEN_SHARE));
      if (this.#isFlushDue) return;
      this.#isFlushDue = true;
      // After the promises of the other rows of the batch: their answers go with this one.
      process.nextTick(() => this.#flush());
    };
    const failed = (error: unknown) => answered(errorAnswer(AssayError.from(error), request));
    try {
      request = readInferRequest(bytes);
      this.#infer(request, this.#caller()).then((response) => answered(responseAnswer(response)), failed);
    } catch (error) {
      failed(error);
    }
    if (this.#hasRoom()) return undefined;
    return new Promise((resolve) => {
      this.#makeRoom = resolve;
    });
  }

  ended(): void {
    this.#hasEnded = true;
    if (this.#slots.length === 0) this.#call.finish();
  }

  #hasRoom(): boolean {
    const { maxMessages, maxBytes } = this.#bounds;
    const expectedBytes = this.#expectedBytes ?? maxBytes * FIRST_SHARE;
    const promisedBytes = this.#heldBytes + this.#withoutAnswer * expectedBytes;
    return this.#slots.length < maxMessages && promisedBytes < maxBytes;
  }

  /** Each message waits as long as its endpoint says; the deadline of the call ends the call, and with it all of them. */
  #caller(): InferCaller {
    return {
      receivedAtMs: performance.now(),
      timeoutMs: undefined,
      routingKey: this.#routingKey,
      traceparent: this.#call.head.headers.traceparent,
      signal: this.#call.signal,
      check: (needs) => this.#call.check(needs),
    };
  }

  /** Sends the answers up to the first that is not there yet. */
  #flush(): void {
    this.#isFlushDue = false;
    const waiting = this.#slots.findIndex(({ answer }) => answer === undefined);
    const ready = this.#slots.splice(0, waiting === -1 ? this.#slots.length : waiting);
    const answers = ready.flatMap(({ answer }) => answer ?? []);
    for (const answer of answers) this.#heldBytes -= answer.length;
    const [first] = answers;
    if (first !== undefined) this.#call.send(answers.length === 1 ? first : Buffer.concat(answers));
    if (this.#hasRoom()) this.#makeRoom?.();
    if (this.#hasEnded && this.#slots.length === 0) this.#call.finish();
  }
}

/** A ModelStreamInferResponse whose one field is the response. */
function responseAnswer(response: PlannedMessage): Buffer {
  const sizeBytes = 1 + varintBytes(response.sizeBytes) + response.sizeBytes;
  const answer = Buffer.allocUnsafe(PREFIX_BYTES + sizeBytes);
  writePrefix(answer, sizeBytes);
  answer[PREFIX_BYTES] = 2 * 8 + BYTES;
  response.write(answer, writeVarint(answer, PREFIX_BYTES + 1, response.sizeBytes));
  return answer;
}

/** With the id and model of the request as far as they could be read, so that the caller knows which one it was. */
function errorAnswer({ message }: AssayError, request: WireInferRequest | undefined): Buffer {
  const parts = [Buffer.alloc(PREFIX_BYTES), bytesField(1, message)];
  if (request !== undefined) {
    parts.push(bytesField(2, Buffer.concat([bytesField(1, request.modelName), bytesField(3, request.id)])));
  }
  const answer = Buffer.concat(parts);
  writePrefix(answer, answer.length - PREFIX_BYTES);
  return answer;
}
