/** What a dataset version must be, before the database or the blob store is asked. */
import { createHash } from 'node:crypto';
import {
  AssayError,
  type CreateDatasetVersion,
  canonicalJson,
  type DatasetVersionSummary,
  type ErrorDetail,
  nearest,
} from '@assay/contracts';

/** What people say of a version; all of it has a value. */
export type About = Pick<
  DatasetVersionSummary,
  'layer' | 'source' | 'owner' | 'licence' | 'knownBias' | 'personalData' | 'description' | 'changes' | 'parents'
>;

/** More wrong places do not help a reader. */
const MAX_DETAILS = 20;

/** The identity of a table: the same files under the same names, in the same format, under the same schema. */
export function datasetDigest({ format, files, schema }: Pick<CreateDatasetVersion, 'format' | 'files' | 'schema'>) {
  const content = {
    format,
    files: files.map(({ name, sha256 }) => ({ name, sha256 })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    schema: schema.map(({ name, type, nullable }) => ({ name, type, nullable })),
  };
  return createHash('sha256').update(canonicalJson(content)).digest('hex');
}

export function aboutOf(body: CreateDatasetVersion): About {
  return {
    layer: body.layer ?? 'raw',
    source: body.source ?? '',
    owner: body.owner ?? '',
    licence: body.licence ?? '',
    knownBias: body.knownBias ?? '',
    personalData: body.personalData ?? [],
    description: body.description ?? '',
    changes: body.changes ?? '',
    parents: body.parents ?? [],
  };
}

/**
 * What `body` says of its table otherwise than `known` does; `changes` tells of a step, not of the table. A list says the
 * same in any order.
 */
export function saidOtherwise(body: CreateDatasetVersion, known: About): string[] {
  const { changes: _, ...lasting } = known;
  const text = (value: unknown): string => JSON.stringify(Array.isArray(value) ? value.toSorted() : value);
  const said: Readonly<Record<string, unknown>> = body;
  return Object.entries(lasting)
    .filter(([key, value]) => said[key] !== undefined && text(said[key]) !== text(value))
    .map(([key]) => key);
}

/**
 * Each file, column and parent once; personal data in columns that are there; a profile that fits the table and tells no
 * value of personal data.
 * @throws AssayError INVALID_ARGUMENT with the place of what is wrong
 */
export function checkDataset(body: CreateDatasetVersion): void {
  const details: ErrorDetail[] = [];
  const { files, schema, personalData = [], profile = [], parents = [] } = body;
  const once = (list: readonly string[], place: (i: number) => string, expected: string): void => {
    const seen = new Map<string, number>();
    for (const [i, text] of list.entries()) {
      const before = seen.get(text);
      if (before === undefined) seen.set(text, i);
      else details.push({ place: place(i), message: `is the same as ${place(before)}`, expected });
    }
  };
  once(
    files.map(({ name }) => name.toLowerCase()), // the same file where case is ignored
    (i) => `files[${i}].name`,
    'each file name once, letter case aside',
  );
  once(
    schema.map(({ name }) => name),
    (i) => `schema[${i}].name`,
    'each column once',
  );
  once(personalData, (i) => `personalData[${i}]`, 'each column once');
  once(
    profile.map(({ name }) => name),
    (i) => `profile[${i}].name`,
    'each column once',
  );
  once(parents, (i) => `parents[${i}]`, 'each version once');

  const columns = new Map(schema.map((column) => [column.name, column]));
  const isColumn = (name: string, place: string): boolean => {
    if (columns.has(name)) return true;
    const suggestion = nearest(name, [...columns.keys()]);
    const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
    details.push({ place, message: `the schema has no column "${name}"${hint}`, expected: 'a column of the schema' });
    return false;
  };
  for (const [i, name] of personalData.entries()) isColumn(name, `personalData[${i}]`);
  const personal = new Set(personalData);
  for (const [i, column] of profile.entries()) {
    const place = `profile[${i}]`;
    if (!isColumn(column.name, `${place}.name`)) continue;
    if (column.count !== body.rows) {
      details.push({
        place: `${place}.count`,
        message: `is ${column.count}, of ${body.rows} rows`,
        expected: `${body.rows}`,
      });
    }
    if (column.missing > 0 && columns.get(column.name)?.nullable === false) {
      details.push({
        place: `${place}.missing`,
        message: `"${column.name}" has rows without a value, the schema says that it has none`,
        expected: '`nullable: true` in the schema',
      });
    }
    if (personal.has(column.name) && (column.numeric !== undefined || column.top !== undefined)) {
      details.push({
        place,
        message: `"${column.name}" is personal data; its values must not be in the profile`,
        expected: '`count`, `missing` and `distinct` alone',
      });
    }
  }
  const [first] = details;
  if (first === undefined) return;
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, {
    details: details.slice(0, MAX_DETAILS),
  });
}
