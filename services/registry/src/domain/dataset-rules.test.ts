import { AssayError, type CreateDatasetVersion } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { aboutOf, checkDataset, datasetDigest, saidOtherwise } from './dataset-rules.ts';

const SHA = (digit: string) => digit.repeat(64);
const TABLE: CreateDatasetVersion = {
  format: 'csv',
  files: [
    { name: 'b.csv', sha256: SHA('b'), sizeBytes: 20 },
    { name: 'a.csv', sha256: SHA('a'), sizeBytes: 10 },
  ],
  rows: 3,
  schema: [
    { name: 'id', type: 'BIGINT', nullable: false },
    { name: 'name', type: 'VARCHAR', nullable: true },
  ],
};

describe('the digest of a table', () => {
  it('is that of its canonical JSON, as anyone can make it again', () => {
    // python3 -c 'import hashlib, json; print(hashlib.sha256(json.dumps({"format": "csv", "files": [{"name": "a.csv",
    //   "sha256": "a" * 64}, {"name": "b.csv", "sha256": "b" * 64}], "schema": [{"name": "id", "type": "BIGINT", "nullable":
    //   False}, {"name": "name", "type": "VARCHAR", "nullable": True}]}, sort_keys=True, separators=(",", ":"),
    //   ensure_ascii=False).encode()).hexdigest())'
    expect(datasetDigest(TABLE)).toBe('d9f4bdbcb349922983f1c59efe51e0aa1bd16eef313107b049e98635aa205537');
  });

  it('does not depend on the order of the files, and on all else of the table', () => {
    expect(datasetDigest({ ...TABLE, files: TABLE.files.toReversed() })).toBe(datasetDigest(TABLE));
    const [first, second] = TABLE.schema;
    const others = [
      { ...TABLE, format: 'ndjson' as const },
      { ...TABLE, schema: TABLE.schema.toReversed() },
      { ...TABLE, schema: [...(first ? [{ ...first, nullable: true }] : []), ...(second ? [second] : [])] },
      { ...TABLE, files: TABLE.files.map((file) => ({ ...file, name: `x-${file.name}` })) },
      { ...TABLE, files: TABLE.files.slice(1) },
    ];
    expect(new Set([TABLE, ...others].map(datasetDigest)).size).toBe(others.length + 1);
  });
});

describe('what is said of a table', () => {
  const known = aboutOf({ ...TABLE, owner: 'data team', personalData: ['name', 'id'], changes: 'first' });

  it('is the same where only what changed is told anew, or a list comes in another order', () => {
    expect(saidOtherwise({ ...TABLE, owner: 'data team', changes: 'again' }, known)).toEqual([]);
    expect(saidOtherwise({ ...TABLE, personalData: ['id', 'name'] }, known)).toEqual([]);
    expect(saidOtherwise(TABLE, known)).toEqual([]);
  });

  it('is another where a word differs', () => {
    expect(saidOtherwise({ ...TABLE, owner: 'x', personalData: [], layer: 'raw' }, known)).toEqual([
      'owner',
      'personalData',
    ]);
  });
});

describe('a table that makes no sense', () => {
  const profile = { name: 'id', dtype: 'int64', count: 3, missing: 0, distinct: 3 } as const;

  it.each([
    [
      'a file twice, case aside',
      { files: [...TABLE.files, { name: 'A.csv', sha256: SHA('c'), sizeBytes: 1 }] },
      'files[2].name',
    ],
    ['a column twice', { schema: [...TABLE.schema, ...TABLE.schema.slice(1)] }, 'schema[2].name'],
    ['personal data in a column that is not there', { personalData: ['nmae'] }, 'personalData[0]'],
    ['personal data twice', { personalData: ['name', 'name'] }, 'personalData[1]'],
    ['a profile of a column that is not there', { profile: [{ ...profile, name: 'x' }] }, 'profile[0].name'],
    ['a profile of other rows', { profile: [{ ...profile, count: 4 }] }, 'profile[0].count'],
    ['missing values in a column that has none', { profile: [{ ...profile, missing: 1 }] }, 'profile[0].missing'],
    ['a profile that tells personal data', { personalData: ['id'], profile: [{ ...profile, top: [] }] }, 'profile[0]'],
    ['a parent twice', { parents: ['ds_1', 'ds_1'] }, 'parents[1]'],
  ] satisfies [string, Partial<CreateDatasetVersion>, string][])(
    'is refused with its place: %s',
    (_, change, place) => {
      let refused: unknown;
      try {
        checkDataset({ ...TABLE, ...change });
      } catch (error) {
        refused = error;
      }
      expect(refused).toBeInstanceOf(AssayError);
      expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', details: [{ place }] });
    },
  );

  it('names the column that was meant', () => {
    expect(() => checkDataset({ ...TABLE, personalData: ['nmae'] })).toThrow(/did you mean "name"\?/);
  });

  it('is told from one that does', () => {
    expect(() => checkDataset({ ...TABLE, personalData: ['id'], profile: [profile], parents: ['ds_1'] })).not.toThrow();
  });
});
