/** The registry's own metrics; those of its requests come from the HTTP app. */
import { counter, defineMetrics, gauge, histogram, type MetricsOf } from '@assay/runtime';

export const registryMetrics = defineMetrics('registry', {
  versions: counter({
    name: 'assay_registry_versions_total',
    help: 'Attempts to register a version, by outcome: registered, repeated (its idempotency key had made it before), refused (the package was at fault), failed.',
    labels: ['outcome'],
  }),
  registrationDuration: histogram({
    name: 'assay_registry_registration_duration_seconds',
    help: 'Time from the request to register a version to its answer, the wait for a check included.',
    unit: 'seconds',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
  }),
  datasetVersions: counter({
    name: 'assay_registry_dataset_versions_total',
    help: 'Attempts to register a dataset version, by outcome: registered, repeated (it was there already), failed.',
    labels: ['outcome'],
  }),
  blobBytes: counter({
    name: 'assay_registry_blob_bytes_total',
    help: 'Bytes of files of packages and datasets that were received (in) and sent (out).',
    labels: ['direction'],
  }),
  outboxEvents: gauge({
    name: 'assay_registry_outbox_events',
    help: 'Events that wait in the outbox to be published.',
  }),
  outboxLag: gauge({
    name: 'assay_registry_outbox_lag_seconds',
    help: 'Age of the oldest event that waits in the outbox; 0 when none does.',
  }),
  webhookDeliveries: counter({
    name: 'assay_registry_webhook_deliveries_total',
    help: 'Attempts to post an event to a webhook, by outcome: delivered, failed (it is tried again, unless the webhook is disabled for it).',
    labels: ['outcome'],
  }),
  webhookDuration: histogram({
    name: 'assay_registry_webhook_delivery_duration_seconds',
    help: 'Time of an attempt to post an event to a webhook, from the connection to the answer.',
    unit: 'seconds',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  }),
  webhookPending: gauge({
    name: 'assay_registry_webhook_pending',
    help: 'Events that wait to be taken by an enabled webhook.',
  }),
  webhookLag: gauge({
    name: 'assay_registry_webhook_lag_seconds',
    help: 'Age of the oldest event that waits to be taken by an enabled webhook; 0 when none does.',
  }),
  webhooksDisabled: gauge({
    name: 'assay_registry_webhooks_disabled',
    help: 'Webhooks that are not enabled: turned off by somebody, or given up.',
  }),
  collections: counter({
    name: 'assay_registry_collections_total',
    help: 'Collections of what is not needed any more, dry runs aside, by outcome: done, failed.',
    labels: ['outcome'],
  }),
  collectedBlobs: counter({
    name: 'assay_registry_collected_blobs_total',
    help: 'Blobs that collections removed.',
  }),
  collectedBytes: counter({
    name: 'assay_registry_collected_bytes_total',
    help: 'Bytes of the blobs that collections removed.',
  }),
  collectedRows: counter({
    name: 'assay_registry_collected_rows_total',
    help: 'Models, versions, dataset versions, runs, experiments and logged models that collections removed for good, their retention over.',
  }),
  collectionEnded: gauge({
    name: 'assay_registry_collection_ended_timestamp_seconds',
    help: 'When a collection was done last, of whichever replica, in seconds since 1970; 0 before the first.',
  }),
  toldFacts: counter({
    name: 'assay_registry_told_facts_total',
    help: 'Facts for the audit chain that other services told, by outcome: taken, known (it came again), refused (it is none, or not theirs to tell).',
    labels: ['outcome'],
  }),
  routingRevision: gauge({
    name: 'assay_registry_routing_revision',
    help: 'The revision of the routing snapshot.',
  }),
  routingWaiters: gauge({
    name: 'assay_registry_routing_waiters',
    help: 'Calls that wait for the next routing revision.',
  }),
});

export type RegistryMetrics = MetricsOf<typeof registryMetrics>;
