/** The metrics of the lane. */
import { counter, defineMetrics, gauge } from '@assay/runtime';

export const laneMetrics = defineMetrics('lane', {
  handovers: counter({
    name: 'assay_inference_lane_handover_total',
    help: 'Connections that the lane gave to Node with what they had sent, by reason: request_line, route, header, header_size, host, length, protocol, content.',
    labels: ['reason'],
  }),
  connections: gauge({ name: 'assay_inference_lane_connections', help: 'Connections that the lane has now.' }),
});
