/** One prediction as the log keeps it, and the events that carry them. */
import {
  type Door,
  type Event,
  PREDICTIONS_LOGGED,
  type PredictionEntry,
  type PredictionsLogged,
} from '@assay/contracts';
import { newId, readTrace } from '@assay/runtime';
import { exactJson, exactOutputs } from '@assay/scoring';
import type { Scored } from '../domain/dataplane.ts';

/** An event may have 1 MiB; as text in a text it can double. */
export const MAX_EVENT_CHARACTERS = 400 * 1024;
/** All but record and outputs, about. */
const FACTS_CHARACTERS = 500;

export interface PredictionToLog {
  /** As the caller got it. */
  readonly id: string;
  readonly atMs: number;
  readonly door: Door;
  /** The named record; undefined where it has no such form. */
  readonly record: unknown;
  readonly scored: Scored;
  /** Of `scored`. */
  readonly row: number;
  /** As it came with what asked; ignored where it is none. */
  readonly traceparent: unknown;
}

/** Undefined where it has no form: no record, or a version that is unloaded by now. */
export function predictionEntry(prediction: PredictionToLog): PredictionEntry | undefined {
  const { id, atMs, door, record, scored, row, traceparent } = prediction;
  const { endpoint, variant, rows } = scored;
  const loaded = variant.live?.loaded;
  if (record === undefined || loaded === undefined) return undefined;
  const trace = readTrace({ traceparent });
  return {
    id,
    at: atMs,
    door,
    endpointId: endpoint.endpoint.id,
    endpointName: endpoint.endpoint.name,
    modelName: variant.version.modelName,
    version: variant.version.version,
    versionId: variant.version.id,
    digest: variant.version.digest,
    routingRevision: endpoint.endpoint.revision,
    executionClass: String(loaded.details.executionClass),
    ...(trace === undefined ? {} : { traceId: trace.traceId }),
    ...(rows.cached?.has(row) === true ? { cached: true } : {}),
    record: exactJson(record),
    outputs: exactOutputs(loaded.signature, rows.outputs, rows.firstRow + row),
  };
}

/** What it takes of an event, about. */
export function charactersOf({ record, outputs }: PredictionEntry): number {
  return record.length + outputs.length + FACTS_CHARACTERS;
}

/** The entries of one event each: as few as their size allows. */
export function inParts(entries: readonly PredictionEntry[]): PredictionEntry[][] {
  const parts: PredictionEntry[][] = [];
  let part: PredictionEntry[] = [];
  let characters = 0;
  for (const entry of entries) {
    const size = charactersOf(entry);
    if (part.length > 0 && characters + size > MAX_EVENT_CHARACTERS) {
      parts.push(part);
      part = [];
      characters = 0;
    }
    part.push(entry);
    characters += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/** At most some 400 KiB of records and outputs go into one. */
export function predictionsEvent(predictions: PredictionEntry[]): Event {
  return {
    specversion: '1.0',
    id: newId('evt'),
    source: '/assay/inference',
    type: PREDICTIONS_LOGGED,
    // Nothing follows one prediction's changes: any subject that spreads the events will do.
    subject: predictions[0]?.id ?? 'none',
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    sequence: 0,
    data: { predictions } satisfies PredictionsLogged,
  };
}
