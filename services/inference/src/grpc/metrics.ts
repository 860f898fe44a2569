/** The metrics of the gRPC door; calls are counted with all other requests, by their path. */
import { defineMetrics, gauge } from '@assay/runtime';

export const grpcMetrics = defineMetrics('grpc', {
  connections: gauge({ name: 'assay_inference_grpc_connections', help: 'Open connections of the gRPC port.' }),
  calls: gauge({ name: 'assay_inference_grpc_calls', help: 'gRPC calls whose answer is not wholly taken.' }),
});
