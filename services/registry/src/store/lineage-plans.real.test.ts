/** Lineage is asked for by indexes in both directions, however much there is. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { walksOf } from '@assay/database/query-plans';
import { expect, it } from 'vitest';
import { databaseUrlIn, openRegistryDatabase } from '../service.ts';
import { ancestorsOf, datasetsOfDigest, datasetsOfFile, descendantsOf } from './dataset-lineage.ts';
import { fedBy } from './fed-versions.ts';
import { childrenOf, readVersions, versionsOfDigest } from './lineage-versions.ts';
import { readRunLineage } from './run-lineage.ts';
import type { Queryable } from './tables.ts';
import { readOrigin, unreadVersions } from './version-origin.ts';
import { aliasUses, endpointUses } from './version-uses.ts';

const digest = 'a'.repeat(64);

const ASKED: Readonly<Record<string, (db: Queryable) => Promise<unknown>>> = {
  'the origin of a version': (db) => readOrigin(db, 'ver_1'),
  'what is left to read': (db) => unreadVersions(db, 10),
  'the run of a version': (db) => readRunLineage(db, 'run', 10),
  'the dataset versions of a digest': (db) => datasetsOfDigest(db, digest, 5),
  'the dataset versions that hold a file': (db) => datasetsOfFile(db, digest, 5),
  'what a dataset was made from': (db) => ancestorsOf(db, ['ds_1']),
  'what was made from a dataset': (db) => descendantsOf(db, 'ds_1'),
  'the versions that datasets fed': (db) => fedBy(db, ['ds_1', 'ds_2'], { limit: 10, after: 'ver_1.ds_1' }),
  'versions by id': (db) => readVersions(db, ['ver_1']),
  'versions by digest': (db) => versionsOfDigest(db, digest, 5),
  'what was made from a version': (db) => childrenOf(db, digest, 5),
  'the aliases of a version, once and now': (db) => aliasUses(db, 'ver_1', 10),
  'the endpoints of a version, once and now': (db) => endpointUses(db, 'ver_1', 10),
};

it.each(Object.entries(ASKED))('%s', async (_, ask) => {
  const dir = await mkdtemp(join(tmpdir(), 'assay-lineage-'));
  try {
    await using database = await openRegistryDatabase(databaseUrlIn(dir));
    await insertDatasetVersion(database.db);
    expect(await walksOf(database, ask)).toEqual([]);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** Without it nothing is asked of what was made from it. */
async function insertDatasetVersion(db: Queryable): Promise<void> {
  const at = { created_at: 1, updated_at: 1 };
  await db
    .insertInto('datasets')
    .values({ id: 'dat_1', name: 'd', last_version: 1, latest_version: 1, revision: 1, deleted_at: null, ...at })
    .execute();
  const row = {
    ...{ id: 'ds_1', dataset_id: 'dat_1', version: 1, digest, format: 'csv' as const, row_count: 1, file_count: 1 },
    ...{
      column_count: 1,
      size_bytes: 1,
      files: '[]',
      columns: '[]',
      profile: null,
      created_at: 1,
      created_by: 'ada',
      revision: 1,
    },
    about: JSON.stringify({ layer: 'raw', owner: '', licence: '', personalData: [], parents: [] }),
  };
  await db.insertInto('dataset_versions').values(row).execute();
}
