/** The gRPC door of the inference service. Loaded when there is a port for it, and not otherwise. */
import { type App, exchangeOf, listenBeside, type ServerTls } from '@assay/http';
import { createMetrics, type Registry } from '@assay/runtime';
import type { InferenceConfig } from '../config.ts';
import { Health } from './gen/grpc/health/v1/health_pb.ts';
import { GRPCInferenceService } from './gen/inference/inference_pb.ts';
import { healthMethods } from './health.ts';
import { type InferenceMethodsOptions, inferenceMethods } from './inference-methods.ts';
import { grpcMetrics } from './metrics.ts';
import { reflectionMethods } from './reflection.ts';
import { createGrpcServer } from './server.ts';

export interface OpenGrpcOptions extends Omit<InferenceMethodsOptions, 'stream'> {
  readonly registry: Registry;
  /** Absent: HTTP/2 in plain text. */
  readonly tls: ServerTls | undefined;
}

export interface GrpcDoor {
  /** @returns what a client connects to: `127.0.0.1:9001` */
  listen(port: number): Promise<string>;
  /** @returns how many calls were cut off */
  close(): Promise<{ cutOff: number }>;
}

/** @param app whose rules of ids, keys, errors and counts hold here too */
export function openGrpc(app: App, config: InferenceConfig, options: OpenGrpcOptions): GrpcDoor {
  const grpc = createGrpcServer({
    exchange: exchangeOf(app),
    tls: options.tls,
    methods: new Map([
      ...inferenceMethods({
        ...options,
        stream: { maxMessages: config.grpcMaxStreamMessages, maxBytes: config.grpcMaxMessageBytes },
      }),
      ...healthMethods([GRPCInferenceService.typeName, Health.typeName], options.isReady),
      ...reflectionMethods([GRPCInferenceService, Health]),
    ]),
    maxMessageBytes: config.grpcMaxMessageBytes,
    maxConcurrentStreams: config.grpcMaxConcurrentStreams,
  });
  const { metrics } = createMetrics(grpcMetrics, { registry: options.registry });
  const [connections, calls] = [metrics.connections.bind({}), metrics.calls.bind({})];
  const heldBytes = metrics.heldBytes.bind({});
  metrics.connections.onScrape(() => connections.set(grpc.connections));
  const refused = metrics.connectionsRefused.bind({});
  grpc.server.on('drop', () => refused.inc());
  metrics.calls.onScrape(() => calls.set(grpc.calls));
  metrics.heldBytes.onScrape(() => heldBytes.set(grpc.heldBytes));
  return {
    listen: (port) =>
      listenBeside(app, grpc.server, {
        host: config.host,
        port,
        portSetting: 'ASSAY_INFERENCE_GRPC_PORT',
        keysSetting: 'set ASSAY_SERVICE_KEY_FILE to the key of this service',
      }),
    close: () => grpc.drainAndClose(config),
  };
}
