/** The metrics of the lane. */
import { counter, defineMetrics, gauge } from '@assay/runtime';

const REASONS = 'request_line, route, header, header_size, host, length, protocol, content';

export const laneMetrics = defineMetrics('lane', {
  handovers: counter({
    name: 'assay_inference_lane_handover_total',
    help: `Connections that the lane gave to Node with what they had sent, by reason: ${REASONS}.`,
    labels: ['reason'],
  }),
  passedOn: counter({
    name: 'assay_inference_lane_passed_on_total',
    help: 'Requests that the lane passed on to Node while their connection stayed, by the same reasons.',
    labels: ['reason'],
  }),
  connections: gauge({ name: 'assay_inference_lane_connections', help: 'Connections that the lane has now.' }),
});
