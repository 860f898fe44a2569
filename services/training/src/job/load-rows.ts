/** The first stages: read the source, drop what cannot be learned from, split, and hand over typed columns. */
import { AssayError, type TrainingSpec } from '@assay/contracts';
import { MISSING_STRINGS } from '@assay/onnx';
import {
  type ColumnProfile,
  DataError,
  type DataFile,
  type Dataset,
  openDataset,
  type PreparedTable,
} from '@assay/tables';
import type { CategoryFeature, FeatureColumn, Part, Parts, PreparedFeature } from '../domain/prepared-rows.ts';
import { SPLIT } from '../domain/prepared-rows.ts';
import { isCategorical } from '../domain/spec-rules.ts';
import { parseInstant, splitByChance, splitByTime } from '../domain/split.ts';
import type { Reporter } from './reporter.ts';
import type { LocalSource } from './source.ts';

export interface LoadedRows {
  readonly files: readonly DataFile[];
  readonly features: readonly PreparedFeature[];
  readonly parts: Parts;
  /** Of the training rows. */
  readonly profiles: readonly ColumnProfile[];
  /** Library → version. */
  readonly libraries: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  readonly spec: TrainingSpec;
  readonly source: LocalSource;
  readonly seed: number;
  readonly threads: number;
  /** Where DuckDB may spill. */
  readonly tempDir: string;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

/** Names of columns that no feature can have: names of features have no NUL. */
const TARGET = '\0target';
const INSTANT = '\0instant';
const PART = '\0part';

export async function loadRows(options: LoadOptions): Promise<LoadedRows> {
  const { spec, source, threads, tempDir, report, signal } = options;
  report.stage('read', 2, source.title);
  const dataset = await openDataset(source, { threads, tempDir, signal });
  try {
    const table = await prepareTable(dataset, spec, signal);
    report.stage('clean', 6);
    await clean(dataset, table, options);
    report.stage('split', 9);
    await split(table, options);
    report.stage('analyse', 10);
    const profiles = await table.profile(
      spec.features.map((feature) => feature.name),
      { where: { column: PART, equals: SPLIT.train }, signal },
    );
    report.stage('features', 14);
    const features = await describeFeatures(table, spec, signal);
    const parts = {
      train: await readPart(table, features, SPLIT.train, signal),
      validation: await readPart(table, features, SPLIT.validation, signal),
      test: await readPart(table, features, SPLIT.test, signal),
    };
    return { files: dataset.files, features, parts, profiles, libraries: { duckdb: dataset.engineVersion } };
  } finally {
    dataset.close();
  }
}

function prepareTable(dataset: Dataset, spec: TrainingSpec, signal: AbortSignal): Promise<PreparedTable> {
  const features = spec.features.map((feature, i) => ({
    name: feature.name,
    dtype: feature.dtype,
    ...(feature.expression === undefined ? {} : { expression: feature.expression }),
    place: feature.expression === undefined ? `features[${i}]` : `features[${i}].expression`,
    missingTexts: MISSING_STRINGS,
  }));
  const target = {
    name: TARGET,
    dtype: 'bool',
    expression: spec.target.expression,
    place: 'target.expression',
  } as const;
  const instant =
    spec.split.by === 'time'
      ? [{ name: INSTANT, dtype: 'timestamp', column: spec.split.column, place: 'split.column' } as const]
      : [];
  return dataset.prepare({
    columns: [...features, target, ...instant],
    ...(spec.source.where === undefined ? {} : { where: { expression: spec.source.where, place: 'source.where' } }),
    signal,
  });
}

/** Drops the rows without a target; what else looks wrong is told, not touched. */
async function clean(dataset: Dataset, table: PreparedTable, { spec, report, signal }: LoadOptions): Promise<void> {
  const all = await table.countRows(signal);
  if (spec.source.where !== undefined) {
    const leftOut = (await dataset.countRows(signal)) - all;
    if (leftOut > 0) report.note(`${leftOut} rows left out by source.where`);
  }
  report.note(`${all} rows`);
  const withoutTarget = await table.dropMissing(TARGET, signal);
  if (withoutTarget > 0) report.note(`${withoutTarget} rows dropped: the target is null`);
  if (all === withoutTarget)
    throw new DataError('no rows are left to train on; look at source.where and target.expression');
  const duplicates = await dataset.countDuplicates(signal);
  if (duplicates > 0) report.note(`${duplicates} rows of the source are exact copies of another; they are kept`);
}

async function split(table: PreparedTable, { spec, seed, signal }: LoadOptions): Promise<void> {
  const rows = await table.countRows(signal);
  if (spec.split.by === 'random') {
    await table.addColumn(PART, splitByChance(rows, spec.split, seed), signal);
    return;
  }
  const instants = new BigInt64Array(rows);
  let at = 0;
  for await (const { columns, rows: count } of table.read([{ name: INSTANT }], { signal })) {
    const [column] = columns;
    if (column?.kind !== 'int64') throw new AssayError('INTERNAL', 'instants were not read as int64');
    if (column.valid !== undefined) {
      throw new DataError(`split.column: "${spec.split.column}" is null in some rows; leave them out by source.where`);
    }
    instants.set(column.values, at);
    at += count;
  }
  const validationFrom = parseInstant(spec.split.validationFrom) ?? 0n; // both were checked with the spec
  const testFrom = parseInstant(spec.split.testFrom) ?? 0n;
  await table.addColumn(PART, splitByTime(instants, validationFrom, testFrom), signal);
}

async function describeFeatures(
  table: PreparedTable,
  spec: TrainingSpec,
  signal: AbortSignal,
): Promise<PreparedFeature[]> {
  const features: PreparedFeature[] = [];
  for (const feature of spec.features) {
    const { name, dtype } = feature;
    if (!isCategorical(feature)) {
      features.push({ kind: 'number', name, dtype, spec: feature });
      continue;
    }
    const { values, counts } = await table.dictionary(name, { where: { column: PART, equals: SPLIT.train }, signal });
    features.push({ kind: 'category', name, dtype, spec: feature, ...knownFirst(values, counts) });
  }
  return features;
}

/** The values that training rows hold, then the others; ascending in both. */
function knownFirst(
  values: readonly (string | bigint)[],
  counts: readonly number[],
): Pick<CategoryFeature, 'values' | 'knownCount'> {
  const known = values.filter((_, i) => (counts[i] ?? 0) > 0);
  const others = values.filter((_, i) => (counts[i] ?? 0) === 0);
  const ordered = [...known, ...others] as string[] | bigint[]; // a dictionary's values are all of one type
  return { values: ordered, knownCount: known.length };
}

async function readPart(
  table: PreparedTable,
  features: readonly PreparedFeature[],
  part: number,
  signal: AbortSignal,
): Promise<Part> {
  const isExact = (feature: PreparedFeature) => feature.dtype === 'int64' || feature.dtype === 'timestamp';
  const requests = [
    { name: TARGET },
    ...features.flatMap((feature) => {
      if (feature.kind === 'category') return [{ name: feature.name, codesOf: feature.values }];
      const asDouble = { name: feature.name, as: 'float64' as const };
      return isExact(feature) ? [asDouble, { name: feature.name }] : [asDouble];
    }),
  ];
  const collected = new Map<number, ArrayBufferView[]>();
  let rows = 0;
  for await (const chunk of table.read(requests, { where: { column: PART, equals: part }, signal })) {
    rows += chunk.rows;
    for (const [i, column] of chunk.columns.entries()) {
      if (column.kind === 'string') throw new AssayError('INTERNAL', 'a category was read as text');
      const list = collected.get(i);
      if (list === undefined) collected.set(i, [column.values]);
      else list.push(column.values);
    }
  }
  let position = 0;
  const take = <T extends Joinable>(make: new (length: number) => T): T =>
    join(make, collected.get(position++) ?? [], rows);
  const labels = take(Uint8Array);
  const columns = features.map((feature): FeatureColumn => {
    if (feature.kind === 'category') return { kind: 'category', codes: take(Int32Array) };
    const values = take(Float64Array);
    return isExact(feature) ? { kind: 'number', values, exact: take(BigInt64Array) } : { kind: 'number', values };
  });
  return { rows, labels, columns };
}

type Joinable = Uint8Array | Int32Array | Float64Array | BigInt64Array;

function join<T extends Joinable>(
  make: new (length: number) => T,
  pieces: readonly ArrayBufferView[],
  rows: number,
): T {
  const whole = new make(rows);
  const bytes = new Uint8Array(whole.buffer);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength), at);
    at += piece.byteLength;
  }
  return whole;
}
