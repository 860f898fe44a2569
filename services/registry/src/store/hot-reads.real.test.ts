/** What is asked all day is found by an index, however much there is: no table is walked from one end to the other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '@assay/database';
import { walksOf } from '@assay/database/query-plans';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metricHistory } from '../mlflow/store/metrics.ts';
import { openRegistryDatabase } from '../service.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { hotReads } from '../testing/hot-reads.ts';
import { type RegistrySize, SEEDED, seedRegistry } from '../testing/seed-registry.ts';
import type { RegistryTables } from './tables.ts';

const SIZE: RegistrySize = {
  ...{ models: 300, versionsPerModel: 10, datasets: 50 },
  ...{ experiments: 10, runsPerExperiment: 200, metricsPerRun: 2, stepsPerMetric: 5 },
};

let dir: string;
let database: Database<RegistryTables>;

describe('a registry that is in use', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'assay-hot-reads-'));
    database = await openRegistryDatabase(databaseUrlOf(dir));
    await seedRegistry(database, SIZE);
  });
  afterAll(async () => {
    await database?.close();
    await rm(dir, { recursive: true, force: true });
  });

  it.each(Object.entries(hotReads(SIZE)))('finds by an index: %s', async (_, ask) => {
    expect(await walksOf(database, (db) => ask(db, 7))).toEqual([]);
  });

  it('shows each point of a metric once, on pages that begin where the one before ended', async () => {
    const of = { runId: SEEDED.run(3), key: SEEDED.metric(0), limit: 2 };
    const steps: unknown[] = [];
    for (let pageToken: string | undefined = ''; pageToken !== undefined; ) {
      const page = await metricHistory(database.db, { ...of, pageToken });
      for (const point of page.metrics) steps.push(Object(point).step);
      pageToken = page.next_page_token;
    }
    expect(steps).toEqual([0, 1, 2, 3, 4]);
    await expect(metricHistory(database.db, { ...of, pageToken: 'bzI' })).rejects.toThrow(/no token of a page/);
  });

  it('would be told of a walk', async () => {
    const byDescription = walksOf(database, (db) =>
      db.selectFrom('models').select('id').where('description', '=', 'x').execute(),
    );
    expect(await byDescription).toHaveLength(1);
    const allInOrder = walksOf(database, (db) => sql`select name from models order by name`.execute(db));
    expect(await allInOrder).toHaveLength(1);
    const sorted = walksOf(database, (db) => sql`select name from models order by description limit 1`.execute(db));
    expect(await sorted).toHaveLength(1);
  });

  it('would be told that SQLite finds all that is not deleted by an index, which is a walk too', async () => {
    if (!databaseUrlOf(dir).startsWith('sqlite:')) return; // PostgreSQL knows how many there are
    await sql`create index by_its_end on models (deleted_at)`.execute(database.db);
    const walks = await walksOf(database, (db) => sql`select * from models where deleted_at is null`.execute(db));
    expect(walks).toEqual([expect.stringContaining('by_its_end')]);
    await sql`drop index by_its_end`.execute(database.db);
  });
});
