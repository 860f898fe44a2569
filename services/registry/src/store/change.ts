/**
 * A change: one transaction that holds a write, its audit entries, its events and the new revision of the routing
 * snapshot, so that none of them is ever there without the others. Every write of the registry goes through here.
 */
import { AssayError, type AuditFact, type Event, type RegistryEventType, TOPICS } from '@assay/contracts';
import type { Database } from '@assay/database';
import { newEvent, writeOutbox } from '@assay/events';
import { newId, type TraceFields } from '@assay/runtime';
import type { Transaction } from 'kysely';
import { appendAudit } from './audit.ts';
import type { RegistryTables } from './tables.ts';
import { queueDeliveries } from './webhook-queue.ts';

/** Who acts, and the request by which they do, with its trace: that of the events of the change. */
export interface Actor extends TraceFields {
  readonly principal: string;
  /** Which of the principal's keys; null without one. */
  readonly keyId: string | null;
  readonly requestId: string;
  /** The git commit that they say they act for. */
  readonly commit?: string;
}

export interface Change {
  readonly trx: Transaction<RegistryTables>;
  /** Milliseconds since the epoch: the time of every row and entry of this change. */
  readonly at: number;
  readonly actor: Actor;
  /** An entry of the audit chain: `action` is `alias.move`, `resource` is `model/mdl_…`. */
  record(action: string, resource: string, details: Readonly<Record<string, unknown>>): void;
  /** An event for the others: the whole resource after the change, ordered per `subject` by `revision`. */
  announce(type: EventType, subject: string, revision: number, resource: unknown): void;
  /** The routing snapshot reads otherwise after this change. */
  rerouted(): void;
  /** Other keys hold after this change. */
  rekeyed(): void;
}

export type EventType = RegistryEventType;

/** The tables, and what is told when a change is durable. */
export interface Store {
  readonly database: Database<RegistryTables>;
  /** The routing snapshot has this revision now. */
  onRerouted(revision: number): void;
  /** The key snapshot has this revision now. */
  onRekeyed(revision: number): void;
}

/** Runs `write` and makes all of it durable, or nothing. */
export async function change<T>(store: Store, actor: Actor, write: (change: Change) => Promise<T>): Promise<T> {
  const committed = await store.database.transaction(async (trx) => {
    const at = Date.now();
    const facts: AuditFact[] = [];
    const events: Event[] = [];
    let rerouted = false;
    let rekeyed = false;
    const value = await write({
      trx,
      at,
      actor,
      record(action, resource, details) {
        const { principal, requestId, keyId, commit } = actor;
        const all = {
          ...details,
          ...(keyId === null ? {} : { byKey: keyId }),
          ...(commit === undefined ? {} : { commit }),
        };
        facts.push({ id: newId('aud'), at, principal, action, resource, requestId, details: all });
      },
      announce(type, subject, revision, resource) {
        const facts = { source: '/assay/registry', type, subject, sequence: revision, data: resource };
        events.push(newEvent(facts, actor));
      },
      rerouted() {
        rerouted = true;
      },
      rekeyed() {
        rekeyed = true;
      },
    });
    await appendAudit(trx, facts);
    await announceAll(trx, events);
    await queueDeliveries(trx, events, at);
    return {
      value,
      routing: rerouted ? await nextRevision(trx, 'routing') : undefined,
      keys: rekeyed ? await nextRevision(trx, 'key_snapshot') : undefined,
    };
  });
  if (committed.routing !== undefined) store.onRerouted(committed.routing);
  if (committed.keys !== undefined) store.onRekeyed(committed.keys);
  return committed.value;
}

async function announceAll(trx: Transaction<RegistryTables>, events: readonly Event[]): Promise<void> {
  try {
    await writeOutbox(trx, TOPICS.models, events);
  } catch (cause) {
    if (!(cause instanceof AssayError) || cause.code !== 'PAYLOAD_TOO_LARGE') throw cause;
    throw new AssayError(
      'PAYLOAD_TOO_LARGE',
      `this is more than can be told to the other services (${cause.message}); shorten the descriptions, the tags, and the lists of values, columns and parents`,
      { cause },
    );
  }
}

async function nextRevision(trx: Transaction<RegistryTables>, snapshot: 'routing' | 'key_snapshot'): Promise<number> {
  await trx
    .updateTable(snapshot)
    .set((eb) => ({ revision: eb('revision', '+', 1) }))
    .execute();
  const row = await trx.selectFrom(snapshot).select('revision').executeTakeFirstOrThrow();
  return row.revision;
}
