/** `runs/…`, `metrics/…`, `artifacts/list`: https://mlflow.org/docs/latest/api_reference/rest-api.html#create-run */
import type { App } from '@assay/http';
import Type from 'typebox';
import { actorOf } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import { checkArtifactPath, pathOfUri } from './artifact-path.ts';
import { invalid } from './errors.ts';
import { isFile, listFolder } from './store/artifacts.ts';
import { type LoggedPoint, metricHistory, putMetrics } from './store/metrics.ts';
import { logInputs, logOutputs } from './store/run-inputs.ts';
import { runInfo } from './store/run-views.ts';
import {
  createRun,
  deleteRunTag,
  getRun,
  logModelHistory,
  putParams,
  putTags,
  RUN_STATUSES,
  requireActiveRun,
  requireRun,
  searchRuns,
  setRunLifecycle,
  updateRun,
} from './store/runs.ts';
import {
  addMlflowRoute,
  Double,
  Id,
  Int64,
  Key,
  Name,
  pageSize,
  SearchFields,
  Tags,
  Text,
  tagRecord,
  toInteger,
  toPointValue,
  View,
} from './wire.ts';

/** MLflow's own limits of a batch. */
const MAX_BATCH = { metrics: 1000, params: 100, tags: 100, all: 1000 };
const MAX_HISTORY_PAGE = 25_000;

/** Clients of MLflow 1 call a run's id `run_uuid`. */
const RunId = { run_id: Type.Optional(Id), run_uuid: Type.Optional(Id) };
const Metric = {
  key: Key,
  value: Double,
  timestamp: Type.Optional(Int64),
  step: Type.Optional(Int64),
  model_id: Type.Optional(Type.String({ maxLength: 100 })),
  dataset_name: Type.Optional(Type.String({ maxLength: 500 })),
  dataset_digest: Type.Optional(Type.String({ maxLength: 500 })),
};
const Param = Type.Object({ key: Key, value: Type.Optional(Type.String({ maxLength: 500_000 })) });
const DatasetInput = Type.Object({
  tags: Tags,
  dataset: Type.Object({
    name: Type.String({ minLength: 1, maxLength: 500 }),
    digest: Type.String({ minLength: 1, maxLength: 36 }),
    source_type: Type.Optional(Type.String({ maxLength: 50 })),
    source: Type.Optional(Type.String({ maxLength: 65_535 })),
    schema: Type.Optional(Type.String({ maxLength: 1_048_575 })),
    profile: Type.Optional(Type.String({ maxLength: 16_777_215 })),
  }),
});

export function runRoutes(app: App, parts: PartsOf): void {
  const db = () => parts().store.database.db;
  const write = <T>(runId: string, change: (trx: Parameters<typeof putMetrics>[0]) => Promise<T>): Promise<T> =>
    parts().store.database.transaction(async (trx) => {
      await requireActiveRun(trx, runId);
      return change(trx);
    });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/create',
    access: 'register',
    fields: {
      experiment_id: Type.Optional(Id),
      user_id: Type.Optional(Type.String({ maxLength: 256 })),
      run_name: Type.Optional(Type.String({ maxLength: 256 })),
      start_time: Type.Optional(Int64),
      tags: Tags,
    },
    async handle({ body, request }) {
      const { principal } = actorOf(request);
      const run = await createRun(parts().store, {
        experimentId: body.experiment_id ?? '0',
        name: body.run_name === '' ? undefined : body.run_name,
        // The client says `unknown` for whoever it did not ask.
        userId: body.user_id === undefined || body.user_id === 'unknown' ? principal : body.user_id,
        startTime: body.start_time === undefined ? Date.now() : toInteger(body.start_time, 'start_time'),
        tags: tagRecord(body.tags),
        createdBy: principal,
      });
      return { run };
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/runs/get',
    access: 'read',
    fields: RunId,
    handle: async ({ body }) => ({ run: await getRun(db(), runIdOf(body)) }),
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/update',
    access: 'register',
    fields: {
      ...RunId,
      status: Type.Optional(Type.Enum([...RUN_STATUSES])),
      end_time: Type.Optional(Int64),
      run_name: Type.Optional(Type.String({ maxLength: 256 })),
    },
    async handle({ body, request }) {
      actorOf(request);
      const { status, end_time: endTime, run_name: name } = body;
      await updateRun(parts().store, runIdOf(body), {
        ...(status === undefined ? {} : { status }),
        ...(endTime === undefined ? {} : { endTime: toInteger(endTime, 'end_time') }),
        ...(name === undefined || name === '' ? {} : { name }),
      });
      return { run_info: runInfo(await requireRun(db(), runIdOf(body))) };
    },
  });

  for (const [path, lifecycle] of [
    ['/runs/delete', 'deleted'],
    ['/runs/restore', 'active'],
  ] as const) {
    addMlflowRoute(app, {
      method: 'POST',
      path,
      access: 'register',
      fields: RunId,
      async handle({ body, request }) {
        await setRunLifecycle(parts().store, actorOf(request), runIdOf(body), lifecycle);
      },
    });
  }

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/search',
    access: 'read',
    fields: {
      ...SearchFields,
      experiment_ids: Type.Optional(Type.Array(Id)),
      run_view_type: Type.Optional(View),
    },
    handle: ({ body }) =>
      searchRuns(db(), {
        experimentIds: body.experiment_ids ?? [],
        filter: body.filter,
        orderBy: body.order_by,
        pageToken: body.page_token,
        limit: pageSize(body.max_results, 1000, 50_000),
        view: body.run_view_type ?? 'ACTIVE_ONLY',
      }),
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/log-metric',
    access: 'register',
    fields: { ...RunId, ...Metric },
    async handle({ body, request }) {
      actorOf(request);
      const id = runIdOf(body);
      await write(id, (trx) => putMetrics(trx, id, [pointOf(body, 'value')]));
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/log-parameter',
    access: 'register',
    fields: { ...RunId, key: Key, value: Type.Optional(Type.String({ maxLength: 500_000 })) },
    async handle({ body, request }) {
      actorOf(request);
      const id = runIdOf(body);
      await write(id, (trx) => putParams(trx, id, [{ key: body.key, value: body.value ?? '' }]));
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/set-tag',
    access: 'register',
    fields: { ...RunId, key: Key, value: Type.Optional(Text) },
    async handle({ body, request }) {
      actorOf(request);
      const id = runIdOf(body);
      await write(id, (trx) => putTags(trx, id, [{ key: body.key, value: body.value ?? '' }]));
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/delete-tag',
    access: 'register',
    fields: { run_id: Id, key: Key },
    async handle({ body, request }) {
      actorOf(request);
      await deleteRunTag(parts().store, body.run_id, body.key);
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/log-batch',
    access: 'register',
    fields: {
      run_id: Id,
      metrics: Type.Optional(Type.Array(Type.Object(Metric))),
      params: Type.Optional(Type.Array(Param)),
      tags: Tags,
    },
    async handle({ body: { run_id: id, metrics = [], params = [], tags = [] }, request }) {
      actorOf(request);
      checkBatch({ metrics: metrics.length, params: params.length, tags: tags.length });
      const points = metrics.map((metric, i) => pointOf(metric, `metrics[${i}].value`));
      await write(id, async (trx) => {
        await putParams(trx, id, withValues(params));
        await putMetrics(trx, id, points);
        await putTags(trx, id, withValues(tags));
      });
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/log-model',
    access: 'register',
    fields: { run_id: Id, model_json: Type.String({ maxLength: 1_000_000 }) },
    async handle({ body, request }) {
      actorOf(request);
      let model: unknown;
      try {
        model = JSON.parse(body.model_json);
      } catch {
        throw invalid('model_json', 'is no JSON');
      }
      await logModelHistory(parts().store, body.run_id, model);
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/log-inputs',
    access: 'register',
    fields: {
      run_id: Id,
      datasets: Type.Optional(Type.Array(DatasetInput, { maxItems: 1000 })),
      models: Type.Optional(Type.Array(Type.Object({ model_id: Id }), { maxItems: 1000 })),
    },
    async handle({ body: { run_id: id, datasets = [], models = [] }, request }) {
      actorOf(request);
      await write(id, (trx) =>
        logInputs(
          trx,
          id,
          datasets,
          models.map(({ model_id }) => model_id),
        ),
      );
    },
  });

  addMlflowRoute(app, {
    method: 'POST',
    path: '/runs/outputs',
    access: 'register',
    fields: {
      run_id: Id,
      models: Type.Optional(Type.Array(Type.Object({ model_id: Id, step: Type.Optional(Int64) }), { maxItems: 1000 })),
    },
    async handle({ body: { run_id: id, models = [] }, request }) {
      actorOf(request);
      const outputs = models.map(({ model_id, step = 0 }) => ({
        modelId: model_id,
        step: toInteger(step, 'models.step'),
      }));
      await write(id, (trx) => logOutputs(trx, id, outputs));
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/metrics/get-history',
    access: 'read',
    fields: {
      ...RunId,
      metric_key: Key,
      max_results: Type.Optional(Int64),
      page_token: Type.Optional(Type.String({ maxLength: 200 })),
    },
    async handle({ body }) {
      const runId = runIdOf(body);
      await requireRun(db(), runId);
      const limit = pageSize(body.max_results, MAX_HISTORY_PAGE, MAX_HISTORY_PAGE);
      return metricHistory(db(), { runId, key: body.metric_key, limit, pageToken: body.page_token });
    },
  });

  addMlflowRoute(app, {
    method: 'GET',
    path: '/artifacts/list',
    access: 'read',
    fields: { ...RunId, path: Type.Optional(Name) },
    async handle({ body }) {
      const run = await requireRun(db(), runIdOf(body));
      const root = pathOfUri(run.artifact_uri) ?? '';
      const below = body.path === undefined || body.path === '' ? '' : checkArtifactPath(body.path);
      const folder = below === '' ? root : `${root}/${below}`;
      const entries = (await isFile(db(), folder)) ? [] : await listFolder(db(), folder);
      return {
        root_uri: run.artifact_uri,
        files: entries.map(({ name, isFolder, sizeBytes }) => ({
          path: below === '' ? name : `${below}/${name}`,
          is_dir: isFolder,
          ...(isFolder ? {} : { file_size: sizeBytes }),
        })),
      };
    },
  });
}

function runIdOf(body: { readonly run_id?: string | undefined; readonly run_uuid?: string | undefined }): string {
  const id = body.run_id ?? body.run_uuid;
  if (id === undefined) throw invalid('run_id', 'is missing', 'the id of a run');
  return id;
}

interface SentMetric {
  readonly key: string;
  readonly value: number | string;
  readonly timestamp?: number | string | undefined;
  readonly step?: number | string | undefined;
  readonly model_id?: string | undefined;
  readonly dataset_name?: string | undefined;
  readonly dataset_digest?: string | undefined;
}

function pointOf(metric: SentMetric, place: string): LoggedPoint {
  const { model_id: modelId = '', dataset_name: datasetName = '', dataset_digest: datasetDigest = '' } = metric;
  return {
    key: metric.key,
    ...toPointValue(metric.value, place),
    timestamp: metric.timestamp === undefined ? Date.now() : toInteger(metric.timestamp, 'timestamp'),
    step: metric.step === undefined ? 0 : toInteger(metric.step, 'step'),
    ...(modelId === '' ? {} : { model: { id: modelId, datasetName, datasetDigest } }),
  };
}

function withValues(
  list: readonly { readonly key: string; readonly value?: string | undefined }[],
): { key: string; value: string }[] {
  return list.map(({ key, value = '' }) => ({ key, value }));
}

function checkBatch(sizes: { readonly metrics: number; readonly params: number; readonly tags: number }): void {
  for (const part of ['metrics', 'params', 'tags'] as const) {
    if (sizes[part] > MAX_BATCH[part])
      throw invalid(part, `has ${sizes[part]} entries`, `at most ${MAX_BATCH[part]} a batch`);
  }
  const all = sizes.metrics + sizes.params + sizes.tags;
  if (all > MAX_BATCH.all) throw invalid('metrics', `the batch has ${all} entries`, `at most ${MAX_BATCH.all} in all`);
}
