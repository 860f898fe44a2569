/**
 * Delivers what waits: of several replicas one at a time, under a lease, each webhook by itself so that a slow receiver
 * holds up nobody else, and of each webhook some models at once, but the events of one model one after another. Killed
 * between an answer and its mark it sends again, with the same id: receivers see a duplicate, never a loss.
 */
import { randomUUID } from 'node:crypto';
import { createWaker, leaseRow, pause, withLease } from '@assay/events';
import { childTrace, type Logger, newId } from '@assay/runtime';
import { WEBHOOKS } from '../domain/principals.ts';
import { verdictOf } from '../domain/webhook-retry.ts';
import type { RegistryMetrics } from '../metrics.ts';
import type { Store } from '../store/change.ts';
import type { WebhookDeliveriesTable, WebhooksTable } from '../store/tables.ts';
import {
  type DueWebhook,
  dueWebhooks,
  enabledWebhooks,
  LANES,
  markDelivery,
  purgeDeliveries,
} from '../store/webhook-sending.ts';
import { countPending, disableWebhook } from '../store/webhooks.ts';
import { sendOnce, type WebhookSending } from './send.ts';

export interface DeliveryLimits {
  /** Requests at once. */
  readonly maxConcurrent: number;
  /** A delivery that fails so long disables its webhook. */
  readonly giveUpMs: number;
  /** So many that wait disable it, too. */
  readonly maxPending: number;
  /** How long the log keeps what was delivered. */
  readonly retentionMs: number;
}

export interface DelivererOptions {
  readonly store: Store;
  readonly sending: WebhookSending;
  readonly metrics: Pick<RegistryMetrics, 'webhookDeliveries' | 'webhookDuration'>;
  readonly log: Logger;
  readonly limits: DeliveryLimits;
  /** How often to look for what other replicas wrote; commits of this one are seen at once. */
  readonly pollMs?: number;
  /** How long a killed deliverer holds up the next one at most. */
  readonly leaseMs?: number;
}

const RETRY_MS = 5000;
const MAINTENANCE_MS = 60_000;

export function startWebhookDeliverer(options: DelivererOptions): { close(): Promise<void> } {
  const { store, sending, log, limits, pollMs = 500, leaseMs = 5000 } = options;
  const { db } = store.database;
  const stop = new AbortController();
  const waker = createWaker();
  const stopListening = store.database.onCommit(waker.wake);
  const owner = randomUUID();
  const lease = leaseRow(db, 'webhook_lease');
  const maxWebhooks = Math.max(1, Math.floor(limits.maxConcurrent / LANES));
  const [delivered, failed] = [
    options.metrics.webhookDeliveries.bind({ outcome: 'delivered' }),
    options.metrics.webhookDeliveries.bind({ outcome: 'failed' }),
  ];
  const duration = options.metrics.webhookDuration.bind({});
  let maintainedAt = 0;

  async function loop(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        const isMaintenanceDue = Date.now() - maintainedAt >= MAINTENANCE_MS;
        const { due, nextAt } = await dueWebhooks(db, Date.now(), { busy: new Set(), maxWebhooks: 1 });
        if (due.length > 0 || isMaintenanceDue) {
          await withLease(lease, { owner, leaseMs, signal: stop.signal, log }, deliverAll);
        }
        await waker.wait(waitFor(nextAt), stop.signal);
      } catch (err) {
        if (stop.signal.aborted) return;
        log.warn({ err }, 'webhooks cannot be delivered now; trying again');
        await pause(RETRY_MS, stop.signal);
      }
    }
  }

  function waitFor(nextAt: number | undefined): number {
    return nextAt === undefined ? pollMs : Math.max(1, Math.min(pollMs, nextAt - Date.now()));
  }

  async function deliverAll(signal: AbortSignal): Promise<void> {
    const running = new Map<string, Promise<void>>();
    let broken: { readonly error: unknown } | undefined;
    try {
      await maintain(signal);
      while (!signal.aborted && broken === undefined) {
        const busy = new Set(running.keys());
        const { due, nextAt } = await dueWebhooks(db, Date.now(), { busy, maxWebhooks: maxWebhooks - busy.size });
        for (const one of due) {
          const work = deliverTo(one, signal)
            .catch((error: unknown) => {
              broken = { error };
            })
            .finally(() => {
              running.delete(one.webhook.id);
              waker.wake();
            });
          running.set(one.webhook.id, work);
        }
        if (running.size === 0) break;
        await waker.wait(waitFor(nextAt), signal);
      }
    } finally {
      await Promise.all(running.values());
      await lease.release(owner);
    }
    if (broken !== undefined) throw broken.error;
  }

  async function deliverTo({ webhook, deliveries }: DueWebhook, signal: AbortSignal): Promise<void> {
    await Promise.all(deliveries.map((delivery) => deliver(webhook, delivery, signal)));
  }

  async function deliver(webhook: WebhooksTable, delivery: WebhookDeliveriesTable, signal: AbortSignal): Promise<void> {
    const beganAt = Date.now();
    const message = { eventId: delivery.event_id, body: delivery.body };
    const answer = await sendOnce(webhook, message, sending, signal);
    if (signal.aborted && answer.error !== undefined) return; // whoever comes next sends it again
    const now = Date.now();
    const attempts = delivery.attempts + 1;
    const firstAttemptAt = delivery.first_attempt_at ?? beganAt;
    const verdict = verdictOf(answer, attempts);
    duration.observe(answer.durationMs / 1000);
    (verdict.kind === 'delivered' ? delivered : failed).inc();
    await markDelivery(db, delivery.id, {
      state: verdict.kind === 'delivered' ? 'delivered' : 'pending',
      attempts,
      first_attempt_at: firstAttemptAt,
      last_attempt_at: now,
      next_attempt_at: verdict.kind === 'retry' ? now + verdict.inMs : now,
      duration_ms: answer.durationMs,
      status: answer.status ?? null,
      error: answer.error ?? null,
      response: answer.response ?? null,
    });
    if (verdict.kind === 'delivered') return;
    const { event_type: type, subject } = delivery;
    log.info(
      { webhook: webhook.id, delivery: delivery.id, type, subject, attempts, error: answer.error },
      'a webhook did not take an event',
    );
    if (verdict.kind === 'gone') await disable(webhook.id, 'it answered 410: gone for good');
    else if (now - firstAttemptAt >= limits.giveUpMs) {
      const since = new Date(firstAttemptAt).toISOString();
      const why = `delivery ${delivery.id} has failed ${attempts} times since ${since}: ${answer.error ?? 'no answer'}`;
      await disable(webhook.id, why);
    }
  }

  async function disable(webhookId: string, reason: string): Promise<void> {
    const actor = { principal: WEBHOOKS, keyId: null, requestId: newId('req'), ...childTrace(undefined) };
    await disableWebhook(store, actor, webhookId, reason);
    log.warn({ webhook: webhookId, reason }, 'a webhook is disabled: it gets nothing more until somebody enables it');
  }

  /** Bounds what waits and what is kept. */
  async function maintain(signal: AbortSignal): Promise<void> {
    if (Date.now() - maintainedAt < MAINTENANCE_MS) return;
    maintainedAt = Date.now();
    for (const { id } of await enabledWebhooks(db)) {
      const pending = await countPending(db, id, limits.maxPending + 1);
      if (pending > limits.maxPending) await disable(id, `more than ${limits.maxPending} events wait for it`);
    }
    while (!signal.aborted && (await purgeDeliveries(db, Date.now() - limits.retentionMs)) > 0);
  }

  const done = loop();
  return {
    async close() {
      stop.abort(new DOMException('the deliverer of webhooks is closed', 'AbortError'));
      stopListening();
      await done;
    },
  };
}
