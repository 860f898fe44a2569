/** What went into a run and what came out of it: datasets and logged models. */
import type { Queryable } from '../../store/tables.ts';
import { requireLoggedModel } from './logged-models.ts';

export interface SentDataset {
  readonly tags?: readonly { readonly key: string; readonly value?: string | undefined }[] | undefined;
  readonly dataset: {
    readonly name: string;
    readonly digest: string;
    readonly source_type?: string | undefined;
    readonly source?: string | undefined;
    readonly schema?: string | undefined;
    readonly profile?: string | undefined;
  };
}

export async function logInputs(
  trx: Queryable,
  runId: string,
  datasets: readonly SentDataset[],
  modelIds: readonly string[],
): Promise<void> {
  for (const { dataset, tags = [] } of datasets) {
    const row = {
      run_id: runId,
      name: dataset.name,
      digest: dataset.digest,
      source_type: dataset.source_type ?? '',
      source: dataset.source ?? '',
      schema: dataset.schema ?? null,
      profile: dataset.profile ?? null,
      tags: JSON.stringify(tags.map(({ key, value = '' }) => ({ key, value }))),
    };
    await trx
      .insertInto('mlflow_run_datasets')
      .values(row)
      .onConflict((conflict) => conflict.columns(['run_id', 'name', 'digest']).doUpdateSet(row))
      .execute();
  }
  for (const id of modelIds) await linkModel(trx, { run_id: runId, direction: 'input', model_id: id, step: 0 });
}

export async function logOutputs(
  trx: Queryable,
  runId: string,
  outputs: readonly { readonly modelId: string; readonly step: number }[],
): Promise<void> {
  for (const { modelId, step } of outputs) {
    await linkModel(trx, { run_id: runId, direction: 'output', model_id: modelId, step });
  }
}

async function linkModel(
  trx: Queryable,
  row: {
    readonly run_id: string;
    readonly direction: 'input' | 'output';
    readonly model_id: string;
    readonly step: number;
  },
): Promise<void> {
  await requireLoggedModel(trx, row.model_id);
  await trx
    .insertInto('mlflow_run_models')
    .values(row)
    .onConflict((conflict) => conflict.columns(['run_id', 'direction', 'model_id']).doUpdateSet({ step: row.step }))
    .execute();
}
