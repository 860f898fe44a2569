/** Outcomes on their way to the event log: one event each, so that those of a prediction keep their order. */
import { createHash } from 'node:crypto';
import { type Event, OUTCOME_REPORTED, type ReportedOutcome, type ReportOutcomes, TOPICS } from '@assay/contracts';
import type { TraceFields } from '@assay/runtime';
import type { EventSink } from '../predictions/prediction-log.ts';

export interface Reporter {
  readonly endpointId: string;
  readonly principal: string;
  readonly nowMs: number;
  /** Of the report, where it is part of one. */
  readonly trace: Partial<TraceFields>;
}

/** Resolves when all are durable. */
export async function reportOutcomes(
  sink: EventSink,
  report: ReportOutcomes,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const events = report.outcomes.map((outcome) => eventOf(report.endpoint, outcome, reporter));
  await sink.publish(TOPICS.outcomes, events, { signal });
}

function eventOf(
  endpoint: string,
  { predictionId, value, at }: ReportOutcomes['outcomes'][number],
  { endpointId, principal, nowMs, trace }: Reporter,
): Event {
  return {
    specversion: '1.0',
    id: eventId([endpoint, predictionId, value, at ?? null]),
    source: '/assay/inference',
    type: OUTCOME_REPORTED,
    subject: predictionId,
    time: new Date(nowMs).toISOString(),
    datacontenttype: 'application/json',
    sequence: 0,
    ...trace,
    data: {
      predictionId,
      endpointId,
      endpointName: endpoint,
      value,
      at: at ?? nowMs,
      reportedAt: nowMs,
      reportedBy: principal,
    } satisfies ReportedOutcome,
  };
}

/** The same report gives the same id however often it is sent: a consumer that has seen it drops it. */
function eventId(parts: readonly unknown[]): string {
  return `evt_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;
}
