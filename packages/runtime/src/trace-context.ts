/**
 * W3C trace context (https://www.w3.org/TR/trace-context/): read strictly, passed on, never invented into a trace.
 *
 * A *carrier* is whatever has the fields `traceparent` and `tracestate`: the headers of a request or of a record, an event,
 * a row; in capitals, the environment of a process. What comes in by one carrier goes on by the next: read with `readTrace`,
 * written with `childTrace`.
 */
import { randomBytes } from 'node:crypto';

export interface TraceContext {
  /** 32 hex digits: the whole trace. */
  readonly traceId: string;
  /** 16 hex digits: the caller's span, the parent of whatever is done here. */
  readonly spanId: string;
  /** Whether the caller records this trace. */
  readonly sampled: boolean;
  /** The `tracestate`: what tracing systems on the way told each other. Not ours to read: passed on as it is. */
  readonly state?: string;
}

/** A trace context as a carrier has it. */
export interface TraceFields {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** What may have a trace context, or anything else, in the two fields; text, or bytes. */
export type TraceCarrier =
  | { readonly traceparent?: unknown; readonly tracestate?: unknown }
  | Readonly<Record<string, unknown>>;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 256;
/** What the specification asks everybody to pass on; a longer one, or one that is no header's value, is dropped whole. */
const TRACESTATE = /^[\t\x20-\x7e]{1,512}$/;

/**
 * The context in a `traceparent`; undefined when there is none or it is not valid, in which case the specification wants it
 * ignored. Versions above 00 may carry more fields, which are not looked at.
 */
export function parseTraceparent(header: string | undefined): TraceContext | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined;
  const match = TRACEPARENT.exec(header);
  if (match === null) return undefined;
  const [, version, traceId = '', spanId = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The context that a carrier has, with its state; undefined as by `parseTraceparent`: a state alone says nothing. */
export function readTrace(carrier: TraceCarrier): TraceContext | undefined {
  const context = parseTraceparent(textOf(carrier.traceparent));
  if (context === undefined) return undefined;
  const state = textOf(carrier.tracestate);
  return state === undefined || !TRACESTATE.test(state) ? context : { ...context, state };
}

/** Of a field that is there once; as bytes in records of Kafka. */
function textOf(field: unknown): string | undefined {
  if (typeof field === 'string') return field;
  return Buffer.isBuffer(field) ? field.toString('latin1') : undefined;
}

/**
 * The fields of a call or event made on behalf of `parent`: the same trace and state, a new span. Without a parent it
 * begins a trace that nobody records, so that what follows can still be found by its id.
 */
export function childTrace(parent: TraceContext | undefined): TraceFields {
  const traceId = parent?.traceId ?? newHexId(16);
  const traceparent = `00-${traceId}-${newHexId(8)}-${parent?.sampled === true ? '01' : '00'}`;
  return parent?.state === undefined ? { traceparent } : { traceparent, tracestate: parent.state };
}

/** What a carrier has of a trace, and nothing else of it; as it is. */
export function traceFieldsOf({ traceparent, tracestate }: Partial<TraceFields>): Partial<TraceFields> {
  if (traceparent === undefined) return {};
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}

/**
 * The trace that a process is part of, if whoever started it said so in its environment, by the names that OpenTelemetry
 * has for it (https://opentelemetry.io/docs/specs/otel/context/env-carriers/).
 */
export function traceOfEnvironment({
  TRACEPARENT: traceparent,
  TRACESTATE: tracestate,
}: Readonly<NodeJS.ProcessEnv>): TraceContext | undefined {
  return readTrace({ traceparent, tracestate });
}

/** For the environment of a process that is started on behalf of `parent`. */
export function traceVariables(parent: TraceContext | undefined): Readonly<Record<string, string>> {
  if (parent === undefined) return {};
  const { traceparent: TRACEPARENT, tracestate: TRACESTATE } = childTrace(parent);
  return TRACESTATE === undefined ? { TRACEPARENT } : { TRACEPARENT, TRACESTATE };
}

/** Random and not all zero, which the specification calls invalid. */
function newHexId(sizeBytes: number): string {
  const bytes = randomBytes(sizeBytes);
  if (bytes.every((byte) => byte === 0)) bytes[sizeBytes - 1] = 1;
  return bytes.toString('hex');
}
