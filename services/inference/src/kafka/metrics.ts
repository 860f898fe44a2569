/** The metrics of stream scoring. */
import { counter, DURATION_BUCKETS, defineMetrics, gauge, histogram } from '@assay/runtime';

export const streamMetrics = defineMetrics('stream', {
  records: counter({
    name: 'assay_stream_records_total',
    help: 'Input records whose outcome is committed: result, dead_letter or tombstone.',
    labels: ['pipeline', 'outcome'],
  }),
  transform: histogram({
    name: 'assay_stream_transform_seconds',
    help: 'From a chunk of records to its results, the waiting for other partitions and for the endpoint included.',
    unit: 'seconds',
    labels: ['pipeline'],
    buckets: DURATION_BUCKETS,
  }),
  commit: histogram({
    name: 'assay_stream_commit_seconds',
    help: 'The transaction of a chunk: results, dead letters and the offset.',
    unit: 'seconds',
    labels: ['pipeline'],
    buckets: DURATION_BUCKETS,
  }),
  lag: gauge({
    name: 'assay_stream_lag_records',
    help: 'Offsets of an input partition whose outcome is not committed, of those that this process owns or, while it waits, owned last. As of its last commit; the broker is asked anew every 5 seconds. Markers of transactions in the input have offsets too.',
    labels: ['pipeline', 'partition'],
    maxSeries: 10_000,
  }),
  state: gauge({
    name: 'assay_stream_state',
    help: '1 for the state that the pipeline is in (starting, running, waiting, stopped), 0 for the others; for each of them where its threads differ.',
    labels: ['pipeline', 'state'],
  }),
  waits: counter({
    name: 'assay_stream_waits_total',
    help: 'Times that records waited because they could not be scored at once, by the error code.',
    labels: ['pipeline', 'code'],
  }),
  threadRestarts: counter({
    name: 'assay_stream_thread_restarts_total',
    help: 'Times that a thread of stream scoring failed and was started again.',
  }),
});
