/** Gates of models: read, and set by compare-and-set. Who asks them is in gate-passages.ts. */
import { isDeepStrictEqual } from 'node:util';
import type { ModelGates, SetGates } from '@assay/contracts';
import { checkGates } from '../domain/gate-rules.ts';
import { type Actor, change, type Store } from './change.ts';
import { gatesOf, readGates } from './gate-rows.ts';
import { modelChanged, requireModel } from './models.ts';
import { checkRevision } from './stale.ts';
import type { ModelGatesTable, Queryable } from './tables.ts';

/** Revision 0 and no gates for a model that never had any. */
export async function getGates(db: Queryable, modelNameOrId: string): Promise<ModelGates> {
  return readGates(db, await requireModel(db, modelNameOrId));
}

/** @throws AssayError STALE_REVISION; INVALID_ARGUMENT and FAILED_PRECONDITION as `checkGates` says; NOT_FOUND */
export function setGates(
  store: Store,
  actor: Actor,
  modelNameOrId: string,
  body: SetGates,
  hasKeys: boolean,
): Promise<ModelGates> {
  checkGates(body.gates, hasKeys);
  return change(store, actor, async (change) => {
    const model = await requireModel(change.trx, modelNameOrId);
    const current = await readGates(change.trx, model);
    const { revision, updatedAt: at, updatedBy: by = '' } = current;
    checkRevision({
      what: `the gates of ${model.name}`,
      expectedRevision: body.expectedRevision,
      currentRevision: revision,
      ...(at === undefined ? {} : { last: { by, at, state: 'changed' } }),
    });
    if (isDeepStrictEqual(current.gates, body.gates)) return current;
    const row: ModelGatesTable = {
      model_id: model.id,
      gates: JSON.stringify(body.gates),
      revision: revision + 1,
      updated_at: change.at,
      updated_by: change.actor.principal,
    };
    await change.trx
      .insertInto('model_gates')
      .values(row)
      .onConflict((conflict) => conflict.column('model_id').doUpdateSet(row))
      .execute();
    change.record('gates.set', `model/${model.id}`, {
      modelName: model.name,
      revision: row.revision,
      from: current.gates,
      to: body.gates,
    });
    await modelChanged(change, model.id, 'assay.model.gates-changed.v1');
    return gatesOf(model, row);
  });
}
