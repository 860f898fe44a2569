/**
 * Takes into the audit chain what other services tell of their own governance writes, each once: a fact comes again when
 * its service or this one was killed at the wrong moment, and is known by its id.
 */
import {
  AssayError,
  type AuditFact,
  explain,
  matches,
  TOLD_FACT_TYPE,
  TOPICS,
  ToldFact,
  tolerant,
} from '@assay/contracts';
import type { Database } from '@assay/database';
import type { EventBus, EventHandler, Subscription } from '@assay/events';
import type { Logger } from '@assay/runtime';
import type { RegistryMetrics } from './metrics.ts';
import { appendAudit } from './store/audit.ts';
import type { RegistryTables } from './store/tables.ts';

const GROUP = 'assay-registry-audit';
const TOLD = tolerant(ToldFact);

export interface FactTaker {
  close(): Promise<void>;
}

/** Begins as soon as the bus can be reached; the registry answers meanwhile. */
export function startTakingFacts(options: {
  readonly database: Database<RegistryTables>;
  readonly bus: EventBus;
  readonly metrics: RegistryMetrics;
  readonly log: Logger;
}): FactTaker {
  const { database, bus, metrics, log } = options;
  const taken = metrics.toldFacts.bind({ outcome: 'taken' });
  const known = metrics.toldFacts.bind({ outcome: 'known' });
  const refused = metrics.toldFacts.bind({ outcome: 'refused' });
  const stop = new AbortController();

  const handle: EventHandler = async (event) => {
    if (event.type !== TOLD_FACT_TYPE) return;
    if (!matches(TOLD, event.data)) {
      refused.inc();
      log.error(
        { event: event.id, source: event.source, why: explain(TOLD, event.data, 'data') },
        'a fact for the audit chain is not taken',
      );
      return;
    }
    const { id, at, principal, action, resource, requestId, details } = event.data;
    const fact: AuditFact = {
      id,
      at,
      principal,
      action,
      resource,
      requestId,
      details: { ...details, toldBy: event.source },
    };
    if (await takeOnce(database, fact)) taken.inc();
    else known.inc();
  };

  const { signal } = stop;
  const subscribed: Promise<Subscription | undefined> = bus
    .subscribe({ topics: [TOPICS.audit], delivery: { group: GROUP }, from: 'earliest', signal }, handle)
    .catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, 'no facts of other services are taken into the audit chain');
      return undefined;
    });
  return {
    async close() {
      stop.abort(new AssayError('CANCELLED', 'the registry stops'));
      await (await subscribed)?.close();
    },
  };
}

/** @returns whether it is new */
function takeOnce(database: Database<RegistryTables>, fact: AuditFact): Promise<boolean> {
  return database.transaction(async (trx) => {
    const before = await trx.selectFrom('audit').select('id').where('id', '=', fact.id).executeTakeFirst();
    if (before !== undefined) return false;
    await appendAudit(trx, [fact]);
    return true;
  });
}
