/** W3C trace context (https://www.w3.org/TR/trace-context/): read strictly, passed on, never invented into a trace. */
import { randomBytes } from 'node:crypto';

export interface TraceContext {
  /** 32 hex digits: the whole trace. */
  readonly traceId: string;
  /** 16 hex digits: the caller's span, the parent of whatever is done here. */
  readonly spanId: string;
  /** Whether the caller records this trace. */
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 256;

/**
 * The context in a `traceparent` header; undefined when there is none or it is not valid, in which case the
 * specification wants it ignored. Versions above 00 may carry more fields, which are not looked at.
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

/**
 * The `traceparent` of a call or event made on behalf of `parent`: the same trace, a new span. Without a parent it
 * begins a trace that nobody records, so that what follows can still be found by its id.
 */
export function childTraceparent(parent: TraceContext | undefined): string {
  const traceId = parent?.traceId ?? newHexId(16);
  return `00-${traceId}-${newHexId(8)}-${parent?.sampled === true ? '01' : '00'}`;
}

/** Random and not all zero, which the specification calls invalid. */
function newHexId(sizeBytes: number): string {
  const bytes = randomBytes(sizeBytes);
  if (bytes.every((byte) => byte === 0)) bytes[sizeBytes - 1] = 1;
  return bytes.toString('hex');
}
