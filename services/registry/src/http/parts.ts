/** What the routes work with. They get a function that gives it, so that the API can be described without opening anything. */
import type { BlobStore } from '@assay/blobs';
import type { CheckpointKeys } from '@assay/contracts';
import type { FollowedKeys } from '@assay/http';
import type { Collector } from '../collection/collector.ts';
import type { RegistryConfig } from '../config.ts';
import type { RevisionWatch } from '../domain/revision-watch.ts';
import type { RegistryMetrics } from '../metrics.ts';
import type { Packager } from '../mlflow/packager.ts';
import type { Registration } from '../registration/register-version.ts';
import type { Store } from '../store/change.ts';
import type { WebhookSending } from '../webhooks/send.ts';

export interface Parts {
  readonly config: RegistryConfig;
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly registration: Registration;
  /** Makes packages of what clients of MLflow have registered. */
  readonly packager: Packager;
  readonly routing: RevisionWatch;
  /** Wakes those who wait for other keys. */
  readonly keyWatch: RevisionWatch;
  /** The keys that this registry checks its own callers with; absent where it needs none. */
  readonly keys: FollowedKeys | undefined;
  /** The keys of audit checkpoints; absent where none are made. */
  readonly checkpointKeys: CheckpointKeys | undefined;
  readonly webhooks: WebhookSending;
  readonly collector: Collector;
  readonly metrics: RegistryMetrics;
}

export type PartsOf = () => Parts;
