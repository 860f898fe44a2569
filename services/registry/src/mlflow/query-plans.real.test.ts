/** What is asked often reads what it needs by an index: no table is walked from one end to the other. */
import { CompiledQuery, type RootOperationNode } from 'kysely';
import { expect, it } from 'vitest';
import { startRegistry } from '../registry-under-test.ts';
import { openRegistryDatabase } from '../service.ts';
import { listAliases } from '../store/aliases.ts';
import type { Queryable } from '../store/tables.ts';
import { databaseUrlOf } from '../testing/database.ts';
import { filesIn, listFolder, requireFile } from './store/artifacts.ts';
import { getExperiment, getExperimentByName } from './store/experiments.ts';
import { getLoggedModel, searchLoggedModels } from './store/logged-models.ts';
import { metricHistory } from './store/metrics.ts';
import { getModelVersion, searchModelVersions } from './store/model-versions.ts';
import { getRegisteredModel, searchRegisteredModels } from './store/registered-models.ts';
import { pendingVersions } from './store/reserve-version.ts';
import { getRun, searchRuns } from './store/runs.ts';

const page = { limit: 100, pageToken: undefined };
const runId = '0'.repeat(32);

const ASKED: Readonly<Record<string, (db: Queryable) => Promise<unknown>>> = {
  'a model by name': (db) => getRegisteredModel(db, 'm'),
  'a version by number': (db) => getModelVersion(db, 'm', '1'),
  'the aliases of a model': (db) => listAliases(db, 'm', { limit: 10 }),
  'the versions of a model': (db) => searchModelVersions(db, { ...page, filter: "name = 'm'" }),
  'the versions of a run': (db) => searchModelVersions(db, { ...page, filter: `run_id = '${runId}'` }),
  'models by name': (db) => searchRegisteredModels(db, { ...page, filter: "name = 'm'" }),
  'an experiment by id': (db) => getExperiment(db, '0'),
  'an experiment by name': (db) => getExperimentByName(db, 'Default'),
  'a run by id': (db) => getRun(db, runId),
  'runs by metric, parameter and tag': (db) =>
    searchRuns(db, {
      ...page,
      experimentIds: ['0'],
      view: 'ACTIVE_ONLY',
      filter: "metrics.auc > 0.5 and params.depth = '7' and tags.team = 'x'",
      orderBy: ['metrics.auc DESC'],
    }),
  'the history of a metric': (db) => metricHistory(db, { ...page, runId, key: 'auc' }),
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
  const { db } = database;
  const asked: RootOperationNode[] = [];
  const watched = db.withPlugin({
    transformQuery({ node }) {
      asked.push(node);
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  await ask(watched).catch(() => {}); // most of it is not there; the questions are what counts
  expect(asked.length).toBeGreaterThan(0);
  for (const node of asked) {
    const { sql, parameters } = db.getExecutor().compileQuery(node, { queryId: 'plan' });
    const { rows } = await db.executeQuery<{ detail: string }>(
      CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]),
    );
    const walks = rows
      .map(({ detail }) => detail)
      .filter((detail) => /^SCAN (?!(k|d)\b)/.test(detail) && !/CONSTANT ROW/.test(detail));
    expect(walks, sql).toEqual([]);
  }
});
