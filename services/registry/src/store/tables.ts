/**
 * The registry's tables. Times are integer milliseconds, ids and JSON are text. Nothing here is read by another service.
 *
 * A deleted alias or endpoint leaves its row behind, with its revision: a name that comes back goes on counting, so that
 * a writer who saw the old one loses its compare-and-set.
 */
import type { DatasetFormat, PrincipalKind } from '@assay/contracts';
import type { Kysely, Transaction } from 'kysely';
import type { MlflowTables } from '../mlflow/store/mlflow-tables.ts';

export interface ModelsTable {
  id: string;
  name: string;
  description: string;
  /** Grows with each change of what `Model` shows: description, versions, aliases. */
  revision: number;
  /** The number of the newest version, 0 before the first; the next one is one more. */
  last_version: number;
  created_at: number;
  updated_at: number;
  /** null while it is there. A deleted model has given its name away: the row's reads `~ID/NAME`. */
  deleted_at: number | null;
}

/** What a version is never changes: rows are inserted whole. What is said of it does: description, tags, stage. */
export interface VersionsTable {
  id: string;
  model_id: string;
  version: number;
  digest: string;
  files: string;
  signature: string;
  metrics: string;
  description: string;
  tags: string;
  idempotency_key: string | null;
  created_at: number;
  created_by: string;
  deleted_at: number | null;
  /** Why no endpoint can serve it; null when one can. */
  not_servable: string | null;
  /** Of MLflow; it decides nothing. */
  stage: string;
  /** Grows with each change of what is said of it. */
  revision: number;
  /** null before the first change. */
  updated_at: number | null;
}

/** A row is there from its first version on. */
export interface DatasetsTable {
  id: string;
  name: string;
  /** The number that was given last; the next one is one more. */
  last_version: number;
  /** The newest that is not deleted; of a deleted dataset, the newest that went with it. */
  latest_version: number;
  /** Grows with each change of its versions. */
  revision: number;
  created_at: number;
  updated_at: number;
  /** null while it is there. A deleted dataset keeps its name: the next version that is registered brings it back. */
  deleted_at: number | null;
}

/** What a version is never changes: rows are inserted whole. It may be deleted. */
export interface DatasetVersionsTable {
  id: string;
  dataset_id: string;
  version: number;
  digest: string;
  format: DatasetFormat;
  row_count: number;
  file_count: number;
  column_count: number;
  size_bytes: number;
  /** JSON, as are `columns`, `profile` (null without one) and `about`. */
  files: string;
  columns: string;
  profile: string | null;
  /** What people say of it. */
  about: string;
  created_at: number;
  created_by: string;
  deleted_at: number | null;
  /** Grows when it is deleted and restored. */
  revision: number;
}

/** Which version an idempotency key gave: one that it made, or one that was there already. */
export interface DatasetVersionKeysTable {
  dataset_id: string;
  idempotency_key: string;
  version_id: string;
}

/** How a version was made, as its package and its run tell it. */
export interface VersionLineageTable {
  version_id: string;
  /** The MLflow run that logged the model; null without one. */
  run_id: string | null;
  /** JSON of a `VersionOrigin`, without its inputs. */
  origin: string;
  /** 0 where an older Assay registered the version, and its package was not read since. */
  is_read: number;
}

/** What a package says that its version was made from, by digest. */
export interface VersionInputsTable {
  version_id: string;
  kind: 'dataset' | 'file' | 'version';
  digest: string;
  /** The dataset version that is meant, where several have this digest. */
  named_id: string | null;
}

/** Which dataset versions hold a file. */
export interface DatasetFilesTable {
  sha256: string;
  dataset_version_id: string;
}

export interface DatasetParentsTable {
  child_id: string;
  parent_id: string;
}

/** A version stood behind an alias or an endpoint, unchanged, from one revision of it to another. */
export interface VersionUsesTable {
  kind: 'alias' | 'endpoint';
  /** `MODEL_ID/ALIAS`, or the id of the endpoint. */
  subject: string;
  version_id: string;
  /** Of the alias or endpoint when it began. */
  revision: number;
  /** Of an endpoint's variant; 0 for an alias. */
  weight: number;
  began_at: number;
  /** null while it holds. */
  ended_at: number | null;
  principal: string;
}

export interface AliasesTable {
  model_id: string;
  alias: string;
  /** null once deleted. */
  version_id: string | null;
  revision: number;
  moved_at: number;
  moved_by: string;
}

/** A row is there from the first change on. */
export interface ModelGatesTable {
  model_id: string;
  /** JSON. */
  gates: string;
  revision: number;
  updated_at: number;
  updated_by: string;
}

/** What the registry keeps under a name for others to work by. A row is there from the first change on. */
export interface NamedDocumentsTable {
  kind: string;
  name: string;
  /** JSON; null once deleted. */
  content: string | null;
  revision: number;
  updated_at: number;
  updated_by: string;
}

/** An approval that was withdrawn leaves no row: the audit trail has both. */
export interface VersionApprovalsTable {
  version_id: string;
  principal: string;
  comment: string;
  at: number;
}

/** Absent for what an older Assay registered, and for what cannot be served. */
export interface VersionChecksTable {
  version_id: string;
  /** JSON of a `VersionChecks`. */
  checks: string;
}

export interface EndpointsTable {
  id: string;
  name: string;
  contract: string;
  variants: string;
  follow_model_id: string | null;
  follow_alias: string | null;
  salt: string;
  default_timeout_ms: number;
  /** JSON of EndpointLimits; null where there are none. */
  limits: string | null;
  /** JSON of EndpointCache; null where answers are not used again. */
  cache: string | null;
  /** JSON of a list of Shadow; null where there are none. */
  shadows: string | null;
  revision: number;
  created_at: number;
  updated_at: number;
  updated_by: string;
  deleted_at: number | null;
}

/** What one life of a replica has counted of a shadow; see contracts/shadows.ts. */
export interface ShadowReportsTable {
  endpoint_id: string;
  version_id: string;
  primary_version_id: string;
  replica: string;
  sequence: number;
  /** JSON of ShadowCounts. */
  counted: string;
  reported_at: number;
}

/** One row: the revision of the routing snapshot. */
export interface RoutingTable {
  singleton: number;
  revision: number;
}

export interface PrincipalsTable {
  id: string;
  name: string;
  kind: PrincipalKind;
  created_at: number;
  created_by: string;
}

export interface ApiKeysTable {
  id: string;
  principal_id: string;
  /** Of 256 random bits: it gives nothing away. */
  secret_sha256: string;
  /** JSON, as is `endpoints`; null: all endpoints. */
  scopes: string;
  endpoints: string | null;
  description: string;
  /** The file of the bootstrap folder that it comes from; null for one that was made by the API. */
  bootstrap: string | null;
  revision: number;
  /** null until it is changed, or revoked. */
  updated_at: number | null;
  updated_by: string | null;
  created_at: number;
  created_by: string;
  /** null while it holds. */
  revoked_at: number | null;
  revoked_by: string | null;
}

/** One row: the revision of the key snapshot. */
export interface KeySnapshotTable {
  singleton: number;
  revision: number;
}

export interface WebhooksTable {
  id: string;
  url: string;
  /** JSON, as is `models`: empty for all. */
  events: string;
  models: string;
  description: string;
  /** Sealed, as is `former_secret`: see webhooks/secret-box.ts. */
  secret: string;
  /** null before it was replaced. Signatures are made with both until `former_until`. */
  former_secret: string | null;
  former_until: number | null;
  /** 0 or 1. */
  is_enabled: number;
  /** null while it is enabled. */
  disabled_reason: string | null;
  revision: number;
  created_at: number;
  created_by: string;
  updated_at: number;
  updated_by: string;
}

/** An event for a webhook. */
export interface WebhookDeliveriesTable {
  id: string;
  webhook_id: string;
  /** In the order of the commits. */
  position: number;
  /** Those of one key wait for each other. */
  order_key: string;
  event_id: string;
  event_type: string;
  subject: string;
  /** What is sent. */
  body: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  created_at: number;
  /** null before the first attempt, as is what follows. */
  first_attempt_at: number | null;
  last_attempt_at: number | null;
  next_attempt_at: number;
  duration_ms: number | null;
  status: number | null;
  error: string | null;
  response: string | null;
  replay_of: string | null;
}

/** One row: the position of the next delivery. */
export interface WebhookCounterTable {
  singleton: number;
  next_position: number;
}

/** One row: which replica delivers. */
export interface WebhookLeaseTable {
  singleton: number;
  owner: string | null;
  until_ms: number;
}

/** Who is about to name a blob: see blob-claims.ts. */
export interface BlobClaimsTable {
  blob_key: string;
  claim_id: string;
  until_ms: number;
  /** 1 once a row names the blob, which a collection under way has not seen. */
  is_named: number;
}

/** Blobs that a collection is deleting: nobody may name them. See blob-claims.ts. */
export interface CondemnedBlobsTable {
  blob_key: string;
  size_bytes: number;
  run_id: string;
  /** From then on no request to delete it can be on its way any more. */
  settled_at: number;
}

/** One row: which collection is under way, and when one ended last. */
export interface CollectorTable {
  singleton: number;
  owner: string | null;
  until_ms: number;
  ended_at: number;
}

export interface AuditTable {
  sequence: number;
  id: string;
  at: number;
  principal: string;
  action: string;
  resource: string;
  request_id: string;
  details_sha256: string;
  previous_hash: string;
  hash: string;
  /** null once erased. */
  details: string | null;
}

/** One row: where the chain ends, so that entries missing from the end are missed. */
export interface AuditHeadTable {
  singleton: number;
  sequence: number;
  hash: string;
}

export interface RegistryTables extends MlflowTables {
  models: ModelsTable;
  versions: VersionsTable;
  datasets: DatasetsTable;
  dataset_versions: DatasetVersionsTable;
  dataset_version_keys: DatasetVersionKeysTable;
  version_lineage: VersionLineageTable;
  version_inputs: VersionInputsTable;
  dataset_files: DatasetFilesTable;
  dataset_parents: DatasetParentsTable;
  version_uses: VersionUsesTable;
  aliases: AliasesTable;
  model_gates: ModelGatesTable;
  version_approvals: VersionApprovalsTable;
  version_checks: VersionChecksTable;
  endpoints: EndpointsTable;
  named_documents: NamedDocumentsTable;
  shadow_reports: ShadowReportsTable;
  routing: RoutingTable;
  principals: PrincipalsTable;
  api_keys: ApiKeysTable;
  key_snapshot: KeySnapshotTable;
  webhooks: WebhooksTable;
  webhook_deliveries: WebhookDeliveriesTable;
  webhook_counter: WebhookCounterTable;
  webhook_lease: WebhookLeaseTable;
  blob_claims: BlobClaimsTable;
  condemned_blobs: CondemnedBlobsTable;
  collector: CollectorTable;
  audit: AuditTable;
  audit_head: AuditHeadTable;
}

/** What reads take: the database, or a transaction in it. */
export type Queryable = Kysely<RegistryTables> | Transaction<RegistryTables>;

/** A JSON column of ours, as what we wrote there. */
export function fromJson<T>(text: string): T {
  return JSON.parse(text) as T; // the column was written by `JSON.stringify` of a T in the same store
}
