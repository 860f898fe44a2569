import type { DatasetColumnProfile, DatasetVersion } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { datasetChanges } from './dataset-changes.ts';

const column = (name: string, type = 'DOUBLE', nullable = false) => ({ name, type, nullable });

function version(number: number, more: Partial<DatasetVersion> = {}): DatasetVersion {
  return {
    ...{ id: `ds_${number}`, datasetId: 'dat_1', datasetName: 'flights', version: number, digest: `${number}` },
    ...{ format: 'csv', rows: 100, fileCount: 1, columnCount: 2, sizeBytes: 10, files: [] },
    ...{ layer: 'raw', source: '', owner: 'data@example.com', licence: '', knownBias: '', personalData: [] },
    ...{ description: '', changes: '', parents: [], createdAt: 0, createdBy: 'ada' },
    schema: [column('distance'), column('origin', 'VARCHAR')],
    ...more,
  };
}

function profile(name: string, mean: number, more: Partial<DatasetColumnProfile> = {}): DatasetColumnProfile {
  const histogram = { edges: [0, 1], counts: [1] };
  return {
    ...{ name, dtype: 'float64', count: 100, missing: 0, distinct: 10 },
    numeric: { min: 0, max: 10, mean, std: 2, quantiles: [], histogram, infinite: 0 },
    ...more,
  };
}

describe('what changed between two versions of a dataset', () => {
  it('is nothing where the table and what is said of it are the same', () => {
    const table = { digest: 'd', profile: [profile('distance', 1), profile('origin', 1)] };
    expect(datasetChanges(version(1, table), version(2, table))).toMatchObject({
      sameTable: true,
      columns: { added: [], removed: [], retyped: [], nullability: [], reordered: false },
      ...{ personalData: { added: [], removed: [] }, about: [], shifts: [], withoutProfile: [] },
    });
  });

  it('names the columns that came, went, and have another type or may miss values', () => {
    const from = version(1, { schema: [column('a'), column('b'), column('c')] });
    const to = version(2, { schema: [column('new'), column('a', 'VARCHAR'), column('c', 'DOUBLE', true)] });
    expect(datasetChanges(from, to).columns).toEqual({
      added: [column('new')],
      removed: [column('b')],
      retyped: [{ name: 'a', from: 'DOUBLE', to: 'VARCHAR' }],
      nullability: [{ name: 'c', from: false, to: true }],
      reordered: false,
    });
    expect(datasetChanges(from, version(3, { schema: from.schema.toReversed() })).columns.reordered).toBe(true);
  });

  it('tells rows, personal data and what is said otherwise', () => {
    const from = version(1, { personalData: ['name'], licence: 'internal' });
    const to = version(2, { rows: 150, personalData: ['email'], licence: 'public domain', changes: 'February' });
    expect(datasetChanges(from, to)).toMatchObject({
      told: 'February',
      rows: { from: 100, to: 150 },
      personalData: { added: ['email'], removed: ['name'] },
      about: [{ what: 'licence', from: 'internal', to: 'public domain' }],
    });
  });

  it('puts the columns first whose values moved most', () => {
    const schema = ['still', 'little', 'missing', 'far'].map((name) => column(name));
    const from = version(1, { schema, profile: schema.map(({ name }) => profile(name, 5)) });
    const to = version(2, {
      schema,
      profile: [
        profile('still', 5),
        profile('little', 5.2),
        profile('missing', 5, { missing: 40 }),
        profile('far', 9, { distinct: 12 }),
      ],
    });
    expect(datasetChanges(from, to).shifts).toEqual([
      { name: 'far', mean: { from: 5, to: 9, standardDeviations: 2 }, distinct: { from: 10, to: 12 } },
      { name: 'missing', missingRate: { from: 0, to: 0.4 } },
      { name: 'little', mean: { from: 5, to: 5.2, standardDeviations: expect.closeTo(0.1, 12) } },
    ]);
  });

  it('says of which columns nothing is known, and of a constant one no distance in deviations', () => {
    const from = version(1, {
      profile: [profile('distance', 1, { numeric: { ...constant(1) } })],
    });
    const to = version(2, { profile: [profile('distance', 2, { numeric: { ...constant(2) } })] });
    expect(datasetChanges(from, to)).toMatchObject({
      withoutProfile: ['origin'],
      shifts: [{ name: 'distance', mean: { from: 1, to: 2 }, min: { from: 1, to: 2 }, max: { from: 1, to: 2 } }],
    });
  });
});

function constant(value: number) {
  const histogram = { edges: [value, value], counts: [100] };
  return { min: value, max: value, mean: value, std: 0, quantiles: [], histogram, infinite: 0 };
}
