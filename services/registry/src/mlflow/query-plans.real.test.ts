/** What MLflow's clients ask beside the hot reads is found by an index, too. */
import { walksOf } from '@assay/database/query-plans';
import { expect, it } from 'vitest';
import { startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import type { Queryable } from '../store/tables.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { filesIn, listFolder, requireFile } from './store/artifacts.ts';
import { getExperiment, getExperimentByName } from './store/experiments.ts';
import { getLoggedModel, searchLoggedModels } from './store/logged-models.ts';
import { searchRegisteredModels } from './store/registered-models.ts';
import { pendingVersions } from './store/reserve-version.ts';

const page = { limit: 100, pageToken: undefined };
const runId = '0'.repeat(32);

const ASKED: Readonly<Record<string, (db: Queryable) => Promise<unknown>>> = {
  'models by name': (db) => searchRegisteredModels(db, { ...page, filter: "name = 'm'" }),
  'an experiment by id': (db) => getExperiment(db, '0'),
  'an experiment by name': (db) => getExperimentByName(db, 'Default'),
  'a logged model by id': (db) => getLoggedModel(db, `m-${runId}`),
  'logged models of an experiment': (db) =>
    searchLoggedModels(db, { ...page, experimentIds: ['0'], filter: "tags.a = 'b'" }),
  'a file': (db) => requireFile(db, '0/run/artifacts/model/MLmodel'),
  'a folder': (db) => listFolder(db, '0/run/artifacts'),
  'the files below a folder': (db) => filesIn(db, '0/run/artifacts'),
  'the versions that wait': (db) => pendingVersions(db, 20),
};

it.each(Object.entries(ASKED))('%s', async (_, ask) => {
  await using registry = await startRegistry();
  await registry.call('POST', '/v1/models', { name: 'm' });
  await registry.stop();
  await using database = await openRegistryDatabase(databaseUrlOf(registry.dir));
  // Most of it is not there; the questions are what counts.
  const walks = await walksOf(database, (db) => ask(db).catch(() => undefined));
  expect(walks).toEqual([]);
});
