/** `assay datasets changes`: what a version of a dataset changed. */
import { createRegistryClient } from '@assay/client';
import type { DatasetChanges, DatasetColumnShift } from '@assay/contracts';
import type { Io } from '../io.ts';
import { json, metric, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { findVersion } from './datasets.ts';

export async function changes(
  io: Io,
  which: string,
  options: TargetOptions & { readonly since?: number },
): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const { datasetName, version } = await findVersion(registry, which, io.signal);
  const found = await registry.getDatasetChanges(datasetName, version, options.since, { signal: io.signal });
  io.out(options.json ? json(found) : changesText(found));
}

export function changesText(found: DatasetChanges): string {
  const { dataset, from, to, rows, columns, personalData, about, shifts, withoutProfile } = found;
  const lines = [
    `${dataset} ${from.version} → ${to.version}${found.told === '' ? '' : `: ${found.told}`}`,
    found.sameTable ? 'the same table' : rowsText(rows),
    ...columns.added.map(({ name, type }) => `column ${name} was added (${type})`),
    ...columns.removed.map(({ name, type }) => `column ${name} was removed (${type})`),
    ...columns.retyped.map((column) => `column ${column.name}: ${column.from} → ${column.to}`),
    ...columns.nullability.map(({ name, to: isNullable }) =>
      isNullable ? `column ${name} may miss values now` : `column ${name} misses no value any more`,
    ),
    ...(columns.reordered ? ['the columns come in another order'] : []),
    ...personalData.added.map((name) => `column ${name} is personal data now`),
    ...personalData.removed.map((name) => `column ${name} is no personal data any more`),
    ...about.map((said) => `${said.what}: ${quoted(said.from)} → ${quoted(said.to)}`),
    ...(withoutProfile.length === 0 ? [] : [`nothing is known of the values of ${withoutProfile.join(', ')}`]),
  ];
  return `${lines.join('\n')}\n${shifts.length === 0 ? '' : `\n${shiftTable(shifts)}`}`;
}

function rowsText({ from, to }: DatasetChanges['rows']): string {
  const change = from === to ? '' : ` (${to > from ? '+' : ''}${to - from})`;
  return `rows: ${from} → ${to}${change}`;
}

function quoted(text: string): string {
  return text === '' ? '-' : `"${text}"`;
}

function shiftTable(shifts: readonly DatasetColumnShift[]): string {
  return table(
    ['COLUMN', 'MISSING', 'MEAN', 'STD. DEVIATIONS', 'MIN', 'MAX', 'DISTINCT'],
    shifts.map(({ name, missingRate, mean, min, max, distinct }) => [
      name,
      missingRate === undefined ? '-' : `${percent(missingRate.from)} → ${percent(missingRate.to)}`,
      moved(mean),
      mean?.standardDeviations === undefined ? '-' : metric(mean.standardDeviations),
      moved(min),
      moved(max),
      moved(distinct),
    ]),
  );
}

function moved(values: { readonly from: number; readonly to: number } | undefined): string {
  return values === undefined ? '-' : `${metric(values.from)} → ${metric(values.to)}`;
}

function percent(rate: number): string {
  return `${metric(rate * 100)} %`;
}
