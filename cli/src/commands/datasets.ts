/** `assay datasets`: the tables that the registry holds. */
import { resolve } from 'node:path';
import { createRegistryClient, type RegistryClient } from '@assay/client';
import {
  AssayError,
  type Dataset,
  type DatasetColumnProfile,
  type DatasetVersion,
  type DatasetVersionSummary,
} from '@assay/contracts';
import type { Io } from '../io.ts';
import { facts, instant, json, metric, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { unwritable } from '../user-files.ts';

/** A registry with more pages than this is looked at in other ways. */
const MAX_PAGES = 100;
/** So many are named. */
const MAX_PARENTS = 20;

export async function list(io: Io, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const datasets: Dataset[] = [];
  for (let page = 0, after: string | undefined; page < MAX_PAGES; page++) {
    const query = { limit: 1000, ...(after === undefined ? {} : { after }) };
    const { items, next } = await registry.listDatasets(query, { signal: io.signal });
    datasets.push(...items);
    if (next === undefined) break;
    after = next;
  }
  io.out(options.json ? json(datasets) : datasetTable(datasets));
}

export async function show(io: Io, which: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const version = await findVersion(registry, which, io.signal);
  if (options.json) return io.out(json(version));
  const parents: string[] = [];
  for (const id of version.parents.slice(0, MAX_PARENTS)) {
    const parent = await registry.getDatasetVersionById(id, { signal: io.signal });
    parents.push(`${parent.datasetName}@${parent.version}`);
  }
  if (version.parents.length > MAX_PARENTS) parents.push(`and ${version.parents.length - MAX_PARENTS} more`);
  io.out(`${datasetFacts(version, parents)}\n${columnTable(version)}`);
  const { items } = await registry.listDatasetVersions(version.datasetName, { limit: 10 }, { signal: io.signal });
  if (items.length > 1) io.out(`\n${versionTable(items)}`);
}

export async function get(io: Io, which: string, options: TargetOptions & { readonly to: string }): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const version = await findVersion(registry, which, io.signal);
  const dir = resolve(io.cwd, options.to);
  await registry.downloadDataset(version, dir, { signal: io.signal }).catch((thrown: unknown) => {
    throw unwritable(options.to, thrown);
  });
  if (options.json) return io.out(json({ ...version, dir }));
  const { datasetName, version: number, fileCount, sizeBytes } = version;
  io.out(`${datasetName} ${number} is in ${dir}: ${filesText(fileCount)}, ${bytesText(sizeBytes)}, digests checked.\n`);
}

/**
 * The version that `NAME` (the newest) or `NAME@N` says.
 * @throws AssayError INVALID_ARGUMENT for another form, NOT_FOUND
 */
export async function findVersion(
  registry: RegistryClient,
  which: string,
  signal: AbortSignal,
): Promise<DatasetVersion> {
  const [, name, number] = /^([^@]+)(?:@(latest|[1-9][0-9]{0,14}))?$/.exec(which) ?? [];
  if (name === undefined) {
    throw new AssayError('INVALID_ARGUMENT', `"${which}" is no dataset version; expected NAME or NAME@2`);
  }
  const version = number === undefined || number === 'latest' ? undefined : Number(number);
  return registry.getDatasetVersion(name, version, { signal });
}

/**
 * What is known of a version, without its columns.
 * @param parents by name; their ids otherwise
 */
export function datasetFacts(version: DatasetVersion, parents: readonly string[] = version.parents): string {
  const told = (text: string): string => (text === '' ? '-' : text);
  return facts([
    ['dataset', version.datasetName],
    ['version', String(version.version)],
    ['format', version.format],
    ['rows', String(version.rows)],
    ['files', `${filesText(version.fileCount)}, ${bytesText(version.sizeBytes)}`],
    ['layer', version.layer],
    ['description', told(version.description)],
    ['source', told(version.source)],
    ['owner', told(version.owner)],
    ['licence', told(version.licence)],
    ['known bias', told(version.knownBias)],
    ['personal data', told(version.personalData.join(', '))],
    ['changes', told(version.changes)],
    ['made from', told(parents.join(', '))],
    ['registered', `${instant(version.createdAt)} by ${version.createdBy}`],
    ['id', version.id],
    ['digest', version.digest],
  ]);
}

function columnTable({ schema, profile = [] }: DatasetVersion): string {
  const profiles = new Map(profile.map((column) => [column.name, column]));
  return table(
    ['COLUMN', 'TYPE', 'MISSING', 'DISTINCT', 'RANGE OR MOST FREQUENT'],
    schema.map(({ name, type, nullable }) => {
      const column = profiles.get(name);
      return [
        name,
        type,
        column === undefined ? (nullable ? 'some' : '0') : String(column.missing),
        column === undefined ? '-' : String(column.distinct),
        column === undefined ? '-' : valuesText(column),
      ];
    }),
  );
}

/** What the values of a column are like, in a few words. */
function valuesText({ dtype, numeric, top = [] }: DatasetColumnProfile): string {
  if (numeric !== undefined) {
    const show = dtype === 'timestamp' ? (micros: number) => instant(micros / 1000) : metric;
    return `${show(numeric.min)} … ${show(numeric.max)}, mean ${show(numeric.mean)}`;
  }
  const shown = top.slice(0, 3).map(({ value, count }) => `${value} (${count})`);
  return shown.length === 0 ? '-' : shown.join(', ');
}

function datasetTable(datasets: readonly Dataset[]): string {
  if (datasets.length === 0) return 'There are no datasets yet. `assay datasets add NAME FILE` makes one.\n';
  return table(
    ['NAME', 'LATEST', 'LAYER', 'ROWS', 'COLUMNS', 'SIZE', 'OWNER', 'UPDATED'],
    datasets.map(({ name, latestVersion, latest, updatedAt }) => [
      name,
      String(latestVersion),
      latest.layer,
      String(latest.rows),
      String(latest.columnCount),
      bytesText(latest.sizeBytes),
      latest.owner === '' ? '-' : latest.owner,
      instant(updatedAt),
    ]),
  );
}

function versionTable(versions: readonly DatasetVersionSummary[]): string {
  return table(
    ['VERSION', 'ROWS', 'CREATED', 'BY', 'CHANGES'],
    versions.map(({ version, rows, createdAt, createdBy, changes }) => [
      String(version),
      String(rows),
      instant(createdAt),
      createdBy,
      changes === '' ? '-' : changes,
    ]),
  );
}

export function filesText(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function bytesText(sizeBytes: number): string {
  let [value, unit] = [sizeBytes, 0];
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
