/** The metrics of the inference service. */
import { counter, DURATION_BUCKETS, defineMetrics, gauge, histogram } from '@assay/runtime';

const BY_VERSION = ['endpoint', 'model', 'version'] as const;
const BY_DOOR = ['door', ...BY_VERSION] as const;

export const inferenceMetrics = defineMetrics('inference', {
  requests: counter({
    name: 'assay_inference_requests_total',
    help: 'Scoring requests by outcome: OK or an error code. The version is empty when none was chosen.',
    labels: [...BY_VERSION, 'code'],
    maxSeries: 5000,
  }),
  limited: counter({
    name: 'assay_inference_limited_total',
    help: "Requests that an endpoint's own limits refused, by limit: requests_per_second, rows_per_second, concurrency, rows, bytes.",
    labels: ['endpoint', 'limit'],
  }),
  shadowRows: counter({
    name: 'assay_inference_shadow_rows_total',
    help: 'Rows that shadows were to score, by outcome: compared, failed, dropped (the shadow was behind, or not loaded).',
    labels: [...BY_VERSION, 'outcome'],
  }),
  rows: counter({ name: 'assay_inference_rows_total', help: 'Records scored.', labels: BY_VERSION }),
  cacheRows: counter({
    name: 'assay_inference_cache_rows_total',
    help: 'Rows that were looked up in the cache of their endpoint, by outcome: hit (scored before), coalesced (being scored for another request), miss.',
    labels: [...BY_VERSION, 'outcome'],
  }),
  cacheEvictions: counter({
    name: 'assay_inference_cache_evictions_total',
    help: 'Rows that left the cache of their endpoint, by reason: size (others needed the room), age.',
    labels: [...BY_VERSION, 'reason'],
  }),
  cacheBytes: gauge({
    name: 'assay_inference_cache_bytes',
    help: 'Memory that the cache of an endpoint holds, about.',
    labels: BY_VERSION,
  }),
  cacheEntries: gauge({
    name: 'assay_inference_cache_entries',
    help: 'Rows in the cache of an endpoint.',
    labels: BY_VERSION,
  }),
  queue: histogram({
    name: 'assay_inference_queue_seconds',
    help: 'From submission to the run that answered it, by the door (rest, oip, grpc, kafka) that it came through.',
    unit: 'seconds',
    labels: BY_DOOR,
    buckets: DURATION_BUCKETS,
  }),
  inference: histogram({
    name: 'assay_inference_run_seconds',
    help: 'The run of the model that answered the request, by door.',
    unit: 'seconds',
    labels: BY_DOOR,
    buckets: DURATION_BUCKETS,
  }),
  total: histogram({
    name: 'assay_inference_request_seconds',
    help: 'From the arrival of the request to its predictions, by door. A request of the door kafka is a slice of the records of a chunk.',
    unit: 'seconds',
    labels: BY_DOOR,
    buckets: DURATION_BUCKETS,
  }),
  batchRows: histogram({
    name: 'assay_inference_batch_rows',
    help: 'Rows of the run that answered a request, those of other requests included.',
    unit: 'rows',
    labels: BY_VERSION,
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
  }),
  queuedRows: gauge({ name: 'assay_inference_queued_rows', help: 'Rows that wait now, all versions together.' }),
  loadedVersions: gauge({
    name: 'assay_inference_loaded_versions',
    help: 'Versions in memory, draining ones included.',
  }),
  restingVersions: gauge({
    name: 'assay_inference_resting_versions',
    help: 'Versions that were unloaded to save memory (modelMemoryBytes); the next request loads them again.',
  }),
  modelBytes: gauge({
    name: 'assay_inference_model_memory_bytes',
    help: 'What the versions in memory are taken to hold, which modelMemoryBytes bounds; 0 where nothing does.',
  }),
  evictions: counter({
    name: 'assay_inference_version_evictions_total',
    help: 'Times that a version was unloaded to make room for another. Many of them: modelMemoryBytes is too low for the traffic.',
  }),
  wakeSeconds: histogram({
    name: 'assay_inference_version_wake_seconds',
    help: 'From the request that needed a version which was unloaded to save memory until it was loaded again; its count is that of the wakes.',
    unit: 'seconds',
    buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  }),
  loadSeconds: histogram({
    name: 'assay_inference_version_load_seconds',
    help: 'Fetching, checking, loading and testing a version.',
    unit: 'seconds',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  }),
  loadFailures: counter({
    name: 'assay_inference_version_load_failures_total',
    help: 'Failed tries to load a version.',
    labels: ['model', 'version', 'code'],
  }),
  modelCrashes: counter({
    name: 'assay_inference_model_crashes_total',
    help: 'Processes of versions (isolation: process) that ended by themselves; they are started again.',
    labels: ['model', 'version'],
  }),
  heldBack: gauge({
    name: 'assay_inference_held_back_endpoints',
    help: 'Endpoints whose newest revision is not, or not wholly, applied because of a failure.',
  }),
  providerMissing: gauge({
    name: 'assay_inference_provider_missing',
    help: '1 where models run on the CPU because the GPU that was asked for cannot be used, else 0.',
  }),
  routingRevision: gauge({
    name: 'assay_inference_routing_revision',
    help: 'Revision of the routing snapshot that is held; -1 before the first.',
  }),
  routingAge: gauge({
    name: 'assay_inference_routing_age_seconds',
    help: 'Since the registry last answered; NaN before it first did.',
  }),
  predictionsLogged: counter({
    name: 'assay_inference_predictions_logged_total',
    help: 'Predictions that the event log has taken.',
  }),
  predictionsDropped: counter({
    name: 'assay_inference_predictions_dropped_total',
    help: 'Predictions that were drawn for the log and are not in it, by reason: queue_full, rate (over predictionLogMaxPerSecond), too_large, unrepresentable (a value that no record can hold), refused (by the event log), closing.',
    labels: ['reason'],
  }),
  outcomes: counter({
    name: 'assay_inference_outcomes_total',
    help: 'Outcomes of predictions that were reported and that the event log has taken.',
    labels: ['endpoint'],
  }),
  predictionsQueued: gauge({
    name: 'assay_inference_predictions_queued_rows',
    help: 'Predictions that wait to be logged.',
  }),
  routingFailures: counter({
    name: 'assay_inference_routing_failures_total',
    help: 'Times that the registry could not be asked for the routing snapshot.',
  }),
});
