export { type DatabaseEventBusOptions, openDatabaseEventBus } from './database-bus.ts';
export {
  type Delivery,
  type EventBus,
  type EventHandler,
  newEvent,
  type SubscribeOptions,
  type Subscription,
} from './event-bus.ts';
export type { Retention } from './event-log.ts';
export { ignoreStale } from './ignore-stale.ts';
export { type LeaseStore, withLease } from './lease.ts';
export { type LeaseRow, leaseRow } from './lease-row.ts';
export { type OpenEventBusOptions, openEventBus } from './open-event-bus.ts';
export {
  type OutboxPublisher,
  type OutboxPublisherOptions,
  outboxMigration,
  startOutboxPublisher,
  writeOutbox,
} from './outbox.ts';
export { type Acting, type Told, tellAudit } from './tell-audit.ts';
export { createWaker, pause, type Waker } from './waker.ts';
