/** The metrics of the gRPC door; calls are counted with all other requests, by their path. */
import { counter, defineMetrics, gauge } from '@assay/runtime';

export const grpcMetrics = defineMetrics('grpc', {
  connections: gauge({ name: 'assay_inference_grpc_connections', help: 'Open connections of the gRPC port.' }),
  connectionsRefused: counter({
    name: 'assay_inference_grpc_connections_refused_total',
    help: 'Connections of the gRPC port that were closed at once, since as many were open as may be.',
  }),
  heldBytes: gauge({
    name: 'assay_inference_grpc_held_bytes',
    help: 'Bytes of gRPC messages that are not whole yet, and of answers that callers are slow to take.',
  }),
  calls: gauge({ name: 'assay_inference_grpc_calls', help: 'gRPC calls whose answer is not wholly taken.' }),
});
