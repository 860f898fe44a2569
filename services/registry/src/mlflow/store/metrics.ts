/**
 * Metrics: points of a run by key, and the latest of each key beside them, so that a run is read and searched without its
 * history. The latest is the one with the highest step, then time, then value.
 */
import { matches } from '@assay/contracts';
import { type SqlBool, sql } from 'kysely';
import Type from 'typebox';
import type { Queryable } from '../../store/tables.ts';
import { missing } from '../errors.ts';
import { noToken, rowBefore, tokenAfter } from '../page-token.ts';
import { fromPoint } from '../wire.ts';
import type { MetricPoint } from './mlflow-tables.ts';

export interface LoggedPoint extends MetricPoint {
  /** The logged model that it was measured on, and the data. */
  readonly model?: { readonly id: string; readonly datasetName: string; readonly datasetDigest: string };
}

/** A point that is there already is not stored again: a client that repeats a batch repeats all of it. */
export async function putMetrics(trx: Queryable, runId: string, points: readonly LoggedPoint[]): Promise<void> {
  if (points.length === 0) return;
  await trx
    .insertInto('mlflow_metrics')
    .values(
      points.map(({ key, step, timestamp, value, special }) => ({
        run_id: runId,
        key,
        step,
        timestamp,
        value,
        special,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const latest = new Map<string, LoggedPoint>();
  for (const point of points) {
    const before = latest.get(point.key);
    if (before === undefined || isLater(point, before)) latest.set(point.key, point);
  }
  const stored = await trx
    .selectFrom('mlflow_latest_metrics')
    .selectAll()
    .where('run_id', '=', runId)
    .where('key', 'in', [...latest.keys()])
    .execute();
  for (const before of stored) {
    const point = latest.get(before.key);
    if (point !== undefined && !isLater(point, before)) latest.delete(before.key);
  }
  if (latest.size > 0) {
    await trx
      .insertInto('mlflow_latest_metrics')
      .values(
        [...latest.values()].map(({ key, step, timestamp, value, special }) => ({
          run_id: runId,
          key,
          step,
          timestamp,
          value,
          special,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['run_id', 'key']).doUpdateSet((eb) => ({
          step: eb.ref('excluded.step'),
          timestamp: eb.ref('excluded.timestamp'),
          value: eb.ref('excluded.value'),
          special: eb.ref('excluded.special'),
        })),
      )
      .execute();
  }
  for (const point of points) if (point.model !== undefined) await putModelMetric(trx, runId, point, point.model);
}

async function putModelMetric(
  trx: Queryable,
  runId: string,
  { key, step, timestamp, value, special }: LoggedPoint,
  model: NonNullable<LoggedPoint['model']>,
): Promise<void> {
  const found = await trx.selectFrom('mlflow_logged_models').select('id').where('id', '=', model.id).executeTakeFirst();
  if (found === undefined) throw missing(`there is no logged model "${model.id}"`);
  const point = { step, timestamp, value, special };
  await trx
    .insertInto('mlflow_logged_model_metrics')
    .values({
      model_id: model.id,
      run_id: runId,
      key,
      dataset_name: model.datasetName,
      dataset_digest: model.datasetDigest,
      ...point,
    })
    .onConflict((conflict) =>
      conflict.columns(['model_id', 'key', 'run_id', 'dataset_name', 'dataset_digest']).doUpdateSet(point),
    )
    .execute();
}

function isLater(a: MetricPoint, b: MetricPoint): boolean {
  if (a.step !== b.step) return a.step > b.step;
  if (a.timestamp !== b.timestamp) return a.timestamp > b.timestamp;
  return a.value > b.value;
}

const ORDER = ['step', 'timestamp', 'value', 'special'] as const;
const LastPoint = Type.Tuple([Type.Integer(), Type.Integer(), Type.Number(), Type.String()]);

/** By step, then time. Each page begins behind the last point of the one before, however far that is. */
export async function metricHistory(
  db: Queryable,
  page: {
    readonly runId: string;
    readonly key: string;
    readonly limit: number;
    readonly pageToken: string | undefined;
  },
): Promise<{ metrics: unknown[]; next_page_token?: string }> {
  let query = db.selectFrom('mlflow_metrics').selectAll().where('run_id', '=', page.runId).where('key', '=', page.key);
  const before = rowBefore(page.pageToken);
  if (before !== undefined) {
    if (!matches(LastPoint, before)) throw noToken(page.pageToken);
    query = query.where(sql<SqlBool>`(${sql.join(ORDER.map((name) => sql.ref(name)))}) > (${sql.join(before)})`);
  }
  for (const name of ORDER) query = query.orderBy(name);
  const rows = await query.limit(page.limit + 1).execute();
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  const metrics = shown.map(fromPoint);
  if (rows.length <= page.limit || last === undefined) return { metrics };
  return { metrics, next_page_token: tokenAfter([last.step, last.timestamp, last.value, last.special]) };
}
