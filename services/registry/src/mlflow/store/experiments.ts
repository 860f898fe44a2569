/** Experiments: what runs belong to. */
import { AssayError } from '@assay/contracts';
import { sql } from 'kysely';
import { type Actor, change, type Store } from '../../store/change.ts';
import type { Queryable } from '../../store/tables.ts';
import { invalid, missing } from '../errors.ts';
import { filterCondition, orderTerms, type Searchable } from '../filter/conditions.ts';
import { offsetOf, pageOf } from '../page-token.ts';
import type { ExperimentsTable, Tagged } from './mlflow-tables.ts';
import type { SearchPage } from './registered-models.ts';

export interface ExperimentView {
  readonly experiment_id: string;
  readonly name: string;
  readonly artifact_location: string;
  readonly lifecycle_stage: string;
  readonly creation_time: number;
  readonly last_update_time: number;
  readonly tags: readonly Tagged[];
}

/** Which of the living and the deleted are meant. */
export type ViewType = 'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL';

export function lifecyclesOf(view: ViewType): ('active' | 'deleted')[] {
  if (view === 'ALL') return ['active', 'deleted'];
  return view === 'ACTIVE_ONLY' ? ['active'] : ['deleted'];
}

const SEARCHABLE: Searchable = {
  attributes: {
    name: { column: 'e.name', kind: 'text' },
    experiment_id: { column: 'e.id', kind: 'text' },
    creation_time: { column: 'e.created_at', kind: 'number' },
    last_update_time: { column: 'e.updated_at', kind: 'number' },
  },
  keyed: { tag: { table: 'mlflow_experiment_tags', owner: 'experiment_id', id: 'e.id', kind: 'text' } },
};

/** Its runs' files may be put here only: a place elsewhere would be one that Assay cannot read. */
export function createExperiment(
  store: Store,
  made: {
    readonly name: string;
    readonly artifactLocation: string | undefined;
    readonly tags: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const { artifactLocation } = made;
  if (artifactLocation !== undefined && artifactLocation !== '' && !artifactLocation.startsWith('mlflow-artifacts:')) {
    throw invalid('artifact_location', `"${artifactLocation}" is elsewhere`, 'none: files are kept by Assay');
  }
  return store.database.transaction(async (trx) => {
    await refuseTakenName(trx, made.name);
    const counter = await trx
      .updateTable('mlflow_experiment_ids')
      .set((eb) => ({ last: eb('last', '+', 1) }))
      .returning('last')
      .executeTakeFirstOrThrow();
    const id = String(counter.last);
    const now = Date.now();
    const row: ExperimentsTable = {
      id,
      name: made.name,
      lifecycle: 'active',
      artifact_location: `mlflow-artifacts:/${id}`,
      created_at: now,
      updated_at: now,
      deleted_at: null,
    };
    await trx.insertInto('mlflow_experiments').values(row).execute();
    for (const [key, value] of Object.entries(made.tags)) {
      await trx.insertInto('mlflow_experiment_tags').values({ experiment_id: id, key, value }).execute();
    }
    return id;
  });
}

export async function requireExperiment(db: Queryable, id: string): Promise<ExperimentsTable> {
  const row = await db.selectFrom('mlflow_experiments').selectAll().where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw missing(`there is no experiment "${id}"`);
  return row;
}

/** @throws AssayError NOT_FOUND; INVALID_ARGUMENT for a deleted one */
export async function requireActiveExperiment(db: Queryable, id: string): Promise<ExperimentsTable> {
  const row = await requireExperiment(db, id);
  if (row.lifecycle !== 'active')
    throw invalid('experiment_id', `the experiment "${id}" is deleted`, 'an active one; restore it');
  return row;
}

export async function getExperiment(db: Queryable, id: string): Promise<ExperimentView> {
  return viewOf(db, await requireExperiment(db, id));
}

export async function getExperimentByName(db: Queryable, name: string): Promise<ExperimentView> {
  const row = await db.selectFrom('mlflow_experiments').selectAll().where('name', '=', name).executeTakeFirst();
  if (row === undefined) throw missing(`there is no experiment called "${name}"`);
  return viewOf(db, row);
}

export async function searchExperiments(
  db: Queryable,
  page: SearchPage & { readonly view: ViewType },
): Promise<{ experiments: ExperimentView[]; next_page_token?: string }> {
  const offset = offsetOf(page.pageToken);
  let query = db
    .selectFrom('mlflow_experiments as e')
    .selectAll('e')
    .where('e.lifecycle', 'in', lifecyclesOf(page.view))
    .where(filterCondition(SEARCHABLE, page.filter));
  for (const term of orderTerms(SEARCHABLE, page.orderBy, [sql`e.created_at desc`, sql`e.id desc`])) {
    query = query.orderBy(term);
  }
  const found = pageOf(
    await query
      .limit(page.limit + 1)
      .offset(offset)
      .execute(),
    page.limit,
    offset,
  );
  return { experiments: await viewsOf(db, found.rows), ...found.next };
}

export function renameExperiment(store: Store, id: string, name: string): Promise<void> {
  return store.database.transaction(async (trx) => {
    const row = await requireActiveExperiment(trx, id);
    if (row.name === name) return;
    await refuseTakenName(trx, name);
    await trx.updateTable('mlflow_experiments').set({ name, updated_at: Date.now() }).where('id', '=', id).execute();
  });
}

/** Its runs go with it, and come back with it; those that were deleted before stay so. */
export function setExperimentLifecycle(
  store: Store,
  actor: Actor,
  id: string,
  lifecycle: 'active' | 'deleted',
): Promise<void> {
  return change(store, actor, async ({ trx, at, record }) => {
    const row = await requireExperiment(trx, id);
    if (id === '0' && lifecycle === 'deleted')
      throw invalid('experiment_id', 'the default experiment cannot be deleted');
    if (row.lifecycle === lifecycle) {
      throw invalid('experiment_id', `the experiment "${id}" is ${lifecycle} already`);
    }
    const deleted_at = lifecycle === 'deleted' ? at : null;
    await trx
      .updateTable('mlflow_experiments')
      .set({ lifecycle, updated_at: at, deleted_at })
      .where('id', '=', id)
      .execute();
    await trx
      .updateTable('mlflow_runs')
      .set({ lifecycle, deleted_at })
      .where('experiment_id', '=', id)
      .where((eb) => (row.deleted_at === null ? eb('deleted_at', 'is', null) : eb('deleted_at', '=', row.deleted_at)))
      .execute();
    const action = lifecycle === 'deleted' ? 'delete' : 'restore';
    record(`experiment.${action}`, `experiment/${id}`, { name: row.name });
  });
}

/** Sets the tag, or removes it without a value. */
export function tagExperiment(store: Store, id: string, key: string, value: string | undefined): Promise<void> {
  return store.database.transaction(async (trx) => {
    await requireActiveExperiment(trx, id);
    if (value === undefined) {
      const { numDeletedRows } = await trx
        .deleteFrom('mlflow_experiment_tags')
        .where('experiment_id', '=', id)
        .where('key', '=', key)
        .executeTakeFirstOrThrow();
      if (numDeletedRows === 0n) throw missing(`the experiment "${id}" has no tag "${key}"`);
    } else {
      await trx
        .insertInto('mlflow_experiment_tags')
        .values({ experiment_id: id, key, value })
        .onConflict((conflict) => conflict.columns(['experiment_id', 'key']).doUpdateSet({ value }))
        .execute();
    }
    await trx.updateTable('mlflow_experiments').set({ updated_at: Date.now() }).where('id', '=', id).execute();
  });
}

async function refuseTakenName(db: Queryable, name: string): Promise<void> {
  const taken = await db
    .selectFrom('mlflow_experiments')
    .select('lifecycle')
    .where('name', '=', name)
    .executeTakeFirst();
  if (taken === undefined) return;
  const hint = taken.lifecycle === 'deleted' ? ', deleted: restore it, or choose another name' : '';
  throw new AssayError('ALREADY_EXISTS', `an experiment "${name}" exists${hint}`);
}

async function viewOf(db: Queryable, row: ExperimentsTable): Promise<ExperimentView> {
  const [view] = await viewsOf(db, [row]);
  if (view === undefined) throw new AssayError('INTERNAL', 'an experiment has one view');
  return view;
}

async function viewsOf(db: Queryable, rows: readonly ExperimentsTable[]): Promise<ExperimentView[]> {
  const tags = new Map<string, Tagged[]>();
  for (let from = 0; from < rows.length; from += 1000) {
    const ids = rows.slice(from, from + 1000).map(({ id }) => id);
    const found = await db
      .selectFrom('mlflow_experiment_tags')
      .selectAll()
      .where('experiment_id', 'in', ids)
      .orderBy('key')
      .execute();
    for (const { experiment_id: id, key, value } of found) tags.set(id, [...(tags.get(id) ?? []), { key, value }]);
  }
  return rows.map((row) => ({
    experiment_id: row.id,
    name: row.name,
    artifact_location: row.artifact_location,
    lifecycle_stage: row.lifecycle,
    creation_time: row.created_at,
    last_update_time: row.updated_at,
    tags: tags.get(row.id) ?? [],
  }));
}
