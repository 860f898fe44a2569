/** What the files of a dataset hold: their one schema, the rows, and a profile of each column. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import {
  AssayError,
  type DatasetColumn,
  type DatasetColumnProfile,
  type DatasetFormat,
  type Dtype,
  nearest,
} from '@assay/contracts';
import type { ColumnProfile, ColumnRequest, DataFile, Dataset, SourceColumn } from '@assay/tables';

export interface ReadTable {
  readonly format: DatasetFormat;
  readonly rows: number;
  readonly schema: DatasetColumn[];
  readonly profile: DatasetColumnProfile[];
}

export interface ReadOptions {
  readonly format?: DatasetFormat;
  readonly types: Readonly<Record<string, string>>;
  readonly personalData: readonly string[];
  /** Who says so, for messages. */
  readonly personalDataOf: string;
  readonly signal: AbortSignal;
}

/** What does not fit is on disk while the columns are looked at. */
const MAX_MEMORY_BYTES = 2 * 1024 ** 3;

interface OpenedFile {
  readonly path: string;
  readonly columns: readonly SourceColumn[];
}

/** The schema, that every file must have, the rows, and what the columns hold. */
export async function readTable(files: readonly DataFile[], options: ReadOptions): Promise<ReadTable> {
  const { signal, types } = options;
  const { openDataset } = await import('@assay/tables');
  const tempDir = await mkdtemp(join(tmpdir(), 'assay-dataset-'));
  try {
    const open = (path: readonly DataFile[]) =>
      openDataset(
        {
          path,
          ...(options.format === undefined ? {} : { format: options.format }),
          ...(Object.keys(types).length === 0 ? {} : { types }),
        },
        { tempDir, memoryLimitBytes: Math.min(MAX_MEMORY_BYTES, totalmem() / 2), signal },
      ).catch((error: unknown) => {
        throw inWordsOfOptions(error);
      });
    let first: OpenedFile | undefined;
    for (const file of files.length > 1 ? files : []) {
      const one = await open([file]);
      one.close();
      const opened: OpenedFile = { path: file.path, columns: one.columns };
      first ??= opened;
      const difference = differenceOf(first, opened);
      if (difference === undefined) continue;
      throw new AssayError('INVALID_ARGUMENT', `${file.path}: ${difference}; the files of a dataset have one schema`);
    }
    const dataset = await open(files);
    try {
      checkColumns(dataset, options);
      const { rows, profiles } = await profileAll(dataset, signal);
      const missing = new Map(profiles.map((column) => [column.name, column.missing]));
      const personal = new Set(options.personalData);
      return {
        format: dataset.format,
        rows,
        schema: dataset.columns.map(({ name, type }) => ({ name, type, nullable: missing.get(name) !== 0 })),
        profile: profiles.map((column) => profileOf(column, personal.has(column.name))),
      };
    } finally {
      dataset.close();
    }
  } finally {
    await rm(tempDir, { recursive: true, force: true });
  }
}

/** A spec's places in a message are options here. */
function inWordsOfOptions(error: unknown): unknown {
  if (!(error instanceof AssayError)) return error;
  const message = error.message.replace(/^source\.types: /, '--type: ').replace(/^source\.format: /, '--format: ');
  return message === error.message ? error : new AssayError(error.code, message, { cause: error });
}

/** Where `other` does not have the schema of `first`; undefined where it has. */
function differenceOf(first: OpenedFile, other: OpenedFile): string | undefined {
  for (const [i, { name, type }] of first.columns.entries()) {
    const found = other.columns.find((column) => column.name === name);
    if (found === undefined) return `there is no column "${name}", which ${first.path} has`;
    if (found.type !== type) {
      const wider = [found.type, type].includes('VARCHAR') ? 'VARCHAR' : type;
      return `column "${name}" is ${found.type}, in ${first.path} it is ${type} (of CSV, --type "${name}=${wider}" sets it)`;
    }
    if (other.columns[i]?.name !== name) return `column "${name}" is at another position than in ${first.path}`;
  }
  const extra = other.columns[first.columns.length];
  return extra === undefined ? undefined : `there is a column "${extra.name}", which ${first.path} does not have`;
}

function checkColumns(dataset: Dataset, { types, personalData, personalDataOf }: ReadOptions): void {
  if (dataset.format !== 'csv' && Object.keys(types).length > 0) {
    throw new AssayError('INVALID_ARGUMENT', `--type is for CSV; ${dataset.format} files say the types themselves`);
  }
  const names = dataset.columns.map(({ name }) => name);
  const check = (option: string, given: readonly string[]): void => {
    for (const name of given) {
      if (names.includes(name)) continue;
      const suggestion = nearest(name, names);
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      throw new AssayError('INVALID_ARGUMENT', `${option}: the data has no column "${name}"${hint}`);
    }
  };
  check('--type', Object.keys(types));
  check(personalDataOf, personalData);
}

const INTEGERS = /^(U?(TINYINT|SMALLINT|INTEGER)|BIGINT)$/;
const NUMBERS = /^(DOUBLE|DECIMAL\(.*\)|UBIGINT|U?HUGEINT)$/;
const INSTANTS = /^(DATE|TIMESTAMP|TIMESTAMP_S|TIMESTAMP_MS|TIMESTAMP_NS|TIMESTAMP WITH TIME ZONE)$/;

/** What each column holds. Where numbers are too large for statistics, the column is looked at as text. */
async function profileAll(dataset: Dataset, signal: AbortSignal): Promise<{ rows: number; profiles: ColumnProfile[] }> {
  const table = await dataset.prepare({ columns: dataset.columns.map(requestFor), signal });
  const rows = await table.countRows(signal);
  const names = dataset.columns.map(({ name }) => name);
  const attempt = (some: readonly string[]): Promise<ColumnProfile[] | undefined> =>
    table.profile(some, { signal }).catch((error: unknown) => {
      if (error instanceof Error && /Out of Range Error/.test(error.message)) return undefined;
      throw error;
    });
  const all = await attempt(names);
  if (all !== undefined) return { rows, profiles: all };
  const profiles: (ColumnProfile | string)[] = [];
  for (const name of names) profiles.push((await attempt([name]))?.[0] ?? name);
  const tooLarge = profiles.filter((one) => typeof one === 'string');
  const texts = await dataset.prepare({ columns: tooLarge.map(textRequestFor), signal });
  const asText = new Map((await texts.profile(tooLarge, { signal })).map((one) => [one.name, one]));
  return { rows, profiles: profiles.flatMap((one) => (typeof one === 'string' ? (asText.get(one) ?? []) : one)) };
}

/** A column to look at: by its own type where that has statistics, else as its text. */
function requestFor({ name, type }: SourceColumn): ColumnRequest {
  const dtype = dtypeOf(type);
  return dtype === undefined ? textRequestFor(name) : { name, place: `column "${name}"`, dtype };
}

function textRequestFor(name: string): ColumnRequest {
  const expression = `CAST("${name.replaceAll('"', '""')}" AS VARCHAR)`;
  return { name, place: `column "${name}"`, dtype: 'string', expression };
}

function dtypeOf(type: string): Dtype | undefined {
  if (INTEGERS.test(type)) return 'int64';
  if (type === 'FLOAT') return 'float32';
  if (NUMBERS.test(type)) return 'float64';
  if (type === 'BOOLEAN') return 'bool';
  if (type === 'VARCHAR') return 'string';
  return INSTANTS.test(type) ? 'timestamp' : undefined;
}

/** What a reader looks at; longer texts are no categories, and the profile is kept small. */
const MAX_TOP = 20;
const MAX_TOP_LENGTH = 200;

/** The values of personal data stay out of the registry: its profile is read by everyone, and never erased. */
function profileOf({ numeric, top, ...counts }: ColumnProfile, isPersonal: boolean): DatasetColumnProfile {
  if (isPersonal) return counts;
  const kept = top?.slice(0, MAX_TOP) ?? [];
  return {
    ...counts,
    ...(numeric === undefined || !fitsJson(numeric)
      ? {}
      : {
          numeric: {
            ...numeric,
            quantiles: [...numeric.quantiles],
            histogram: { edges: [...numeric.histogram.edges], counts: [...numeric.histogram.counts] },
          },
        }),
    ...(kept.length === 0 || kept.some(({ value }) => value.length > MAX_TOP_LENGTH) ? {} : { top: [...kept] }),
  };
}

/** The mean and the bins of numbers near the end of the doubles may overflow; JSON has no such numbers. */
function fitsJson({ mean, std, quantiles, histogram }: NonNullable<ColumnProfile['numeric']>): boolean {
  const numbers = [mean, std, ...quantiles.map(({ value }) => value), ...histogram.edges];
  return numbers.every((number) => Number.isFinite(number));
}
