/** Which trace a call is part of, as its headers say: W3C trace context (https://www.w3.org/TR/trace-context/). */

export interface TraceHeaders {
  /** The trace to pass on. */
  readonly traceparent: string | undefined;
  /** What goes with it. */
  readonly tracestate?: string | undefined;
}

/** Those of the call itself; without them those that its client has at hand. */
export function traceHeadersOf(
  call: Partial<TraceHeaders>,
  atHand: (() => TraceHeaders | undefined) | undefined,
): Readonly<Record<string, string>> {
  const { traceparent, tracestate } = call.traceparent === undefined ? (atHand?.() ?? {}) : call;
  if (traceparent === undefined) return {};
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
}
