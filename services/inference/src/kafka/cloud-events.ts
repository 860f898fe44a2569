/**
 * How a record carries its data: plain JSON, or a CloudEvent 1.0 in binary or structured mode
 * (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md). A result is carried as
 * its input was.
 */
import { AssayError, type Signature, STREAM_RESULT_TYPE } from '@assay/contracts';
import type { Headers, InputRecord } from '@assay/kafka';
import { stringifyExactJson } from '@assay/model-package';
import { readJson } from '../http/read-json.ts';

export type Envelope =
  | { readonly mode: 'plain' }
  | { readonly mode: 'binary' }
  | { readonly mode: 'structured'; readonly attributes: Readonly<Record<string, unknown>> };

export interface Opened {
  readonly envelope: Envelope;
  /** What is to be scored. */
  readonly data: unknown;
}

const STRUCTURED = 'application/cloudevents';
const PLAIN: Envelope = { mode: 'plain' };
const BINARY: Envelope = { mode: 'binary' };
const REQUIRED = ['id', 'source', 'type'] as const;
/** Attributes that a result has of its own; the others, extensions included, are kept. */
const OWN = new Set(['specversion', 'id', 'source', 'type', 'time', 'dataschema', 'datacontenttype']);

/**
 * What carries a record whose value is the data itself; undefined where that is within a structured event.
 * @throws as `open`
 */
export function bareEnvelope(headers: Headers): Envelope | undefined {
  const contentType = mediaType(headers['content-type']);
  if (contentType?.startsWith(STRUCTURED)) return undefined;
  if (headers.ce_specversion === undefined) return PLAIN;
  checkAttributes((name) => headers[`ce_${name}`]?.toString(), 'header ce_');
  if (contentType !== undefined && !isJson(contentType)) throw unsupported(contentType);
  return BINARY;
}

/**
 * @throws INVALID_ARGUMENT for what is not JSON or no valid CloudEvent, UNSUPPORTED_MEDIA_TYPE for data that says it is
 *   something else than JSON
 */
export function open(value: Buffer, headers: Headers, signature: Signature): Opened {
  const envelope = bareEnvelope(headers);
  if (envelope !== undefined) return { envelope, data: readJson(value, signature) };
  return openStructured(value, mediaType(headers['content-type']), signature);
}

/**
 * The trace that a record came by: the header `traceparent`, which tracing producers write; where there is none, the
 * attribute of the event (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md).
 */
export function traceparentOf(envelope: Envelope, headers: Headers): unknown {
  const header = headers.traceparent ?? (envelope.mode === 'binary' ? headers.ce_traceparent : undefined);
  return header === undefined && envelope.mode === 'structured' ? envelope.attributes.traceparent : header;
}

function openStructured(value: Buffer, contentType: string | undefined, signature: Signature): Opened {
  if (contentType !== `${STRUCTURED}+json`) throw unsupported(String(contentType));
  const event = readJson(value, signature);
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw new AssayError('INVALID_ARGUMENT', 'a CloudEvent must be a JSON object');
  }
  const { data, data_base64: base64, ...attributes } = event as Record<string, unknown>; // an object that is no array
  checkAttributes((name) => attributes[name], '');
  const dataType = attributes.datacontenttype;
  if (dataType !== undefined && !(typeof dataType === 'string' && isJson(mediaType(dataType) ?? ''))) {
    throw unsupported(String(dataType));
  }
  const envelope: Envelope = { mode: 'structured', attributes };
  if (base64 === undefined) return { envelope, data };
  if (typeof base64 !== 'string') throw new AssayError('INVALID_ARGUMENT', 'data_base64: must be text');
  return { envelope, data: readJson(Buffer.from(base64, 'base64'), signature) };
}

function checkAttributes(of: (name: string) => unknown, prefix: string): void {
  const version = of('specversion');
  if (version !== '1.0') {
    throw new AssayError('INVALID_ARGUMENT', `${prefix}specversion: must be 1.0; other CloudEvents are not read`);
  }
  for (const name of REQUIRED) {
    const value = of(name);
    if (typeof value !== 'string' || value === '') {
      throw new AssayError('INVALID_ARGUMENT', `${prefix}${name}: must be text; every CloudEvent has it`);
    }
  }
}

function mediaType(header: Buffer | string | undefined): string | undefined {
  return header?.toString().split(';')[0]?.trim().toLowerCase();
}

function isJson(type: string): boolean {
  return type === 'application/json' || type === 'text/json' || type.endsWith('+json');
}

function unsupported(type: string): AssayError {
  return new AssayError(
    'UNSUPPORTED_MEDIA_TYPE',
    `content type ${JSON.stringify(type.slice(0, 100))} is not read; expected application/json or application/cloudevents+json`,
  );
}

export interface Sealed {
  readonly value: string;
  readonly headers: Headers;
}

export interface ResultEvent {
  readonly id: string;
  /** The result as JSON. */
  readonly json: string;
  readonly pipeline: string;
  readonly nowMs: number;
}

/** The value and headers of a result: those of the input, with the event's own attributes replaced. */
export function seal(envelope: Envelope, input: InputRecord, result: ResultEvent): Sealed {
  if (envelope.mode === 'plain') return { value: result.json, headers: input.headers };
  const source = `/assay/pipelines/${result.pipeline}`;
  const time = new Date(result.nowMs).toISOString();
  if (envelope.mode === 'structured') {
    const kept = Object.entries(envelope.attributes).filter(([name]) => !OWN.has(name));
    const attributes = {
      ...Object.fromEntries(kept),
      specversion: '1.0',
      id: result.id,
      source,
      type: STREAM_RESULT_TYPE,
      time,
      datacontenttype: 'application/json',
      inputid: envelope.attributes.id,
      inputsource: envelope.attributes.source,
    };
    return { value: `${stringifyExactJson(attributes).slice(0, -1)},"data":${result.json}}`, headers: input.headers };
  }
  const kept = Object.entries(input.headers).filter(([name]) => !(name.startsWith('ce_') && OWN.has(name.slice(3))));
  const { ce_id: inputId = '', ce_source: inputSource = '' } = input.headers;
  return {
    value: result.json,
    headers: {
      ...Object.fromEntries(kept),
      ce_specversion: '1.0',
      ce_id: result.id,
      ce_source: source,
      ce_type: STREAM_RESULT_TYPE,
      ce_time: time,
      ce_inputid: inputId,
      ce_inputsource: inputSource,
      'content-type': 'application/json',
    },
  };
}
