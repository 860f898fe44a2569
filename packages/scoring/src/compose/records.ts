/** Records to check a composition with: those that its parts came with, put together. */
import type { Golden } from '@assay/model-package';
import type { Encoder } from '../encoder.ts';
import { PackedInputBatch } from '../input-batch.ts';
import { syntheticRecords } from '../synthetic-records.ts';
import type { Plan } from './plan.ts';

const MAX_RECORDS = 256;
/** Where no part came with records that the whole takes. */
const SYNTHETIC_RECORDS = 64;
const SEED = 20_260_102;

export interface ComposedRecords {
  readonly records: readonly Record<string, unknown>[];
  readonly source: Golden['source'];
}

type Row = Readonly<Record<string, unknown>>;

/**
 * Of each part its own records in turn, with what it does not take from the records of others. What the whole does not
 * take, since another part allows less, is left out.
 * @param goldens of the parts, by step
 */
export function composedRecords(plan: Plan, goldens: ReadonlyMap<string, Golden>, encoder: Encoder): ComposedRecords {
  const parts = plan.steps.flatMap(({ name, signature, sources }) => {
    const rows = goldens.get(name)?.records ?? [];
    const names = (signature?.features ?? []).flatMap((feature, i) => {
      const source = sources[i];
      return source?.kind === 'feature' ? [[source.name, feature.name] as const] : [];
    });
    return rows.length === 0 || names.length === 0 ? [] : [{ rows, names }];
  });
  const renamed = (part: (typeof parts)[number], at: number): Row => {
    const row = part.rows[at % part.rows.length];
    return Object.fromEntries(part.names.map(([name, own]) => [name, row?.[own] ?? null]));
  };
  const batch = new PackedInputBatch(encoder, MAX_RECORDS);
  const records: Record<string, unknown>[] = [];
  const each = Math.floor(MAX_RECORDS / Math.max(1, parts.length));
  for (const part of parts) {
    for (let at = 0; at < Math.min(each, part.rows.length); at++) {
      const record = Object.assign({}, ...parts.map((other) => renamed(other, at)), renamed(part, at));
      if (batch.tryAppendRecord(record) === undefined) records.push(record);
    }
  }
  if (records.length > 0) return { records, source: weakest([...goldens.values()]) };
  const integerTypes = Object.fromEntries(encoder.columns.map(({ feature, graphType }) => [feature.name, graphType]));
  const made = syntheticRecords(plan.signature, SYNTHETIC_RECORDS, SEED, integerTypes);
  return { records: made, source: 'synthetic' };
}

function weakest(goldens: readonly Golden[]): Golden['source'] {
  const sources = new Set(goldens.map(({ source }) => source));
  if (sources.has('synthetic')) return 'synthetic';
  return sources.has('example') ? 'example' : 'training';
}
