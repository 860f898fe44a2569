/**
 * Which trace the work at hand belongs to, for calls made deep inside it. Not for the way of a prediction, where every
 * microsecond counts: there a trace is handed on by name.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { childTrace, type TraceContext, type TraceFields } from './trace-context.ts';

const scope = new AsyncLocalStorage<TraceContext | undefined>();

/** Runs `work`, and all that it waits for, as part of `trace`; undefined is part of none. */
export function inTrace<T>(trace: TraceContext | undefined, work: () => T): T {
  return scope.run(trace, work);
}

/** For one call of the work at hand: `childTrace` of its trace. The clients of services take it as their `trace`. */
export function currentTrace(): TraceFields | undefined {
  const trace = scope.getStore();
  return trace === undefined ? undefined : childTrace(trace);
}
