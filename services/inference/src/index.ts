/**
 * The inference service: REST and gRPC over one dataplane.
 *
 * It follows the registry's routing snapshot, keeps the versions that it names in memory, and scores. What it has learnt is
 * on disk, so that it starts and serves when the registry is away.
 */
import { describeOpenApi, type OpenApiDocument } from '@assay/http';
import { type ConfigRow, describeConfig, describeMetrics, type MetricRow } from '@assay/runtime';
import { COMPATIBLE_METRICS } from './compatible-metrics.ts';
import { inferenceConfig } from './config.ts';
import { grpcMetrics } from './grpc/metrics.ts';
import { streamMetrics } from './kafka/metrics.ts';
import { laneMetrics } from './lane/metrics.ts';
import { inferenceMetrics } from './metrics.ts';

export type { ModelSource } from './routing/open-source.ts';

import { describeApp } from './service.ts';

export { type InferenceConfig, inferenceConfig } from './config.ts';
export type { EventSink } from './predictions/prediction-log.ts';
export { createStaticModels, type StaticModel } from './routing/static-source.ts';
export { createService, type InferenceDependencies } from './service.ts';

export interface InferenceDescription {
  readonly name: 'inference';
  readonly config: ConfigRow[];
  readonly metrics: MetricRow[];
  openapi(): Promise<OpenApiDocument>;
}

/** The service's settings, metrics and API, without opening anything. */
export function describe(): InferenceDescription {
  return {
    name: 'inference',
    config: describeConfig(inferenceConfig),
    metrics: [
      ...[inferenceMetrics, laneMetrics, grpcMetrics, streamMetrics].flatMap((each) => describeMetrics(each)),
      ...COMPATIBLE_METRICS,
    ],
    openapi: () => describeOpenApi(describeApp()),
  };
}
