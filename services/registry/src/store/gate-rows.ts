/** The gates document of a model. */
import { AssayError, type Gates, type ModelGates } from '@assay/contracts';
import { requireAnything } from '../domain/gate-rules.ts';
import { fromJson, type ModelGatesTable, type ModelsTable, type Queryable } from './tables.ts';

/** Revision 0 and no gates for a model that never had any. */
export async function readGates(db: Queryable, model: Pick<ModelsTable, 'id' | 'name'>): Promise<ModelGates> {
  const row = await db.selectFrom('model_gates').selectAll().where('model_id', '=', model.id).executeTakeFirst();
  return gatesOf(model, row);
}

export function gatesOf(model: Pick<ModelsTable, 'id' | 'name'>, row: ModelGatesTable | undefined): ModelGates {
  const of = { modelId: model.id, modelName: model.name };
  if (row === undefined) return { ...of, gates: {}, revision: 0 };
  const { gates, revision, updated_at: updatedAt, updated_by: updatedBy } = row;
  return { ...of, gates: fromJson<Gates>(gates), revision, updatedAt, updatedBy };
}

/**
 * Another model of the name would have no gates, and clients that go by the name would not see the difference.
 * @param what would free the name: "rename it"
 * @throws AssayError FAILED_PRECONDITION where the model has gates
 */
export async function refuseGated(db: Queryable, model: Pick<ModelsTable, 'id' | 'name'>, what: string): Promise<void> {
  const { gates } = await readGates(db, model);
  if (!requireAnything(gates)) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `model ${model.name} has gates, and another model of its name would have none. Let an administrator take them away first, to ${what}.`,
    { details: [{ place: 'gates', message: `${model.name} has gates`, expected: 'a model without gates' }] },
  );
}
