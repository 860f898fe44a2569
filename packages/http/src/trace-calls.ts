/** Traces that go on by themselves from a request to the calls that answering it takes. */
import { inTrace } from '@assay/runtime';
import type { App } from './app.ts';

/**
 * From here on each handler runs in the trace of its request: clients with `trace: currentTrace` pass it on. For services
 * that call others to answer; each request pays for it.
 */
export function passTracesOn(app: App): void {
  // The last hook before the handler: what reads the body comes from the socket, and is part of no request.
  app.addHook('preHandler', (request, _reply, done) => inTrace(request.traceContext, done));
}
