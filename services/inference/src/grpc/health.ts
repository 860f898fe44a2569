/** `grpc.health.v1.Health`: what load balancers and orchestrators ask, without a key. */

import { AssayError } from '@assay/contracts';
import { create, toBinary } from '@bufbuild/protobuf';
import { frame } from './framing.ts';
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from './gen/grpc/health/v1/health_pb.ts';
import { decode, entry, pathOf } from './inference-methods.ts';
import type { Method, StreamCall, StreamHandler } from './method.ts';

/** A change is seen within it. */
const WATCH_MS = 250;

/** @param services names of those that are as healthy as the server */
export function healthMethods(services: readonly string[], isReady: () => boolean): Map<string, Method> {
  const watchers = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  const statusOf = (service: string): Status => {
    if (service !== '' && !services.includes(service)) return Status.SERVICE_UNKNOWN;
    return isReady() ? Status.SERVING : Status.NOT_SERVING;
  };
  /** One timer for all, while there are any. */
  const watch = (look: () => void, signal: AbortSignal): void => {
    watchers.add(look);
    timer ??= setInterval(() => watchers.forEach((each) => void each()), WATCH_MS).unref();
    signal.addEventListener(
      'abort',
      () => {
        watchers.delete(look);
        if (watchers.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      },
      { once: true },
    );
  };
  return new Map<string, Method>([
    entry(Health.method.check, 'public', ({ service }) => {
      const status = statusOf(service);
      if (status !== Status.SERVICE_UNKNOWN) return create(HealthCheckResponseSchema, { status });
      const known = services.join(', ');
      const message = `there is no service ${JSON.stringify(service.slice(0, 200))}; ask for ${known}, or for none`;
      throw new AssayError('NOT_FOUND', message);
    }),
    [
      pathOf(Health.method.watch),
      { kind: 'stream', access: 'public', open: (call) => watching(call, statusOf, watch) },
    ],
  ]);
}

function watching(
  call: StreamCall,
  statusOf: (service: string) => Status,
  watch: (look: () => void, signal: AbortSignal) => void,
): StreamHandler {
  let sent: Status | undefined;
  let service: string | undefined;
  const look = (): void => {
    const status = statusOf(service ?? '');
    if (status === sent) return;
    sent = status;
    call.send(frame(toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }))));
  };
  return {
    message(bytes) {
      if (service !== undefined) throw new AssayError('INVALID_ARGUMENT', 'the call has more than one message');
      ({ service } = decode(HealthCheckRequestSchema, bytes));
      look();
      watch(look, call.signal);
      return undefined;
    },
    ended() {
      if (service === undefined) call.finish(new AssayError('INVALID_ARGUMENT', 'the call has no message'));
    },
    isQuiet: true,
  };
}
