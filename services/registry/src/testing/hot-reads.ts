/** What a registry is asked all day, for tests of plans and for the benchmark: one list, so that they speak of the same. */
import { metricHistory } from '../mlflow/store/metrics.ts';
import { getModelVersion, searchModelVersions } from '../mlflow/store/model-versions.ts';
import { getRegisteredModel, searchRegisteredModels } from '../mlflow/store/registered-models.ts';
import { getRun, searchRuns } from '../mlflow/store/runs.ts';
import { getAlias, listAliases } from '../store/aliases.ts';
import { listAudit } from '../store/audit.ts';
import { readDatasetLineage, readVersionLineage } from '../store/lineage.ts';
import { getModel, listModels } from '../store/models.ts';
import type { Queryable } from '../store/tables.ts';
import { getVersion, getVersionById, listVersions } from '../store/versions.ts';
import { type RegistrySize, SEEDED } from './seed-registry.ts';

/** Asks for another thing with each `i`. */
export type HotRead = (db: Queryable, i: number) => Promise<unknown>;

/** MLflow's clients send this with each search of models. */
const NO_PROMPTS = "tag.`mlflow.prompt.is_prompt` != 'true'";
const LIMIT = 100;

export function hotReads(size: RegistrySize): Readonly<Record<string, HotRead>> {
  const versions = size.models * size.versionsPerModel;
  const runs = size.experiments * size.runsPerExperiment;
  const model = (i: number): string => SEEDED.model(i % size.models);
  const version = (i: number): string => String((i % size.versionsPerModel) + 1);
  const run = (i: number): string => SEEDED.run(i % runs);
  const metric = (i: number): string => SEEDED.metric(i % size.metricsPerRun);
  const experimentIds = (i: number): string[] => [SEEDED.experiment(i % size.experiments)];
  const tag = ({ key, value }: { key: string; value: string }): string => `tag.${key} = '${value}'`;
  const search = (db: Queryable, i: number, filter: string, orderBy?: string[]) =>
    searchRuns(db, { experimentIds: experimentIds(i), view: 'ACTIVE_ONLY', limit: LIMIT, filter, orderBy });

  return {
    'an alias': (db, i) => getAlias(db, model(i), 'champion'),
    'the aliases of a model': (db, i) => listAliases(db, model(i), { limit: LIMIT }),
    'a model': (db, i) => getModel(db, model(i)),
    'a version': (db, i) => getVersion(db, model(i), version(i)),
    'a version by its id': (db, i) => getVersionById(db, SEEDED.version(i % versions)),
    'a page of models': (db, i) => listModels(db, { limit: LIMIT, after: model(i) }),
    'the first page of models': (db) => listModels(db, { limit: LIMIT }),
    'the versions of a model': (db, i) => listVersions(db, model(i), { limit: LIMIT }),
    'MLflow: a model': (db, i) => getRegisteredModel(db, model(i)),
    'MLflow: a version': (db, i) => getModelVersion(db, model(i), version(i)),
    'MLflow: models': (db) => searchRegisteredModels(db, { limit: LIMIT, filter: NO_PROMPTS }),
    'MLflow: models by a common tag': (db) =>
      searchRegisteredModels(db, { limit: LIMIT, filter: `${tag(SEEDED.commonTag)} and ${NO_PROMPTS}` }),
    'MLflow: models by a rare tag': (db) =>
      searchRegisteredModels(db, { limit: LIMIT, filter: `${tag(SEEDED.rareTag)} and ${NO_PROMPTS}` }),
    'MLflow: the versions of a model': (db, i) =>
      searchModelVersions(db, { limit: LIMIT, filter: `name = '${model(i)}'` }),
    'MLflow: the versions of a run': (db, i) =>
      searchModelVersions(db, { limit: LIMIT, filter: `run_id = '${run(i)}'` }),
    'MLflow: the newest versions': (db) => searchModelVersions(db, { limit: LIMIT }),
    'MLflow: versions by a common tag': (db) =>
      searchModelVersions(db, { limit: LIMIT, filter: tag(SEEDED.commonTag) }),
    'MLflow: versions by a rare tag': (db) => searchModelVersions(db, { limit: LIMIT, filter: tag(SEEDED.rareTag) }),
    'MLflow: a run': (db, i) => getRun(db, run(i)),
    'MLflow: the history of a metric': (db, i) =>
      metricHistory(db, { runId: run(i), key: metric(i), limit: 1000, pageToken: '' }),
    'MLflow: a later page of it': async (db, i) => {
      const of = { runId: run(i), key: metric(i), limit: Math.ceil(size.stepsPerMetric / 2) };
      const first = await metricHistory(db, { ...of, pageToken: '' });
      return metricHistory(db, { ...of, pageToken: first.next_page_token });
    },
    'MLflow: the newest runs': (db, i) => search(db, i, ''),
    'MLflow: runs by metric, parameter and tag': (db, i) =>
      search(db, i, `metrics."${metric(i)}" > 0.5 and params.depth = '3' and tags.team = 'team-1'`),
    'MLflow: the best runs': (db, i) => search(db, i, '', [`metrics."${metric(i)}" DESC`]),
    'audit entries': (db, i) => listAudit(db, { after: i, limit: LIMIT }),
    'audit entries of a person': (db, i) => listAudit(db, { after: i, limit: LIMIT, principal: `person-${i % 20}` }),
    'audit entries of an action': (db, i) => listAudit(db, { after: i, limit: LIMIT, action: 'alias.move' }),
    'audit entries of a version': (db, i) =>
      listAudit(db, { after: 0, limit: LIMIT, resource: `version/${SEEDED.version(i % versions)}` }),
    'the lineage of a version': (db, i) => readVersionLineage(db, model(i), version(i)),
    'the lineage of a dataset': (db, i) =>
      readDatasetLineage(db, SEEDED.dataset(i % size.datasets), '1', { limit: LIMIT }),
  };
}
