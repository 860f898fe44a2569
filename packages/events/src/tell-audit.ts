/** How a service other than the registry tells it of a governance write: in the transaction of that write, by the outbox. */
import { TOLD_FACT_TYPE, TOPICS, type ToldAction, type ToldFact } from '@assay/contracts';
import { newId, type TraceFields } from '@assay/runtime';
import type { Transaction } from 'kysely';
import { newEvent } from './event-bus.ts';
import { writeOutbox } from './outbox.ts';

/** Who acted, and the request by which they did, with its trace. */
export interface Acting extends TraceFields {
  readonly principal: string;
  /** Which of the principal's keys; null without one. */
  readonly keyId: string | null;
  readonly requestId: string;
}

export interface Told {
  readonly action: ToldAction;
  /** What was acted on, and its revision then. */
  readonly job: { readonly id: string; readonly kind: string; readonly revision: number };
  readonly details: Readonly<Record<string, unknown>>;
}

/** @throws AssayError PAYLOAD_TOO_LARGE: the transaction then fails with it */
export async function tellAudit<Tables>(trx: Transaction<Tables>, acting: Acting, told: Told): Promise<void> {
  const { principal, keyId, requestId } = acting;
  const { action, job, details } = told;
  const data: ToldFact = {
    id: newId('aud'),
    at: Date.now(),
    principal,
    action,
    resource: `job/${job.id}`,
    requestId,
    details: { kind: job.kind, ...details, ...(keyId === null ? {} : { byKey: keyId }) },
  };
  const source = `/assay/${job.kind}`;
  const facts = { source, type: TOLD_FACT_TYPE, subject: job.id, sequence: job.revision, data };
  await writeOutbox(trx, TOPICS.audit, [newEvent(facts, acting)]);
}
