/**
 * Facts for the audit chain that other services than the registry tell it, as events on the topic `assay.audit.v1`. The
 * registry puts each into the chain once, by its id.
 */
import Type from 'typebox';
import { EpochMs, Name } from './registry.ts';

export const TOLD_FACT_TYPE = 'assay.audit.fact.v1';

/**
 * The registry takes no others: what it has done itself nobody else can say, so that the chain alone still tells which
 * version each alias was at.
 */
export const ToldAction = Type.Union([Type.Literal('job.submit'), Type.Literal('job.cancel'), Type.Literal('job.end')]);
export type ToldAction = Type.Static<typeof ToldAction>;

/** The data of such an event. Read tolerantly. */
export const ToldFact = Type.Object(
  {
    id: Type.String({ pattern: '^aud_[0-9a-z]{26}$' }),
    at: EpochMs,
    principal: Name,
    action: ToldAction,
    resource: Type.String({ pattern: '^job/job_[0-9a-z]{26}$', description: '`job/job_…`' }),
    requestId: Type.String({ maxLength: 200 }),
    details: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'ToldFact' },
);
export type ToldFact = Type.Static<typeof ToldFact>;
