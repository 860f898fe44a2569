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
  const statusOf = (service: string): Status => {
    if (service !== '' && !services.includes(service)) return Status.SERVICE_UNKNOWN;
    return isReady() ? Status.SERVING : Status.NOT_SERVING;
  };
  return new Map<string, Method>([
    entry(Health.method.check, 'public', ({ service }) => {
      const status = statusOf(service);
      if (status !== Status.SERVICE_UNKNOWN) return create(HealthCheckResponseSchema, { status });
      const known = services.join(', ');
      const message = `there is no service ${JSON.stringify(service.slice(0, 200))}; ask for ${known}, or for none`;
      throw new AssayError('NOT_FOUND', message);
    }),
    [pathOf(Health.method.watch), { kind: 'stream', access: 'public', open: (call) => watch(call, statusOf) }],
  ]);
}

function watch(call: StreamCall, statusOf: (service: string) => Status): StreamHandler {
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
      const timer = setInterval(look, WATCH_MS).unref();
      call.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
      return undefined;
    },
    ended() {
      if (service === undefined) call.finish(new AssayError('INVALID_ARGUMENT', 'the call has no message'));
    },
    isQuiet: true,
  };
}
